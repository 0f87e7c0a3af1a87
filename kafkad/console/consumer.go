package console

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/tool"
)

var consumerOptions = []tool.Option{
	tool.Text("topic", "topic", "The topic to consume on."),
	tool.Text("whitelist", "Java regex (String)", "DEPRECATED, use --include instead; ignored if"+
		" --include specified."),
	tool.Text("include", "Java regex (String)", "Regular expression specifying list of topics to"+
		" include for consumption."),
	tool.Number("partition", "Integer: partition", "The partition to consume from. Consumption"+
		" starts from the end of the partition unless '--offset' is specified."),
	tool.Text("offset", "consume offset", "The offset to consume from (a non-negative number), or"+
		" 'earliest' which means from beginning, or 'latest' which means from"+
		" end").WithDefault("latest"),
	tool.Text("consumer-property", "consumer_prop", "A mechanism to pass user-defined properties in"+
		" the form key=value to the consumer."),
	tool.Text("consumer.config", "config file", "Consumer config properties file."+
		" --consumer-property takes precedence over this config."),
	tool.Text("formatter", "class", "The name of a class to use for formatting kafka messages for"+
		" display.").WithDefault("org.apache.kafka.tools.consumer.DefaultMessageFormatter"),
	tool.Text("property", "prop", "The properties to initialize the message formatter:\n"+
		" print.timestamp=true|false\n print.key=true|false\n print.offset=true|false\n"+
		" print.partition=true|false\n print.headers=true|false\n print.value=true|false\n"+
		" key.separator=<key.separator>\n line.separator=<line.separator>\n"+
		" headers.separator=<line.separator>\n null.literal=<null.literal>\n"+
		" key.deserializer=<key.deserializer>\n value.deserializer=<value.deserializer>\n"+
		" header.deserializer=<header.deserializer>"),
	tool.Text("formatter-config", "config file", "Config properties file to initialize the message"+
		" formatter. --property takes precedence over this config."),
	tool.Flag("from-beginning", "If the consumer does not already have an established offset to"+
		" consume from, start with the earliest message present in the log rather than the"+
		" latest message."),
	tool.Number("max-messages", "Integer: num_messages", "The maximum number of messages to consume"+
		" before exiting. If not set, consumption is continual."),
	tool.Number("timeout-ms", "Long: timeout_ms", "If specified, exit if no message is available for"+
		" consumption for the specified interval."),
	tool.Flag("skip-message-on-error", "If there is an error when processing a message, skip it"+
		" instead of halt."),
	tool.Text("bootstrap-server", "server to connect to", "REQUIRED: The server(s) to connect to."),
	tool.Text("key-deserializer", "deserializer for key", "The class that shows keys."),
	tool.Text("value-deserializer", "deserializer for values", "The class that shows values."),
	tool.Flag("enable-systest-events", "Log lifecycle events of the consumer in addition to logging"+
		" consumed messages."),
	tool.Text("isolation-level", "", "Set to read_committed in order to filter out transactional"+
		" messages which are not committed. Set to read_uncommitted to read all"+
		" messages.").WithDefault("read_uncommitted"),
	tool.Text("group", "consumer group id", "The consumer group id of the consumer."),
	tool.Text("zookeeper", "urls", "The old consumer's option; it is gone since Kafka 2.0."),
}

// Consumer is kafka-console-consumer.
func Consumer() *tool.Tool {
	t := &tool.Tool{
		Name: "kafka-console-consumer",
		Summary: "This tool helps to read data from Kafka topics and outputs it to standard" +
			" output.",
		Options: consumerOptions, Streams: true,
	}
	t.Main = func(ctx context.Context, env tool.Env, p *tool.Parsed) int {
		c, err := newConsoleConsumer(env, p)
		if err != nil {
			return t.Fail(env, err)
		}
		return c.run(ctx)
	}
	return t
}

// consoleConsumer prints records until it has enough of them.
type consoleConsumer struct {
	env         tool.Env
	out         *bufio.Writer
	format      formatter
	settings    *tool.Settings
	opts        []kgo.Opt
	autoCommit  bool
	maxMessages int           // -1 = no end
	timeout     time.Duration // 0 = waits for ever
	skipErrors  bool
	events      bool
	count       int
	starts      startPositions
}

func checkConsumer(p *tool.Parsed) error {
	if p.Has("zookeeper") {
		return tool.UsageError("zookeeper is not a recognized option: use --bootstrap-server")
	}
	topics := 0
	if p.Has("topic") {
		topics++
	}
	if p.Has("include") || p.Has("whitelist") {
		topics++
	}
	switch {
	case topics != 1 && p.Has("whitelist"):
		return tool.UsageError("Exactly one of --include/--topic is required. --whitelist is" +
			" DEPRECATED use --include instead; ignored if --include specified.")
	case topics != 1:
		return tool.UsageError("Exactly one of --include/--topic is required. ")
	case p.Has("partition") && !p.Has("topic"):
		return tool.UsageError("The topic is required when partition is specified.")
	case p.Has("partition") && p.Has("from-beginning") && p.Has("offset"):
		return tool.UsageError("Options from-beginning and offset cannot be specified together.")
	case !p.Has("partition") && p.Has("offset"):
		return tool.UsageError("The partition is required when offset is specified.")
	}
	if err := p.Single("topic", "partition", "offset", "max-messages", "timeout-ms", "group",
		"bootstrap-server", "include", "whitelist"); err != nil {
		return tool.UsageError(err.Error())
	}
	return p.Missing("bootstrap-server")
}

func newConsoleConsumer(env tool.Env, p *tool.Parsed) (*consoleConsumer, error) {
	if err := checkConsumer(p); err != nil {
		return nil, err
	}
	c := &consoleConsumer{
		env: env, out: bufio.NewWriterSize(env.Out, 1<<16), maxMessages: -1,
		skipErrors: p.Has("skip-message-on-error"), events: p.Has("enable-systest-events"),
	}
	if p.Has("max-messages") {
		c.maxMessages = int(p.Number("max-messages"))
	}
	if n := p.Number("timeout-ms"); p.Has("timeout-ms") && n >= 0 {
		c.timeout = time.Duration(n) * time.Millisecond
	}
	var err error
	if c.format, err = consumerFormatter(p); err != nil {
		return nil, tool.UsageError(err.Error())
	}
	props, err := consumerProperties(p)
	if err != nil {
		return nil, err
	}
	if c.settings, err = tool.NewSettings(env, tool.Consumer, props); err != nil {
		return nil, err
	}
	c.opts = c.settings.Options()
	return c, c.addOptions(p)
}

// consumerProperties are those given, with the options over them and the options' defaults where
// nothing is given.
func consumerProperties(p *tool.Parsed) (map[string]string, error) {
	file, err := tool.Properties(p.Value("consumer.config"), nil)
	if err != nil {
		return nil, err
	}
	props, err := tool.Properties(p.Value("consumer.config"), p.All("consumer-property"))
	if err != nil {
		return nil, err
	}
	group, err := consumerGroup(p, file, props)
	if err != nil {
		return nil, err
	}
	if group == "" {
		// Nobody will ask for the offsets of such a group again.
		group = fmt.Sprintf("console-consumer-%d", rand.N(anonymousGroups))
		props["enable.auto.commit"] = cmp.Or(props["enable.auto.commit"], "false")
	}
	props["group.id"] = group
	props["bootstrap.servers"] = p.Value("bootstrap-server")
	props["client.id"] = cmp.Or(props["client.id"], "console-consumer")
	if _, set := props["isolation.level"]; p.Has("isolation-level") || !set {
		props["isolation.level"] = p.Value("isolation-level")
	}
	v, set := props["auto.offset.reset"]
	switch {
	case p.Has("from-beginning") && set && v != "earliest":
		return nil, tool.UpstreamError("Can't simultaneously specify --from-beginning and"+
			" 'auto.offset.reset=%s', please remove one option", v)
	case p.Has("from-beginning"):
		props["auto.offset.reset"] = "earliest"
	}
	return props, nil
}

func consumerFormatter(p *tool.Parsed) (formatter, error) {
	var pairs []string
	for _, side := range []string{"key", "value"} {
		if v := p.Value(side + "-deserializer"); v != "" {
			pairs = append(pairs, side+".deserializer="+v)
		}
	}
	props, err := tool.Properties(p.Value("formatter-config"), append(pairs, p.All("property")...))
	if err != nil {
		return nil, err
	}
	class := p.Value("formatter")
	build, ok := formatters[class[strings.LastIndexByte(class, '.')+1:]]
	if !ok {
		return nil, fmt.Errorf("formatter %s is not known to this tool", class)
	}
	return build(props)
}

// consumerGroup returns the group that was named, however it was named; "" = none.
func consumerGroup(p *tool.Parsed, props ...map[string]string) (string, error) {
	groups := map[string]bool{}
	if p.Has("group") {
		groups[p.Value("group")] = true
	}
	for _, m := range props {
		if g, ok := m["group.id"]; ok {
			groups[g] = true
		}
	}
	names := slices.Sorted(maps.Keys(groups))
	switch {
	case len(names) > 1:
		return "", tool.UsageError("The group ids provided in different places (directly using" +
			" '--group', via '--consumer-property', or via '--consumer.config') do not match." +
			" Detected group ids: '" + strings.Join(names, "', '") + "'")
	case len(names) == 1 && p.Has("partition"):
		return "", tool.UsageError("Options group and partition cannot be specified together.")
	case len(names) == 1:
		return names[0], nil
	}
	return "", nil
}

// anonymousGroups is how many names there are for the groups of consumers that name none.
const anonymousGroups = 100_000

// resets are the places where a group without offsets starts.
var resets = map[string]kgo.Offset{
	"earliest": kgo.NewOffset().AtStart(), "latest": kgo.NewOffset().AtEnd(),
	"none": kgo.NoResetOffset(),
}

// addOptions adds what to consume, and for whom.
func (c *consoleConsumer) addOptions(p *tool.Parsed) error {
	c.opts = append(c.opts, kgo.ConsumeResetOffset(resets[c.settings.Text("auto.offset.reset")]))
	if p.Has("partition") {
		from, err := partitionOffset(p)
		if err != nil {
			return err
		}
		c.opts = append(c.opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			p.Value("topic"): {int32(p.Number("partition")): from},
		}))
		return nil
	}
	if p.Has("topic") {
		c.opts = append(c.opts, kgo.ConsumeTopics(p.Value("topic")))
	} else {
		whole := "^(?:" + cmp.Or(p.Value("include"), p.Value("whitelist")) + ")$"
		if _, err := regexp.Compile(whole); err != nil {
			return tool.UsageError(err.Error())
		}
		c.opts = append(c.opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(whole))
		if c.settings.Flag("exclude.internal.topics") {
			c.opts = append(c.opts, kgo.ConsumeExcludeTopics("^"+cluster.OffsetsTopic+"$",
				"^"+cluster.TransactionsTopic+"$"))
		}
	}
	c.opts = append(c.opts, kgo.ConsumerGroup(c.settings.Text("group.id")))
	if c.autoCommit = c.settings.Flag("enable.auto.commit"); c.autoCommit {
		c.opts = append(c.opts, kgo.AutoCommitMarks())
		c.opts = append(c.opts, c.starts.options(c.env.Err, c.settings)...)
	} else {
		c.opts = append(c.opts, kgo.DisableAutoCommit())
	}
	return nil
}

func partitionOffset(p *tool.Parsed) (kgo.Offset, error) {
	text := p.Value("offset")
	switch {
	case !p.Has("offset") && p.Has("from-beginning"), strings.EqualFold(text, "earliest"):
		return kgo.NewOffset().AtStart(), nil
	case strings.EqualFold(text, "latest"):
		return kgo.NewOffset().AtEnd(), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return kgo.Offset{}, tool.UsageError("The provided offset value '" + text + "' is incorrect." +
			" Valid values are 'earliest', 'latest', or a non-negative long.")
	}
	return kgo.NewOffset().At(n), nil
}

func (c *consoleConsumer) run(ctx context.Context) int {
	cl, err := kgo.NewClient(c.opts...)
	if err != nil {
		fmt.Fprintln(c.env.Err, err)
		return tool.ExitFailed
	}
	code := c.consume(ctx, cl)
	if errors.Is(context.Cause(ctx), tool.ErrOutput) {
		fmt.Fprintln(c.env.Err, "Unable to write to standard out, closing consumer.")
	}
	// Leaving the group and storing offsets must not hang on brokers that are gone.
	closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if c.autoCommit {
		if err := cl.CommitMarkedOffsets(closeCtx); err != nil {
			fmt.Fprintf(c.env.Err, "ERROR offsets were not committed: %v\n", err)
		}
	}
	_ = cl.LeaveGroupContext(closeCtx) // the session timeout does it otherwise
	cl.Close()
	_ = c.out.Flush() // the frame of the tool tells
	fmt.Fprintf(c.env.Err, "Processed a total of %d messages\n", c.count)
	if c.events {
		fmt.Fprintln(c.env.Out, "shutdown_complete")
	}
	return code
}

// consume prints records until there are enough, none came for the timeout, or ctx ends.
func (c *consoleConsumer) consume(ctx context.Context, cl *kgo.Client) int {
	for c.maxMessages < 0 || c.count < c.maxMessages {
		pollCtx, cancel := ctx, context.CancelFunc(func() {})
		if c.timeout > 0 {
			pollCtx, cancel = context.WithTimeout(ctx, c.timeout)
		}
		fetches := cl.PollRecords(pollCtx, c.settings.Number("max.poll.records"))
		expired := pollCtx.Err() != nil && ctx.Err() == nil
		cancel()
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return 0
		}
		if expired && fetches.NumRecords() == 0 {
			fmt.Fprintln(c.env.Err, "ERROR Error processing message, terminating consumer process:"+
				" no message came within the timeout")
			return 0
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.DeadlineExceeded) {
				continue
			}
			where := e.Topic
			if e.Partition >= 0 {
				where += fmt.Sprintf(" partition %d", e.Partition)
			}
			fmt.Fprintf(c.env.Err, "ERROR topic %s: %v\n", where, e.Err)
			if kgo.IsRetryableBrokerErr(e.Err) {
				continue
			}
			return tool.ExitFailed
		}
		if done, code := c.printAll(cl, fetches); done {
			return code
		}
	}
	return 0
}

// printAll writes what one poll brought. Only what was written is marked for commit.
func (c *consoleConsumer) printAll(cl *kgo.Client, fetches kgo.Fetches) (done bool, code int) {
	var printed []*kgo.Record
	for it := fetches.RecordIter(); !it.Done() && !done; {
		if c.maxMessages >= 0 && c.count >= c.maxMessages {
			break
		}
		r := it.Next()
		c.count++
		if err := c.format.write(c.out, r); err != nil {
			fmt.Fprintln(c.env.Err, "ERROR Error processing message:", err)
			if !c.skipErrors {
				done, code = true, tool.ExitFailed
			}
		}
		printed = append(printed, r)
	}
	if err := c.out.Flush(); err != nil {
		return true, code
	}
	if c.autoCommit {
		cl.MarkCommitRecords(printed...)
	}
	return done, code
}
