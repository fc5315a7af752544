// kbench drives any broker that speaks Kafka's protocol with one lean client
// (franz-go), so that two brokers can be compared on the same work and a broker
// can be checked with a client that is not its own. Each run prints one JSON
// object on standard output, or a sentence on standard error and ends with 1.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	brokers    = flag.String("brokers", "127.0.0.1:9092", "comma-separated bootstrap addresses")
	topic      = flag.String("topic", "kbench", "topic; created when missing")
	partitions = flag.Int("partitions", 1, "partitions of a topic it creates")
	rf         = flag.Int("rf", 1, "replication factor of a topic it creates")
	mode       = flag.String("mode", "produce", "produce | consume | e2e (latency at -rate) | verify (contents) | delete (the topic)")
	n          = flag.Int("n", 1_000_000, "records")
	size       = flag.Int("size", 1024, "value bytes (half random, half zero)")
	acks       = flag.String("acks", "all", "all | 1 | 0")
	idem       = flag.Bool("idempotent", true, "idempotent producer (acks=all only)")
	comp       = flag.String("compression", "none", "none | gzip | snappy | lz4 | zstd")
	batch      = flag.Int("batch-bytes", 1_000_000, "largest record batch")
	linger     = flag.Duration("linger", 5*time.Millisecond, "linger (e2e uses 0)")
	wait       = flag.Bool("wait", true, "wait until all replicas of the topic are in sync before the run")
	rate       = flag.Int("rate", 1000, "records a second in e2e mode")
	rounds     = flag.Int("rounds", 1, "times that consume mode reads the topic, each with a fresh client")
	timeout    = flag.Duration("timeout", 5*time.Minute, "give up after")
	configs    = flag.String("topic-configs", "", "k=v,k=v for a topic it creates")
	fetchMax   = flag.Int("fetch-max-bytes", 50<<20, "consumer fetch.max.bytes")
)

func main() {
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	out := map[string]any{"mode": *mode, "acks": *acks, "compression": *comp}
	switch *mode {
	case "produce":
		produce(ctx, out)
	case "consume":
		consume(ctx, out)
	case "e2e":
		endToEnd(ctx, out)
	case "verify":
		verify(ctx, out)
	case "delete":
		cl := newClient()
		defer cl.Close()
		_, err := kadm.NewClient(cl).DeleteTopic(ctx, *topic)
		die(err)
	default:
		die(fmt.Errorf("no mode %q", *mode))
	}
	die(json.NewEncoder(os.Stdout).Encode(out))
}

func die(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "kbench:", err)
		os.Exit(1)
	}
}

// newClient makes a client with the options of the command line and, after them, more.
func newClient(more ...kgo.Opt) *kgo.Client {
	o := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(*brokers, ",")...),
		kgo.ProducerBatchMaxBytes(int32(*batch)),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.MaxBufferedRecords(100_000),
		kgo.ProducerLinger(*linger),
		kgo.ProducerBatchCompression(codec()),
	}
	switch *acks {
	case "all":
		o = append(o, kgo.RequiredAcks(kgo.AllISRAcks()))
		if !*idem {
			o = append(o, kgo.DisableIdempotentWrite())
		}
	case "1":
		o = append(o, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		o = append(o, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		die(fmt.Errorf("no acks %q", *acks))
	}
	cl, err := kgo.NewClient(append(o, more...)...)
	die(err)
	return cl
}

func codec() kgo.CompressionCodec {
	switch *comp {
	case "none":
		return kgo.NoCompression()
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	die(fmt.Errorf("no compression %q", *comp))
	return kgo.NoCompression()
}

func createTopic(ctx context.Context, cl *kgo.Client) {
	cfg := map[string]*string{}
	for _, kv := range strings.Split(*configs, ",") {
		if k, v, ok := strings.Cut(kv, "="); ok {
			cfg[k] = &v
		}
	}
	adm := kadm.NewClient(cl)
	r, err := adm.CreateTopics(ctx, int32(*partitions), int16(*rf), cfg, *topic)
	die(err)
	if e := r[*topic].Err; e != nil && e != kerr.TopicAlreadyExists {
		die(e)
	}
	for *wait && !isInSync(ctx, adm) {
		time.Sleep(20 * time.Millisecond)
		die(ctx.Err())
	}
}

// isInSync says whether every partition has a leader and all its replicas in sync, so that a run measures no elections.
func isInSync(ctx context.Context, adm *kadm.Client) bool {
	topics, err := adm.ListTopics(ctx, *topic)
	die(err)
	t := topics[*topic]
	if t.Err != nil || len(t.Partitions) != *partitions {
		return false
	}
	for _, p := range t.Partitions {
		if p.Err != nil || p.Leader < 0 || len(p.ISR) != *rf {
			return false
		}
	}
	return true
}

// value is half random and half zero, so that compression has something to do but not everything.
func value() []byte {
	v := make([]byte, *size)
	r := rand.New(rand.NewSource(1))
	r.Read(v[:len(v)/2])
	return v
}
