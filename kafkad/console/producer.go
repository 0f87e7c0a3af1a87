// Package console holds the tools that write records from standard input and print them:
// kafka-console-producer, kafka-console-consumer and kafka-verifiable-producer.
//
// A tool runs on its caller's goroutine and owns the goroutines it starts.
package console

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"zkafka/kafkad/tool"
)

var producerOptions = []tool.Option{
	tool.Text("topic", "topic", "REQUIRED: The topic id to produce messages to."),
	tool.Text("broker-list", "broker-list", "DEPRECATED, use --bootstrap-server instead; ignored if"+
		" --bootstrap-server is specified."),
	tool.Text("bootstrap-server", "server to connect to", "REQUIRED unless --broker-list(deprecated)"+
		" is specified. The server(s) to connect to, in the form HOST1:PORT1,HOST2:PORT2."),
	tool.Flag("sync", "If set message send requests to the brokers are synchronously, one at a time"+
		" as they arrive."),
	{Name: "compression-codec", Argument: tool.Optional, Describes: "String: compression-codec",
		Help: "The compression codec: either 'none', 'gzip', 'snappy', 'lz4', or 'zstd'." +
			" If specified without value, then it defaults to 'gzip'"},
	tool.Number("batch-size", "Integer: size", "Size in bytes of a batch if messages are not sent"+
		" synchronously.").WithDefault("16384"),
	tool.Number("message-send-max-retries", "Integer", "Number of retries before the producer gives"+
		" up and drops a message.").WithDefault("3"),
	tool.Number("retry-backoff-ms", "Long", "Time to wait before a retry.").WithDefault("100"),
	tool.Number("timeout", "Long: timeout_ms", "Time a message waits for others to share its batch,"+
		" in ms.").WithDefault("1000"),
	tool.Text("request-required-acks", "request required acks", "The required `acks` of the"+
		" producer requests").WithDefault("-1"),
	tool.Number("request-timeout-ms", "Integer: request timeout ms", "The ack timeout of the"+
		" producer requests. Must be positive.").WithDefault("1500"),
	tool.Number("metadata-expiry-ms", "Long: metadata expiration interval", "Time after which"+
		" metadata is refreshed.").WithDefault("300000"),
	tool.Number("max-block-ms", "Long: max block on send", "Time that the producer will block for"+
		" during a send request.").WithDefault("60000"),
	tool.Number("max-memory-bytes", "Long: total memory in bytes", "Memory to buffer records"+
		" waiting to be sent to the server.").WithDefault("33554432"),
	tool.Number("max-partition-memory-bytes", "Integer: memory in bytes per partition",
		"Size in bytes of a batch.").WithDefault("16384"),
	tool.Text("line-reader", "reader_class", "The class name of the class to use for reading lines"+
		" from standard in. Only the default is there: each line is a message."),
	tool.Number("socket-buffer-size", "Integer: size", "Accepted for"+
		" compatibility.").WithDefault("102400"),
	tool.Text("property", "prop", "A mechanism to pass properties in the form key=value to the"+
		" message reader:\n parse.key=false\n parse.headers=false\n ignore.error=false\n"+
		" key.separator=\\t\n headers.delimiter=\\t\n headers.separator=,\n headers.key.separator=:\n"+
		" null.marker="),
	tool.Text("reader-config", "config file", "Config properties file for the message reader."+
		" --property takes precedence over this config."),
	tool.Text("producer-property", "producer_prop", "A mechanism to pass user-defined properties in"+
		" the form key=value to the producer."),
	tool.Text("producer.config", "config file", "Producer config properties file."+
		" --producer-property takes precedence over this config."),
}

// Producer is kafka-console-producer.
func Producer() *tool.Tool {
	t := &tool.Tool{
		Name:    "kafka-console-producer",
		Summary: "This tool helps to read data from standard input and publish it to Kafka.",
		Options: producerOptions,
	}
	t.Main = func(ctx context.Context, env tool.Env, p *tool.Parsed) int {
		err := p.Missing("topic")
		if err == nil && !p.Has("bootstrap-server") && !p.Has("broker-list") {
			err = tool.UsageError("Missing required option(s) [bootstrap-server]")
		}
		if err == nil {
			err = p.Single("topic", "bootstrap-server", "broker-list")
		}
		if err != nil {
			return t.Usage(env, err.Error())
		}
		if err := produce(ctx, env, p); err != nil {
			return t.Fail(env, err)
		}
		return 0
	}
	return t
}

// produce sends the lines of standard input until it ends or the user interrupts.
func produce(ctx context.Context, env tool.Env, p *tool.Parsed) error {
	fileProps, err := tool.LoadProperties(p.Value("reader-config"))
	if err != nil {
		return err
	}
	reader, err := newLineReader(merged(fileProps, keyValues(p.All("property"))))
	if err != nil {
		return err
	}
	opts, err := producerClientOptions(env, p)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	s := &sender{client: cl, topic: p.Value("topic"), sync: p.Has("sync"), env: env}
	err = s.sendLines(ctx, reader)
	// What was typed is sent, also after an interrupt: no line that was accepted gets lost.
	flushCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if flushErr := cl.Flush(flushCtx); err == nil && flushErr != nil {
		err = fmt.Errorf("messages were not sent: %w", flushErr)
	}
	return err
}

const flushTimeout = 2 * time.Minute

func producerClientOptions(env tool.Env, p *tool.Parsed) ([]kgo.Opt, error) {
	props, err := tool.LoadProperties(p.Value("producer.config"))
	if err != nil {
		return nil, err
	}
	props = merged(props, keyValues(p.All("producer-property")))
	bootstrap := cmp.Or(p.Value("bootstrap-server"), p.Value("broker-list"))
	opts, err := tool.ClientOptions(bootstrap, props, "console-producer")
	if err != nil {
		return nil, err
	}
	// setting returns the option if given, else the property, else the option's default.
	setting := func(name, key string) string {
		if v, ok := props[key]; ok && !p.Has(name) {
			return v
		}
		return p.Value(name)
	}
	linger, err := strconv.Atoi(setting("timeout", "linger.ms"))
	if err != nil {
		return nil, fmt.Errorf("invalid linger.ms: %w", err)
	}
	_, set := props["linger.ms"]
	if (env.Terminal || p.Has("sync")) && !set && !p.Has("timeout") {
		linger = 0 // who types a line, or sends one at a time, waits for nothing else
	}
	opts = append(opts, kgo.AllowAutoTopicCreation(),
		kgo.ProducerLinger(time.Duration(linger)*time.Millisecond))
	opts, err = appendAcks(opts, setting("request-required-acks", "acks"), props)
	if err != nil {
		return nil, err
	}
	codec := "none"
	if p.Has("compression-codec") {
		codec = cmp.Or(p.Value("compression-codec"), "gzip")
	} else if c := props["compression.type"]; c != "" {
		codec = c
	}
	c, ok := codecs[codec]
	if !ok {
		return nil, tool.UpstreamError("Unknown compression name: %s", codec)
	}
	opts = append(opts, kgo.ProducerBatchCompression(c))
	if d, ok := tool.Millis(props, "delivery.timeout.ms"); ok {
		opts = append(opts, kgo.RecordDeliveryTimeout(d))
	} else {
		opts = append(opts, kgo.RecordDeliveryTimeout(2*time.Minute))
	}
	if p.Has("message-send-max-retries") {
		opts = append(opts, kgo.RecordRetries(int(p.Number("message-send-max-retries"))))
	}
	if n, err := strconv.ParseInt(props["max.request.size"], 10, 32); err == nil && n > 0 {
		opts = append(opts, kgo.ProducerBatchMaxBytes(int32(n)))
	}
	if id := props["transactional.id"]; id != "" {
		return nil, errors.New("transactional.id is of no use to a tool without transactions")
	}
	return opts, nil
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// appendAcks sets acks; without acks of all replicas a producer cannot be idempotent.
func appendAcks(opts []kgo.Opt, acks string, props map[string]string) ([]kgo.Opt, error) {
	idempotent := props["enable.idempotence"] != "false"
	switch acks {
	case "-1", "all":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		opts, idempotent = append(opts, kgo.RequiredAcks(kgo.LeaderAck())), false
	case "0":
		opts, idempotent = append(opts, kgo.RequiredAcks(kgo.NoAck())), false
	default:
		return nil, tool.UpstreamError("Invalid value %s for configuration acks", acks)
	}
	if !idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	return opts, nil
}

// sender sends records and reports those that fail.
type sender struct {
	client *kgo.Client
	topic  string
	sync   bool
	env    tool.Env
	mu     sync.Mutex // guards writes to env.Err from the client's callbacks
}

// sendLines reads until the end of input or of ctx. The reading goroutine is left behind when ctx
// ends: nobody can interrupt a read of a terminal, and the process is about to end.
func (s *sender) sendLines(ctx context.Context, r *lineReader) error {
	type line struct {
		text string
		err  error
	}
	lines := make(chan line)
	go func() {
		in := bufio.NewReaderSize(s.env.In, 1<<16)
		for {
			if s.env.Terminal {
				fmt.Fprint(s.env.Out, ">")
			}
			text, err := readLine(in)
			select {
			case lines <- line{text, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case l := <-lines:
			if errors.Is(l.err, io.EOF) {
				return nil
			}
			if l.err != nil {
				return l.err
			}
			rec, err := r.record(l.text)
			if err != nil {
				return err
			}
			rec.Topic = s.topic
			if err := s.send(ctx, rec); err != nil {
				return err
			}
		}
	}
}

// readLine returns the next line without its end; a last line needs none.
func readLine(in *bufio.Reader) (string, error) {
	text, err := in.ReadString('\n')
	if err != nil && (text == "" || !errors.Is(err, io.EOF)) {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), nil
}

func (s *sender) send(ctx context.Context, rec *kgo.Record) error {
	ctx = context.WithoutCancel(ctx)
	if s.sync {
		return s.client.ProduceSync(ctx, rec).FirstErr()
	}
	s.client.Produce(ctx, rec, func(rec *kgo.Record, err error) {
		if err == nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Fprintf(s.env.Err, "ERROR Error when sending message to topic %s with key: %s,"+
			" value: %d bytes with error: %v\n", rec.Topic, sizeOf(rec.Key), len(rec.Value), err)
	})
	return nil
}

func sizeOf(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%d bytes", len(b))
}
