package main

import (
	"context"
	"fmt"
	"sort"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func produce(ctx context.Context, out map[string]any) {
	cl := newClient()
	defer cl.Close()
	createTopic(ctx, cl)
	v := value()
	var failed atomic.Int64
	var first atomic.Value
	t := time.Now()
	for i := 0; i < *n; i++ {
		cl.Produce(ctx, &kgo.Record{Topic: *topic, Value: v}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Add(1)
				first.CompareAndSwap(nil, err.Error())
			}
		})
	}
	die(cl.Flush(ctx))
	report(out, time.Since(t), *n, *size)
	out["failed"] = failed.Load()
	if e := first.Load(); e != nil {
		out["first_error"] = e
	}
}

// consume reads the topic from its start until n records have come, -rounds times. It fails when a round brings
// more than n, or values of another size.
func consume(ctx context.Context, out map[string]any) {
	total := 0
	var took time.Duration
	for round := 0; round < *rounds; round++ {
		got, bytes, d := consumeOnce(ctx)
		if got != *n || bytes != *n**size {
			die(fmt.Errorf("read %d records of %d bytes, not %d of %d", got, bytes, *n, *n**size))
		}
		total += got
		took += d
	}
	report(out, took, total, *size)
}

func consumeOnce(ctx context.Context) (got, bytes int, took time.Duration) {
	t := time.Now()
	c := newClient(
		kgo.ConsumeTopics(*topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(int32(*fetchMax)),
		kgo.FetchMaxPartitionBytes(10<<20),
		kgo.FetchMaxWait(100*time.Millisecond),
	)
	for got < *n {
		f := c.PollFetches(ctx)
		die(ctx.Err())
		for _, e := range f.Errors() {
			die(e.Err)
		}
		f.EachRecord(func(r *kgo.Record) { got++; bytes += len(r.Value) })
	}
	took = time.Since(t)
	c.Close()
	return got, bytes, took
}

// endToEnd sends -rate records a second without lingering and measures, for each, the time to its ack and the time
// until another client has it. Both clients have used every partition before the clock starts.
func endToEnd(ctx context.Context, out map[string]any) {
	cl := newClient(kgo.ProducerLinger(0))
	defer cl.Close()
	createTopic(ctx, cl)
	c := newClient(
		kgo.ConsumeTopics(*topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(500*time.Millisecond),
	)
	defer c.Close()
	warmUp(ctx, cl, c)
	ackc := make(chan float64, *n)
	e2e := make([]float64, 0, *n)
	done := make(chan struct{})
	v := value()
	t := time.Now()
	go func() {
		for len(e2e) < *n && ctx.Err() == nil {
			c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				var sent time.Time
				if sent.UnmarshalBinary(r.Key) == nil && !sent.Before(t) {
					e2e = append(e2e, milliseconds(sent))
				}
			})
		}
		close(done)
	}()
	for i := 0; i < *n; i++ {
		time.Sleep(time.Until(t.Add(time.Duration(i) * time.Second / time.Duration(*rate))))
		s := time.Now()
		k, _ := s.MarshalBinary()
		cl.Produce(ctx, &kgo.Record{Topic: *topic, Key: k, Value: v}, func(_ *kgo.Record, err error) {
			die(err)
			ackc <- milliseconds(s)
		})
	}
	die(cl.Flush(ctx))
	ack := make([]float64, 0, *n)
	for len(ack) < *n {
		ack = append(ack, <-ackc)
	}
	<-done
	die(ctx.Err())
	report(out, time.Since(t), *n, *size)
	out["ack_ms"], out["e2e_ms"] = quantiles(ack), quantiles(e2e)
}

// warmUp sends as many records as there are partitions, in turn to each, and waits until the consumer has them.
func warmUp(ctx context.Context, producer, consumer *kgo.Client) {
	key := fmt.Sprintf("warm up %d", time.Now().UnixNano())
	for i := 0; i < *partitions; i++ {
		die(producer.ProduceSync(ctx, &kgo.Record{Topic: *topic, Key: []byte(key), Value: []byte{}}).FirstErr())
	}
	for got := 0; got < *partitions; {
		consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if string(r.Key) == key {
				got++
			}
		})
		die(ctx.Err())
	}
}

func milliseconds(since time.Time) float64 {
	return float64(time.Since(since).Microseconds()) / 1e3
}

func quantiles(l []float64) map[string]float64 {
	sort.Float64s(l)
	q := func(p float64) float64 { return l[int(p*float64(len(l)-1))] }
	return map[string]float64{"p50": q(.5), "p95": q(.95), "p99": q(.99), "p999": q(.999), "max": l[len(l)-1]}
}

func report(out map[string]any, d time.Duration, records, valueBytes int) {
	out["seconds"] = d.Seconds()
	out["n"], out["size"] = records, valueBytes
	out["records_s"] = float64(records) / d.Seconds()
	out["mb_s"] = float64(records) * float64(valueBytes) / 1e6 / d.Seconds()
}
