package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/tool"
)

// writer sends the records of one topic as upstream's producer does where the library does not: it
// waits for the topic, waits for memory no longer than max.block.ms, and takes batch.size for a
// goal and max.request.size for the limit.
type writer struct {
	warnings io.Writer
	settings *tool.Settings
	opts     []kgo.Opt
	topic    string
	known    bool        // the cluster has told about the topic
	client   *kgo.Client // makes batches up to batch.size
	single   *kgo.Client // sends larger records, one at a time; nil until there is one
}

// newWriter makes a writer; more options override the settings. The caller closes it.
func newWriter(
	env tool.Env, settings *tool.Settings, topic string, more ...kgo.Opt,
) (*writer, error) {
	opts := append(settings.Options(), kgo.AllowAutoTopicCreation())
	w := &writer{
		warnings: env.Err, settings: settings, topic: topic, opts: append(opts, more...),
	}
	var err error
	w.client, err = kgo.NewClient(w.opts...)
	return w, err
}

const flushTimeout = 2 * time.Minute

// close sends what was written and then frees the clients.
func (w *writer) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	err := w.client.Flush(ctx)
	if err != nil {
		err = fmt.Errorf("messages were not sent: %w", err)
	}
	w.client.Close()
	if w.single != nil {
		w.single.Close()
	}
	return err
}

// write sends a record and calls done once with the outcome, perhaps on another goroutine. It
// blocks while the topic is unknown or memory is full.
func (w *writer) write(ctx context.Context, rec *kgo.Record, done func(*kgo.Record, error)) {
	rec.Topic = w.topic
	size := serializedSize(rec)
	if err := w.tooLarge(size); err != nil {
		done(rec, err)
		return
	}
	if !w.known {
		if err := w.awaitTopic(ctx); err != nil {
			done(rec, err)
			return
		}
		w.known = true
	}
	// A record that was taken is sent even if the user interrupts.
	ctx = context.WithoutCancel(ctx)
	if size > tool.BatchLimit(w.settings.Number("batch.size")) {
		done(rec, w.writeAlone(ctx, rec))
		return
	}
	if w.client.BufferedProduceBytes()+int64(size) > int64(w.settings.Number("buffer.memory")) {
		w.writeBlocking(ctx, rec, done)
		return
	}
	w.client.Produce(ctx, rec, done)
}

// writeBlocking is write while memory is full.
func (w *writer) writeBlocking(
	ctx context.Context, rec *kgo.Record, done func(*kgo.Record, error),
) {
	most := w.settings.Duration("max.block.ms")
	ctx, giveUp := context.WithCancel(ctx)
	timer := time.AfterFunc(most, giveUp)
	w.client.Produce(ctx, rec, func(rec *kgo.Record, err error) {
		giveUp()
		if errors.Is(err, context.Canceled) {
			err = tool.UpstreamError("Failed to allocate memory within the configured max blocking"+
				" time %d ms.", most.Milliseconds())
		}
		done(rec, err)
	})
	timer.Stop()
}

// writeAlone sends a record that is larger than a batch shall be, after those before it.
func (w *writer) writeAlone(ctx context.Context, rec *kgo.Record) error {
	if w.single == nil {
		limit := tool.BatchLimit(w.settings.Number("max.request.size"))
		var err error
		w.single, err = kgo.NewClient(append(w.opts, kgo.ProducerLinger(0),
			kgo.ProducerBatchMaxBytes(int32(limit)))...)
		if err != nil {
			return err
		}
	}
	if err := w.client.Flush(ctx); err != nil {
		return err
	}
	return w.single.ProduceSync(ctx, rec).FirstErr()
}

func (w *writer) tooLarge(size int) error {
	if most := w.settings.Number("max.request.size"); size > most {
		return tool.UpstreamError("The message is %d bytes when serialized which is larger than %d,"+
			" which is the value of the max.request.size configuration.", size, most)
	}
	if size > w.settings.Number("buffer.memory") {
		return tool.UpstreamError("The message is %d bytes when serialized which is larger than the"+
			" total memory buffer you have configured with the buffer.memory configuration.", size)
	}
	return nil
}

// topicGrace is how long a topic is waited for after an interrupt, so that lines are not lost that
// were typed before.
const topicGrace = 5 * time.Second

// awaitTopic asks for the topic until the cluster knows it; asking creates it where brokers do
// that on demand. The library, too, would ask, but count every answer as an attempt to send. An
// interrupt ends it at once only if there is nobody to ask.
func (w *writer) awaitTopic(ctx context.Context) error {
	most := w.settings.Duration("max.block.ms")
	waitCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	defer cancel()
	var alone atomic.Bool // no broker could be asked
	defer context.AfterFunc(ctx, func() {
		if alone.Load() {
			cancel()
		} else {
			time.AfterFunc(topicGrace, cancel)
		}
	})()
	pause := max(time.Millisecond, w.settings.Duration("retry.backoff.ms"))
	told := noBroker
	for {
		err := w.findTopic(waitCtx)
		if err == nil || !kerr.IsRetriable(err) {
			return err
		}
		if issue := (*kerr.Error)(nil); errors.As(err, &issue) && issue != noBroker && issue != told {
			fmt.Fprintf(w.warnings, "WARN The metadata response from the cluster reported a"+
				" recoverable issue: {%s=%s}\n", w.topic, issue.Message)
			told = issue
		}
		if alone.Store(errors.Is(err, noBroker)); alone.Load() && ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-waitCtx.Done():
			if err := ctx.Err(); err != nil {
				return err
			}
			return tool.UpstreamError("Topic %s not present in metadata after %d ms.", w.topic,
				most.Milliseconds())
		case <-time.After(pause):
		}
		pause = min(2*pause, max(pause, w.settings.Duration("retry.backoff.max.ms")))
	}
}

// noBroker is the answer when there is none.
var noBroker = kerr.BrokerNotAvailable

// findTopic asks once whether the topic has a leader to send to. A retriable error tells why it
// has none yet.
func (w *writer) findTopic(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &w.topic
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, w.client)
	if err != nil || len(resp.Topics) != 1 {
		return noBroker // the client has warned of what happened
	}
	t := &resp.Topics[0]
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		return err
	}
	for i := range t.Partitions {
		if t.Partitions[i].Leader >= 0 {
			return nil
		}
	}
	return kerr.LeaderNotAvailable
}

// serializedSize is the size of a batch of this record alone, without compression, as upstream
// estimates it: the headers of batch and record at their longest, then the fields.
func serializedSize(rec *kgo.Record) int {
	const batchHeader, recordHeader = 61, 21
	n := batchHeader + recordHeader + fieldSize(rec.Key) + fieldSize(rec.Value)
	n += varintSize(len(rec.Headers))
	for i := range rec.Headers {
		h := &rec.Headers[i]
		n += varintSize(len(h.Key)) + len(h.Key) + fieldSize(h.Value)
	}
	return n
}

func fieldSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(len(b)) + len(b)
}

// varintSize is the size of n, which is not negative, as a zigzag varint.
func varintSize(n int) int { return (bits.Len64(uint64(n)<<1|1) + 6) / 7 }
