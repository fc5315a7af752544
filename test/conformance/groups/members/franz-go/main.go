// A member that is a consumer of franz-go. Its argument is the configuration; the line protocol is told in ../../line-protocol.ts.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type config struct {
	Brokers, ClientID, GroupID, Protocol, Assignor            string
	Topics                                                    []string
	Pattern, InstanceID                                       *string
	SessionTimeoutMs, HeartbeatIntervalMs, RebalanceTimeoutMs int64
}

var (
	writing sync.Mutex
	owned   = map[string][]int32{}
)

func emit(event string, more map[string]any) {
	writing.Lock()
	defer writing.Unlock()
	write(event, more)
}

func write(event string, more map[string]any) {
	line := map[string]any{"event": event, "at": time.Now().UnixMicro()}
	for k, v := range more {
		line[k] = v
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(text, '\n'))
}

func fail(err error) {
	emit("failed", map[string]any{"error": err.Error()})
	os.Exit(1)
}

func give(partitions map[string][]int32) {
	writing.Lock()
	defer writing.Unlock()
	for topic, list := range partitions {
		owned[topic] = append(owned[topic], list...)
	}
	write("owns", map[string]any{"partitions": owned})
}

func take(partitions map[string][]int32) {
	writing.Lock()
	defer writing.Unlock()
	for topic, list := range partitions {
		owned[topic] = slices.DeleteFunc(owned[topic], func(p int32) bool { return slices.Contains(list, p) })
		if len(owned[topic]) == 0 {
			delete(owned, topic)
		}
	}
	write("owns", map[string]any{"partitions": owned})
}

func options(c config) []kgo.Opt {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	balancers := map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(), "sticky": kgo.StickyBalancer(),
		"cooperative-sticky": kgo.CooperativeStickyBalancer(), "uniform": kgo.StickyBalancer(),
	}
	balancer, ok := balancers[c.Assignor]
	if !ok {
		fail(fmt.Errorf("franz-go has no assignor %s", c.Assignor))
	}
	o := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(c.Brokers, ",")...), kgo.ClientID(c.ClientID), kgo.ConsumerGroup(c.GroupID),
		kgo.Balancers(balancer), kgo.SessionTimeout(ms(c.SessionTimeoutMs)), kgo.HeartbeatInterval(ms(c.HeartbeatIntervalMs)),
		kgo.RebalanceTimeout(ms(c.RebalanceTimeoutMs)), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { give(p) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { take(p) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { take(p) }),
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.MetadataMaxAge(2 * time.Second),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
	}
	if c.Pattern != nil {
		o = append(o, kgo.ConsumeRegex(), kgo.ConsumeTopics(*c.Pattern))
	} else {
		o = append(o, kgo.ConsumeTopics(c.Topics...))
	}
	if c.InstanceID != nil {
		o = append(o, kgo.InstanceID(*c.InstanceID))
	}
	if c.Protocol == "consumer" {
		o = append(o, kgo.ServerSideBalancer())
	}
	return o
}

func main() {
	var c config
	if err := json.Unmarshal([]byte(os.Args[len(os.Args)-1]), &c); err != nil {
		fail(err)
	}
	client, err := kgo.NewClient(options(c)...)
	if err != nil {
		fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var command string
	go func() {
		in := bufio.NewScanner(os.Stdin)
		if !in.Scan() {
			os.Exit(2)
		}
		var m struct{ Command string }
		if err := json.Unmarshal(in.Bytes(), &m); err != nil {
			fail(err)
		}
		command = m.Command
		cancel()
	}()
	for ctx.Err() == nil {
		poll(ctx, client)
		client.AllowRebalance()
	}
	if command == "stop" {
		client.Close()
	} else {
		client.CloseAllowingRebalance()
	}
	emit("left", nil)
}

func poll(ctx context.Context, client *kgo.Client) {
	fetches := client.PollRecords(ctx, 50)
	fetches.EachError(func(topic string, partition int32, err error) {
		if errors.Is(err, context.Canceled) {
			return
		}
		fmt.Fprintln(os.Stderr, topic, partition, err)
	})
	records := fetches.Records()
	if len(records) == 0 {
		return
	}
	offsets := map[string]map[string]int64{}
	for _, r := range records {
		emit("record", map[string]any{"topic": r.Topic, "partition": r.Partition, "offset": r.Offset, "value": string(r.Value)})
		if offsets[r.Topic] == nil {
			offsets[r.Topic] = map[string]int64{}
		}
		offsets[r.Topic][strconv.Itoa(int(r.Partition))] = r.Offset + 1
	}
	told := map[string]any{"offsets": offsets}
	emit("commit", told)
	if err := commit(client, offsets); err != nil {
		emit("commit-failed", map[string]any{"offsets": offsets, "error": err.Error()})
		return
	}
	emit("committed", told)
}

func commit(client *kgo.Client, offsets map[string]map[string]int64) error {
	commits := map[string]map[int32]kgo.EpochOffset{}
	for topic, list := range offsets {
		commits[topic] = map[int32]kgo.EpochOffset{}
		for partition, offset := range list {
			p, err := strconv.Atoi(partition)
			if err != nil {
				return err
			}
			commits[topic][int32(p)] = kgo.EpochOffset{Epoch: -1, Offset: offset}
		}
	}
	var failed error
	client.CommitOffsetsSync(context.Background(), commits,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			failed = err
			if err != nil {
				return
			}
			for _, topic := range response.Topics {
				for _, partition := range topic.Partitions {
					if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
						failed = err
					}
				}
			}
		})
	return failed
}
