package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The first record's time. One record a second follows, so that a time picks an exact record.
var verifyBase = time.UnixMilli(1_600_000_000_000)

// verify writes n records whose every part follows from their number, and reads them back from the start, from the
// time of the middle one, and with a group. Any difference in contents, order or count ends the run with 1.
func verify(ctx context.Context, out map[string]any) {
	cl := newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	createTopic(ctx, cl)
	for i := 0; i < *n; i++ {
		cl.Produce(ctx, verifyRecord(i), func(_ *kgo.Record, err error) { die(err) })
	}
	die(cl.Flush(ctx))

	all := readAndCompare(ctx, 0, kgo.ConsumeTopics(*topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	all.Close()
	half := *n / 2 / *partitions * *partitions
	middle := verifyTime(half).UnixMilli()
	some := readAndCompare(ctx, half, kgo.ConsumeTopics(*topic), kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(middle)))
	some.Close()

	group := *topic + "-group"
	member := readAndCompare(ctx, 0, kgo.ConsumeTopics(*topic), kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	die(member.CommitUncommittedOffsets(ctx))
	member.Close()
	committed, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	die(err)
	for p := 0; p < *partitions; p++ {
		o, ok := committed.Lookup(*topic, int32(p))
		if want := int64(countIn(p, *n)); !ok || o.Err != nil || o.At != want {
			die(fmt.Errorf("partition %d is committed at %d (%v), not %d", p, o.At, o.Err, want))
		}
	}
	out["from_start"], out["from_time"], out["group"] = *n, *n-half, *n
}

func verifyTime(i int) time.Time { return verifyBase.Add(time.Duration(i) * time.Second) }

func verifyRecord(i int) *kgo.Record {
	return &kgo.Record{
		Topic:     *topic,
		Partition: int32(i % *partitions),
		Timestamp: verifyTime(i),
		Key:       []byte(fmt.Sprintf("key-%d", i)),
		Value:     []byte(fmt.Sprintf("value-%d-%s", i, strings.Repeat("x", i%512))),
		Headers:   []kgo.RecordHeader{{Key: "number", Value: []byte(fmt.Sprint(i))}, {Key: "nothing"}},
	}
}

// countIn says how many of the first n records are in partition p.
func countIn(p, n int) int { return (n - p + *partitions - 1) / *partitions }

// readAndCompare reads records from..n-1 (`from` a multiple of the partition count) and gives back the client.
func readAndCompare(ctx context.Context, from int, opts ...kgo.Opt) *kgo.Client {
	c := newClient(append(opts, kgo.FetchMaxWait(100*time.Millisecond))...)
	next := make([]int, *partitions)
	for p := range next {
		next[p] = from + p
	}
	for got := 0; got < *n-from; {
		f := c.PollFetches(ctx)
		die(ctx.Err())
		for _, e := range f.Errors() {
			die(e.Err)
		}
		f.EachRecord(func(r *kgo.Record) {
			i := next[r.Partition]
			next[r.Partition] += *partitions
			die(compare(r, i))
			got++
		})
	}
	return c
}

func compare(r *kgo.Record, i int) error {
	want := verifyRecord(i)
	same := r.Offset == int64(i / *partitions) && r.Timestamp.Equal(want.Timestamp) &&
		string(r.Key) == string(want.Key) && string(r.Value) == string(want.Value) && len(r.Headers) == 2 &&
		r.Headers[0].Key == "number" && string(r.Headers[0].Value) == fmt.Sprint(i) &&
		r.Headers[1].Key == "nothing" && r.Headers[1].Value == nil
	if !same {
		return fmt.Errorf("record %d of partition %d, offset %d differs: key %q, time %v, headers %v, %d bytes",
			i, r.Partition, r.Offset, r.Key, r.Timestamp, r.Headers, len(r.Value))
	}
	return nil
}
