package tool

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
)

var producerOptions = append([]option{
	text("topic", "topic", "REQUIRED: The topic id to produce messages to."),
	text("broker-list", "broker-list", "DEPRECATED, use --bootstrap-server instead; ignored if"+
		" --bootstrap-server is specified."),
	text("bootstrap-server", "server to connect to", "REQUIRED unless --broker-list(deprecated)"+
		" is specified. The server(s) to connect to, in the form HOST1:PORT1,HOST2:PORT2."),
	flag("sync", "If set message send requests to the brokers are synchronously, one at a time as"+
		" they arrive."),
	{name: "compression-codec", arg: optional, what: "String: compression-codec",
		help: "The compression codec: either 'none', 'gzip', 'snappy', 'lz4', or 'zstd'." +
			" If specified without value, then it defaults to 'gzip'"},
	{name: "batch-size", arg: required, what: "Integer: size", integer: true, def: "16384",
		help: "Size in bytes of a batch if messages are not sent synchronously."},
	{name: "message-send-max-retries", arg: required, what: "Integer", integer: true, def: "3",
		help: "Number of retries before the producer gives up and drops a message."},
	{name: "retry-backoff-ms", arg: required, what: "Long", integer: true, def: "100",
		help: "Time to wait before a retry."},
	{name: "timeout", arg: required, what: "Long: timeout_ms", integer: true, def: "1000",
		help: "Time a message waits for others to share its batch, in ms."},
	{name: "request-required-acks", arg: required, what: "String: request required acks",
		def: "-1", help: "The required `acks` of the producer requests"},
	{name: "request-timeout-ms", arg: required, what: "Integer: request timeout ms", integer: true,
		def: "1500", help: "The ack timeout of the producer requests. Must be positive."},
	{name: "metadata-expiry-ms", arg: required, what: "Long: metadata expiration interval",
		integer: true, def: "300000", help: "Time after which metadata is refreshed."},
	{name: "max-block-ms", arg: required, what: "Long: max block on send", integer: true,
		def: "60000", help: "Time that the producer will block for during a send request."},
	{name: "max-memory-bytes", arg: required, what: "Long: total memory in bytes", integer: true,
		def: "33554432", help: "Memory to buffer records waiting to be sent to the server."},
	{name: "max-partition-memory-bytes", arg: required, what: "Integer: memory in bytes per" +
		" partition", integer: true, def: "16384", help: "Size in bytes of a batch."},
	text("line-reader", "reader_class", "The class name of the class to use for reading lines"+
		" from standard in. Only the default is there: each line is a message."),
	{name: "socket-buffer-size", arg: required, what: "Integer: size", integer: true,
		def: "102400", help: "Accepted for compatibility."},
	text("property", "prop", "A mechanism to pass properties in the form key=value to the message"+
		" reader:\n parse.key=false\n parse.headers=false\n ignore.error=false\n"+
		" key.separator=\\t\n headers.delimiter=\\t\n headers.separator=,\n"+
		" headers.key.separator=:\n null.marker="),
	text("reader-config", "config file", "Config properties file for the message reader."+
		" --property takes precedence over this config."),
	text("producer-property", "producer_prop", "A mechanism to pass user-defined properties in"+
		" the form key=value to the producer."),
	text("producer.config", "config file", "Producer config properties file."+
		" --producer-property takes precedence over this config."),
}, helpOptions...)

// ConsoleProducer is kafka-console-producer.
func ConsoleProducer() *Tool {
	t := &Tool{
		Name:    "kafka-console-producer",
		Summary: "This tool helps to read data from standard input and publish it to Kafka.",
		options: producerOptions,
	}
	t.run = func(ctx context.Context, env Env, p *parsed) int {
		err := p.missing("topic")
		if err == nil && !p.has("bootstrap-server") && !p.has("broker-list") {
			err = usageError("Missing required option(s) [bootstrap-server]")
		}
		if err == nil {
			err = p.single("topic", "bootstrap-server", "broker-list")
		}
		if err != nil {
			return t.usage(env, err.Error())
		}
		if err := produce(ctx, env, p); err != nil {
			fmt.Fprintln(env.Err, err)
			return exitFailed
		}
		return 0
	}
	return t
}

// produce sends the lines of standard input until it ends or the user interrupts.
func produce(ctx context.Context, env Env, p *parsed) error {
	fileProps, err := loadProperties(p.value("reader-config"))
	if err != nil {
		return err
	}
	reader, err := newLineReader(merged(fileProps, keyValues(p.all("property"))))
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
	s := &sender{client: cl, topic: p.value("topic"), sync: p.has("sync"), env: env}
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

func producerClientOptions(env Env, p *parsed) ([]kgo.Opt, error) {
	props, err := loadProperties(p.value("producer.config"))
	if err != nil {
		return nil, err
	}
	props = merged(props, keyValues(p.all("producer-property")))
	bootstrap := cmp.Or(p.value("bootstrap-server"), p.value("broker-list"))
	opts, err := clientOptions(bootstrap, props, "console-producer")
	if err != nil {
		return nil, err
	}
	// setting returns the option if given, else the property, else the option's default.
	setting := func(name, key string) string {
		if v, ok := props[key]; ok && !p.has(name) {
			return v
		}
		return p.value(name)
	}
	linger, err := strconv.Atoi(setting("timeout", "linger.ms"))
	if err != nil {
		return nil, fmt.Errorf("invalid linger.ms: %w", err)
	}
	_, set := props["linger.ms"]
	if (env.Terminal || p.has("sync")) && !set && !p.has("timeout") {
		linger = 0 // who types a line, or sends one at a time, waits for nothing else
	}
	opts = append(opts, kgo.AllowAutoTopicCreation(),
		kgo.ProducerLinger(time.Duration(linger)*time.Millisecond))
	opts, err = appendAcks(opts, setting("request-required-acks", "acks"), props)
	if err != nil {
		return nil, err
	}
	codec := "none"
	if p.has("compression-codec") {
		codec = cmp.Or(p.value("compression-codec"), "gzip")
	} else if c := props["compression.type"]; c != "" {
		codec = c
	}
	c, ok := codecs[codec]
	if !ok {
		return nil, upstreamError("Unknown compression name: %s", codec)
	}
	opts = append(opts, kgo.ProducerBatchCompression(c))
	if d, ok := millis(props, "delivery.timeout.ms"); ok {
		opts = append(opts, kgo.RecordDeliveryTimeout(d))
	} else {
		opts = append(opts, kgo.RecordDeliveryTimeout(2*time.Minute))
	}
	if p.has("message-send-max-retries") {
		opts = append(opts, kgo.RecordRetries(int(p.number("message-send-max-retries"))))
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
		return nil, upstreamError("Invalid value %s for configuration acks", acks)
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
	env    Env
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

// lineReader makes records of lines: "headers<tab>key<tab>value", as far as the properties ask
// for headers and key.
type lineReader struct {
	parseKey, parseHeaders, ignoreError bool
	keySeparator                        string
	headersDelimiter, headersSeparator  string
	headersKeySeparator                 string
	nullMarker                          *string
	lines                               int
}

func newLineReader(props map[string]string) (*lineReader, error) {
	yes := func(key string) bool { return strings.EqualFold(strings.TrimSpace(props[key]), "true") }
	get := func(key, otherwise string) string {
		if v, ok := props[key]; ok {
			return v
		}
		return otherwise
	}
	r := &lineReader{
		parseKey: yes("parse.key"), parseHeaders: yes("parse.headers"),
		ignoreError:         yes("ignore.error"),
		keySeparator:        get("key.separator", "\t"),
		headersDelimiter:    get("headers.delimiter", "\t"),
		headersSeparator:    get("headers.separator", ","),
		headersKeySeparator: get("headers.key.separator", ":"),
	}
	if v, ok := props["null.marker"]; ok {
		r.nullMarker = &v
	}
	type pair struct{ a, b, names string }
	pairs := []pair{
		{r.headersDelimiter, r.headersSeparator, "headers.delimiter and headers.separator"},
		{r.headersDelimiter, r.headersKeySeparator, "headers.delimiter and headers.key.separator"},
		{r.headersSeparator, r.headersKeySeparator, "headers.separator and headers.key.separator"},
	}
	if r.nullMarker != nil {
		pairs = append(pairs,
			pair{*r.nullMarker, r.keySeparator, "null.marker and key.separator"},
			pair{*r.nullMarker, r.headersSeparator, "null.marker and headers.separator"},
			pair{*r.nullMarker, r.headersDelimiter, "null.marker and headers.delimiter"},
			pair{*r.nullMarker, r.headersKeySeparator, "null.marker and headers.key.separator"})
	}
	for _, p := range pairs {
		if p.a == p.b {
			return nil, fmt.Errorf("%s may not be equal", p.names)
		}
	}
	return r, nil
}

// field turns text into the bytes of a record's field; the null marker stands for null.
func (r *lineReader) field(s string) []byte {
	if r.nullMarker != nil && s == *r.nullMarker {
		return nil
	}
	return []byte(s)
}

func (r *lineReader) record(line string) (*kgo.Record, error) {
	r.lines++
	rec, rest := &kgo.Record{}, line
	headers, rest, found, err := r.cut(
		r.parseHeaders, rest, r.headersDelimiter, "headers delimiter", line)
	if err != nil {
		return nil, err
	}
	if found && (r.nullMarker == nil || headers != *r.nullMarker) {
		if rec.Headers, err = r.headers(headers); err != nil {
			return nil, err
		}
	}
	key, rest, found, err := r.cut(r.parseKey, rest, r.keySeparator, "key separator", line)
	if err != nil {
		return nil, err
	}
	if found {
		rec.Key = r.field(key)
	}
	rec.Value = r.field(rest)
	return rec, nil
}

// cut takes what stands before the separator off s, if that part is asked for.
func (r *lineReader) cut(
	enabled bool, s, separator, name, line string,
) (part, rest string, found bool, err error) {
	if !enabled {
		return "", s, false, nil
	}
	part, rest, found = strings.Cut(s, separator)
	if found {
		return part, rest, true, nil
	}
	if r.ignoreError {
		return "", s, false, nil
	}
	return "", "", false, upstreamError("No %s found on line number %d: '%s'", name, r.lines, line)
}

func (r *lineReader) headers(s string) ([]kgo.RecordHeader, error) {
	var out []kgo.RecordHeader
	for _, pair := range strings.Split(s, r.headersSeparator) {
		key, value, ok := strings.Cut(pair, r.headersKeySeparator)
		switch {
		case !ok && !r.ignoreError:
			return nil, upstreamError("No header key separator found in pair '%s' on line number %d",
				pair, r.lines)
		case !ok:
			out = append(out, kgo.RecordHeader{Key: pair})
		case r.nullMarker != nil && key == *r.nullMarker:
			return nil, upstreamError("Header keys should not be equal to the null marker '%s' as"+
				" they can't be null", key)
		default:
			out = append(out, kgo.RecordHeader{Key: key, Value: r.field(value)})
		}
	}
	return out, nil
}
