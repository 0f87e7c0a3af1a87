package console

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"zkafka/kafkad/tool"
)

var verifiableOptions = []tool.Option{
	tool.Text("topic", "TOPIC", "Produce messages to this topic."),
	tool.Text("bootstrap-server", "HOST1:PORT1[,HOST2:PORT2[...]]", "REQUIRED unless --broker-list"+
		" is specified. The server(s) to connect to."),
	tool.Text("broker-list", "HOST1:PORT1[,HOST2:PORT2[...]]", "DEPRECATED, use --bootstrap-server"+
		" instead."),
	tool.Number("max-messages", "MAX-MESSAGES", "Produce this many messages. If -1, produce"+
		" messages until the process is killed.").WithDefault("-1"),
	tool.Number("throughput", "THROUGHPUT", "If set >= 0, throttle maximum message throughput to"+
		" *approximately* THROUGHPUT messages/sec.").WithDefault("-1"),
	tool.Number("acks", "ACKS", "Acks required on each produced message: 0, 1 or"+
		" -1.").WithDefault("-1"),
	tool.Text("producer.config", "CONFIG_FILE", "Producer config properties file."),
	tool.Number("message-create-time", "CREATETIME", "Send messages with creation time starting at"+
		" the arguments value, in milliseconds since epoch.").WithDefault("-1"),
	tool.Number("value-prefix", "VALUE-PREFIX", "If specified, each produced value will have this"+
		" prefix with a dot separator."),
	tool.Number("repeating-keys", "REPEATING-KEYS", "If specified, each produced record will have a"+
		" key starting at 0 increment by 1 up to the number specified (exclusive), then the key is set"+
		" to 0 again."),
}

// VerifiableProducer is kafka-verifiable-producer: it writes one JSON line about every message,
// after the broker acknowledged it.
func VerifiableProducer() *tool.Tool {
	t := &tool.Tool{
		Name: "kafka-verifiable-producer",
		Summary: "This tool produces increasing integers to the specified topic and prints JSON" +
			" metadata to stdout on each \"send\" request, making externally visible which" +
			" messages have been acked and which have not.",
		Options: verifiableOptions, Streams: true,
	}
	t.Main = func(ctx context.Context, env tool.Env, p *tool.Parsed) int {
		err := p.Missing("topic")
		if err == nil && !p.Has("bootstrap-server") && !p.Has("broker-list") {
			err = p.Missing("bootstrap-server")
		}
		if err != nil {
			return t.Usage(env, err.Error())
		}
		if err := newVerifiable(env, p).run(ctx, env); err != nil {
			return t.Fail(env, err)
		}
		return 0
	}
	return t
}

// verifiable is one run of the producer. mu guards the counters and the output.
type verifiable struct {
	p   *tool.Parsed
	out io.Writer

	mu    sync.Mutex
	sent  int64
	acked int64
}

func newVerifiable(env tool.Env, p *tool.Parsed) *verifiable {
	return &verifiable{p: p, out: env.Out}
}

type verifiableEvent struct {
	Timestamp int64  `json:"timestamp"`
	Name      string `json:"name"`
}

type verifiableSuccess struct {
	verifiableEvent
	Key       *string `json:"key"`
	Value     string  `json:"value"`
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
}

type verifiableFailure struct {
	verifiableEvent
	Key       *string `json:"key"`
	Value     string  `json:"value"`
	Topic     string  `json:"topic"`
	Exception string  `json:"exception"`
	Message   string  `json:"message"`
}

type verifiableSummary struct {
	verifiableEvent
	Sent             int64   `json:"sent"`
	Acked            int64   `json:"acked"`
	TargetThroughput int64   `json:"target_throughput"`
	AvgThroughput    float64 `json:"avg_throughput"`
}

func event(name string) verifiableEvent {
	return verifiableEvent{Timestamp: time.Now().UnixMilli(), Name: name}
}

// print writes one line in one piece, so that a reader of a pipe sees whole lines.
func (v *verifiable) print(e any) {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // plain structures always encode
	}
	_, _ = v.out.Write(append(b, '\n')) // nobody left to tell if standard output is gone
}

// writer makes a writer by the options. Upstream lets the file overrule them.
func (v *verifiable) writer(env tool.Env) (*writer, error) {
	props := map[string]string{
		"bootstrap.servers": cmp.Or(v.p.Value("bootstrap-server"), v.p.Value("broker-list")),
		"client.id":         "producer-1", "acks": v.p.Value("acks"),
		"retries": "0", // a message that failed is told about, not sent again
	}
	given, err := tool.Properties(v.p.Value("producer.config"), nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(props, given)
	settings, err := tool.NewSettings(env, tool.Producer, props)
	if err != nil {
		return nil, err
	}
	var opts []kgo.Opt
	if v.p.Number("message-create-time") >= 0 {
		// The library takes the time of a record for the time when it began to wait.
		opts = append(opts, kgo.RecordDeliveryTimeout(0))
	}
	return newWriter(env, settings, v.p.Value("topic"), opts...)
}

func (v *verifiable) run(ctx context.Context, env tool.Env) error {
	w, err := v.writer(env)
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.print(event("startup_complete"))
	v.mu.Unlock()
	begun := time.Now()
	limit, rate := v.p.Number("max-messages"), v.p.Number("throughput")
	for i := int64(0); (limit < 0 || i < limit) && ctx.Err() == nil; i++ {
		v.send(ctx, w, i)
		if rate > 0 {
			v.pace(ctx, begun, i+1, rate)
		}
	}
	err = w.close()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.print(event("shutdown_complete"))
	v.print(verifiableSummary{
		verifiableEvent: event("tool_data"), Sent: v.sent, Acked: v.acked, TargetThroughput: rate,
		AvgThroughput: 1000 * float64(v.acked) / float64(max(1, time.Since(begun).Milliseconds())),
	})
	return err
}

// pace waits until n messages may have been sent at that rate.
func (v *verifiable) pace(ctx context.Context, begun time.Time, n, rate int64) {
	due := begun.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	wait := time.Until(due)
	if wait < time.Millisecond {
		return
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

func (v *verifiable) send(ctx context.Context, w *writer, i int64) {
	rec := &kgo.Record{Value: []byte(strconv.FormatInt(i, 10))}
	if v.p.Has("value-prefix") {
		rec.Value = []byte(v.p.Value("value-prefix") + "." + string(rec.Value))
	}
	var key *string
	if n := v.p.Number("repeating-keys"); n > 0 {
		s := strconv.FormatInt(i%n, 10)
		key, rec.Key = &s, []byte(s)
	}
	if at := v.p.Number("message-create-time"); at >= 0 {
		rec.Timestamp = time.UnixMilli(at + i)
	}
	v.mu.Lock()
	v.sent++
	v.mu.Unlock()
	w.write(ctx, rec, func(r *kgo.Record, err error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if err != nil {
			v.print(verifiableFailure{
				verifiableEvent: event("producer_send_error"), Key: key, Value: string(r.Value),
				Topic: r.Topic, Exception: fmt.Sprintf("%T", err), Message: err.Error(),
			})
			return
		}
		v.acked++
		if w.settings.Text("acks") == "0" {
			r.Offset = -1 // nobody told
		}
		v.print(verifiableSuccess{
			verifiableEvent: event("producer_send_success"), Key: key, Value: string(r.Value),
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		})
	})
}
