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
	"strings"

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
	tool.Number("socket-buffer-size", "Integer: size", "Size in bytes of the buffer with which the"+
		" system sends.").WithDefault("102400"),
	tool.Text("property", "prop", "A mechanism to pass properties in the form key=value to the"+
		" message reader:\n parse.key=false\n parse.headers=false\n ignore.error=false\n"+
		" key.separator=\\t\n headers.delimiter=\\t\n headers.separator=,\n headers.key.separator=:\n"+
		" null.marker="),
	tool.Text("reader-config", "config file", "Config properties file for the message reader."+
		" --property takes precedence over this config."),
	tool.Text("producer-property", "producer_prop", "A mechanism to pass user-defined properties in"+
		" the form key=value to the producer. Options that stand for a property take precedence."),
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
		if class := p.Value("line-reader"); err == nil && !isLineReader(class) {
			fmt.Fprintf(env.Err, "line reader %s is not known to this tool\n", class)
			return tool.ExitFailed
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

// isLineReader tells the names of upstream's reader, which is the only one here: each line is a
// message.
func isLineReader(class string) bool {
	return class == "" || strings.HasSuffix(class, ".ConsoleProducer$LineMessageReader") ||
		strings.HasSuffix(class, ".LineMessageReader")
}

// produce sends the lines of standard input until it ends or the user interrupts.
func produce(ctx context.Context, env tool.Env, p *tool.Parsed) error {
	props, err := tool.Properties(p.Value("reader-config"), p.All("property"))
	if err != nil {
		return err
	}
	reader, err := newLineReader(props)
	if err != nil {
		return err
	}
	if props, err = producerProperties(env, p); err != nil {
		return err
	}
	settings, err := tool.NewSettings(env, tool.Producer, props)
	if err != nil {
		return err
	}
	w, err := newWriter(env, settings, p.Value("topic"))
	if err != nil {
		return err
	}
	s := &sender{out: w, sync: p.Has("sync"), env: env}
	err = s.sendLines(ctx, reader)
	// What was typed is sent, also after an interrupt: no line that was accepted gets lost.
	if closeErr := w.close(); err == nil {
		err = closeErr
	}
	return err
}

// propertyOptions are the options that stand for a property. Where two do, the last counts.
var propertyOptions = []struct{ option, property string }{
	{"timeout", "linger.ms"}, {"request-required-acks", "acks"},
	{"request-timeout-ms", "request.timeout.ms"}, {"message-send-max-retries", "retries"},
	{"retry-backoff-ms", "retry.backoff.ms"}, {"socket-buffer-size", "send.buffer.bytes"},
	{"max-memory-bytes", "buffer.memory"}, {"batch-size", "batch.size"},
	{"max-partition-memory-bytes", "batch.size"}, {"metadata-expiry-ms", "metadata.max.age.ms"},
	{"max-block-ms", "max.block.ms"},
}

// producerProperties are those given, with the options over them and the options' defaults where
// nothing is given.
func producerProperties(env tool.Env, p *tool.Parsed) (map[string]string, error) {
	props, err := tool.Properties(p.Value("producer.config"), p.All("producer-property"))
	if err != nil {
		return nil, err
	}
	props["bootstrap.servers"] = cmp.Or(p.Value("bootstrap-server"), p.Value("broker-list"))
	props["client.id"] = cmp.Or(props["client.id"], "console-producer")
	_, lingers := props["linger.ms"]
	for _, o := range propertyOptions {
		_, set := props[o.property]
		// The default of retries counts for nothing: see what tool.Settings does with retries.
		if p.Has(o.option) || !set && o.property != "retries" {
			props[o.property] = p.Value(o.option)
		}
	}
	if (env.Terminal || p.Has("sync")) && !lingers && !p.Has("timeout") {
		props["linger.ms"] = "0" // who types a line, or sends one at a time, waits for nothing else
	}
	// Upstream also overwrites compression.type when the option is not given.
	if p.Has("compression-codec") {
		props["compression.type"] = cmp.Or(p.Value("compression-codec"), "gzip")
	}
	return props, nil
}

// sender sends records and reports those that fail.
type sender struct {
	out  *writer
	sync bool
	env  tool.Env
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
	if !s.sync {
		s.out.write(ctx, rec, s.report)
		return nil
	}
	outcome := make(chan error, 1)
	s.out.write(ctx, rec, func(_ *kgo.Record, err error) { outcome <- err })
	return <-outcome
}

func (s *sender) report(rec *kgo.Record, err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(s.env.Err, "ERROR Error when sending message to topic %s with key: %s,"+
		" value: %d bytes with error: %v\n", rec.Topic, sizeOf(rec.Key), len(rec.Value), err)
}

func sizeOf(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%d bytes", len(b))
}
