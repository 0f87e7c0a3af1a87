// Package bench measures kafkad beside Apache Kafka: a load generator on franz-go, the server's CPU
// and memory from /proc, and (build tag bench) the side by side test behind `make bench`. Nothing
// of the broker imports it. The generator takes addresses, so it drives any broker.
package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Load says what to produce or consume.
type Load struct {
	Brokers    []string
	Topic      string
	Partitions int
	Records    int
	Size       int // bytes of each record's value
}

// Throughput is the outcome of Produce or Consume.
type Throughput struct {
	Records int
	Bytes   int64
	Took    time.Duration
}

// PerSecond is records per second.
func (t Throughput) PerSecond() float64 { return float64(t.Records) / t.Took.Seconds() }

// GB is the amount of data in 10^9 bytes.
func (t Throughput) GB() float64 { return float64(t.Bytes) / 1e9 }

// CreateTopic creates l.Topic with one replica and waits until all partitions have leaders.
func CreateTopic(ctx context.Context, l Load) error {
	return withAdmin(l.Brokers, func(adm *kadm.Client) error {
		if _, err := adm.CreateTopic(ctx, int32(l.Partitions), 1, nil, l.Topic); err != nil {
			return fmt.Errorf("create topic %s: %w", l.Topic, err)
		}
		return awaitLeaders(ctx, adm, l.Topic, l.Partitions)
	})
}

// AwaitLeaders waits until the topic has so many partitions, all with leaders.
func AwaitLeaders(ctx context.Context, l Load) error {
	return withAdmin(l.Brokers, func(adm *kadm.Client) error {
		return awaitLeaders(ctx, adm, l.Topic, l.Partitions)
	})
}

// DeleteTopic deletes l.Topic.
func DeleteTopic(ctx context.Context, l Load) error {
	return withAdmin(l.Brokers, func(adm *kadm.Client) error {
		_, err := adm.DeleteTopic(ctx, l.Topic)
		return err
	})
}

func withAdmin(brokers []string, f func(*kadm.Client) error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(10*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }))
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(120000) // a JVM takes its time for a thousand partitions
	return f(adm)
}

// pollInterval is how often a condition of the server under test is looked at.
const pollInterval = 2 * time.Millisecond

func awaitLeaders(ctx context.Context, adm *kadm.Client, topic string, partitions int) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		md, err := adm.Metadata(ask, topic)
		cancel()
		ready := 0
		if err == nil {
			for _, p := range md.Topics[topic].Partitions {
				if p.Err == nil && p.Leader >= 0 {
					ready++
				}
			}
		}
		if err == nil && ready == partitions {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d partitions of %s have leaders: %w",
				ready, partitions, topic, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// Produce sends l.Records with acks=1, spread over the partitions, and waits for all acks.
func Produce(ctx context.Context, l Load) (Throughput, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...),
		kgo.DefaultProduceTopic(l.Topic),
		kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(),
		kgo.MaxProduceRequestsInflightPerBroker(5),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(1000000), kgo.MaxBufferedRecords(100000),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return Throughput{}, fmt.Errorf("make a producer: %w", err)
	}
	defer cl.Close()
	value := make([]byte, l.Size)
	for i := range value {
		value[i] = byte(i)
	}
	var failed atomic.Pointer[error]
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	if err := cl.Ping(ctx); err != nil {
		return Throughput{}, fmt.Errorf("reach the broker: %w", err)
	}
	start := time.Now()
	const chunk = 10000
	for i := 0; i < l.Records; {
		batch := make([]kgo.Record, min(chunk, l.Records-i))
		for j := range batch {
			batch[j] = kgo.Record{Value: value, Partition: int32((i + j) / 500 % l.Partitions)}
			cl.Produce(ctx, &batch[j], promise)
		}
		i += len(batch)
	}
	if err := cl.Flush(ctx); err != nil {
		return Throughput{}, fmt.Errorf("wait for acks: %w", err)
	}
	took := time.Since(start)
	if err := failed.Load(); err != nil {
		return Throughput{}, fmt.Errorf("produce: %w", *err)
	}
	return Throughput{l.Records, int64(l.Records) * int64(l.Size), took}, nil
}

// Consume reads l.Records from the beginning of the topic and counts them.
func Consume(ctx context.Context, l Load) (Throughput, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...),
		kgo.ConsumeTopics(l.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxPartitionBytes(4<<20), kgo.FetchMaxBytes(32<<20),
		kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return Throughput{}, fmt.Errorf("make a consumer: %w", err)
	}
	defer cl.Close()
	start := time.Now()
	var got Throughput
	for got.Records < l.Records {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			return got, fmt.Errorf("after %d records: %w", got.Records, err)
		}
		for _, e := range fs.Errors() {
			return got, fmt.Errorf("after %d records: %w", got.Records, e.Err)
		}
		fs.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				got.Bytes += int64(len(r.Value))
			}
			got.Records += len(p.Records)
		})
	}
	got.Took = time.Since(start)
	if got.Records != l.Records {
		return got, fmt.Errorf("%d records in the topic, %d were produced", got.Records, l.Records)
	}
	return got, nil
}

// Percentiles of a latency.
type Percentiles struct{ P50, P99, P999 time.Duration }

func percentiles(all []time.Duration) Percentiles {
	if len(all) == 0 {
		return Percentiles{}
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[min(int(q*float64(len(all))), len(all)-1)] }
	return Percentiles{at(0.5), at(0.99), at(0.999)}
}

// Latency is the outcome of MeasureLatency.
type Latency struct{ Ack, EndToEnd Percentiles }

// MeasureLatency produces perSecond records a second for the time with acks=1 and no linger, while
// a consumer reads them. Ack is from Produce to its promise, EndToEnd from Produce to the
// consumer.
func MeasureLatency(ctx context.Context, l Load, perSecond int, d time.Duration) (Latency, error) {
	total := int(d.Seconds() * float64(perSecond))
	cons, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...),
		kgo.ConsumeTopics(l.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.FetchMinBytes(1), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return Latency{}, fmt.Errorf("make a consumer: %w", err)
	}
	defer cons.Close()
	prod, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...), kgo.DefaultProduceTopic(l.Topic),
		kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return Latency{}, fmt.Errorf("make a producer: %w", err)
	}
	defer prod.Close()

	began := time.Now()
	var endToEnd []time.Duration
	ready := make(chan struct{})
	consumed := make(chan error, 1)
	go func() {
		consumed <- consumeStamps(ctx, cons, began, total, l.Partitions, ready, &endToEnd)
	}()
	if err := primeConsumer(ctx, prod, l, ready); err != nil {
		return Latency{}, err
	}
	acks, err := pace(ctx, prod, l, began, perSecond, total)
	if err != nil {
		return Latency{}, err
	}
	if err := <-consumed; err != nil {
		return Latency{}, err
	}
	return Latency{Ack: percentiles(acks), EndToEnd: percentiles(endToEnd)}, nil
}

// primer marks a record that only shows that the consumer reads.
const primer = -1

// primeConsumer sends marked records until the consumer has seen one from each partition's end on.
func primeConsumer(ctx context.Context, prod *kgo.Client, l Load, ready chan struct{}) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for range l.Partitions {
			r := &kgo.Record{Value: stamp(l.Size, primer)}
			if err := prod.ProduceSync(ctx, r).FirstErr(); err != nil {
				return fmt.Errorf("produce: %w", err)
			}
		}
		select {
		case <-ready:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func stamp(size int, nanos int64) []byte {
	v := make([]byte, size)
	binary.BigEndian.PutUint64(v, uint64(nanos))
	return v
}

// consumeStamps reads until total stamped records came; it closes ready once every partition was
// seen.
func consumeStamps(ctx context.Context, cl *kgo.Client, began time.Time, total, partitions int,
	ready chan struct{}, out *[]time.Duration,
) error {
	seen := map[int32]bool{}
	for len(*out) < total {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			return fmt.Errorf("after %d records: %w", len(*out), err)
		}
		now := time.Since(began)
		fs.EachRecord(func(r *kgo.Record) {
			if t := int64(binary.BigEndian.Uint64(r.Value)); t != primer {
				*out = append(*out, now-time.Duration(t))
				return
			}
			seen[r.Partition] = true
		})
		if ready != nil && len(seen) == partitions {
			close(ready)
			ready = nil
		}
	}
	return nil
}

// pace produces at the given rate and returns the latencies of the acks.
func pace(ctx context.Context, cl *kgo.Client, l Load, began time.Time, perSecond, total int,
) ([]time.Duration, error) {
	var (
		mu   sync.Mutex
		acks = make([]time.Duration, 0, total)
		errs []error
	)
	interval := time.Second / time.Duration(perSecond)
	next := time.Now()
	for range total {
		if wait := time.Until(next); wait > 0 {
			time.Sleep(wait) // the rate is what is being measured, not a wait for something
		}
		next = next.Add(interval)
		sent := time.Since(began)
		r := &kgo.Record{Value: stamp(l.Size, int64(sent))}
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			d := time.Since(began) - sent
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			}
			acks = append(acks, d)
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	return acks, errors.Join(errs...)
}
