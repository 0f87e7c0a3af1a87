package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var topicOptions = slices.Concat([]option{
	text("bootstrap-server", "server to connect to", "REQUIRED: The Kafka server to connect to."),
	text("zookeeper", "hosts", "The ZooKeeper connect string HOST:PORT[,HOST:PORT...][/PATH]:"+
		" works on the znodes directly, as Kafka before 3.0 did."),
	text("command-config", "command config property file", "Property file with the client's"+
		" configuration. Used only with --bootstrap-server."),
	flag("list", "List all available topics."),
	flag("create", "Create a new topic."),
	flag("delete", "Delete a topic"),
	flag("alter", "Alter the number of partitions and replica assignment."),
	flag("describe", "List details for the given topics."),
	text("topic", "topic", "The topic to create, alter, describe or delete. It also accepts a"+
		` regular expression, except for --create option, e.g. "test\.topic".`),
	text("topic-id", "topic-id", "The topic-id to describe. Only with --bootstrap-server."),
	text("config", "name=value", "A topic configuration override for the topic being created."+
		" With --zookeeper also for --alter."),
	text("delete-config", "name", "A topic configuration override to be removed for an existing"+
		" topic. Not supported with --bootstrap-server."),
	number("partitions", "Integer: # of partitions", "The number of partitions for the topic"+
		" being created or altered. If not supplied for create, the cluster's default."),
	number("replication-factor", "Integer: replication factor", "The replication factor for each"+
		" partition in the topic being created. If not supplied, the cluster's default."),
	text("replica-assignment", "broker_id_for_part1_replica1 : broker_id_for_part1_replica2 ,"+
		" broker_id_for_part2_replica1 : ...", "A list of manual partition-to-broker assignments"+
		" for the topic being created or altered."),
	flag("under-replicated-partitions", "if set when describing topics, only show under"+
		" replicated partitions"),
	flag("unavailable-partitions", "if set when describing topics, only show partitions whose"+
		" leader is not available"),
	flag("under-min-isr-partitions", "if set when describing topics, only show partitions whose"+
		" isr count is less than the configured minimum."),
	flag("at-min-isr-partitions", "if set when describing topics, only show partitions whose isr"+
		" count is equal to the configured minimum."),
	flag("topics-with-overrides", "if set when describing topics, only show topics that have"+
		" overridden configs"),
	flag("if-exists", "if set when altering or deleting or describing topics, the action will"+
		" only execute if the topic exists."),
	flag("if-not-exists", "if set when creating topics, the action will only execute if the"+
		" topic does not already exist."),
	flag("exclude-internal", "exclude internal topics when running list or describe command."+
		" The internal topics will be listed by default"),
	flag("disable-rack-aware", "Disable rack aware replica assignment. Only with --zookeeper."),
	flag("force", "Suppress console prompts."),
	number("partition-size-limit-per-response", "Integer: maximum number of partitions in one"+
		" response.", "Accepted for compatibility."),
}, helpOptions)

// Topics is kafka-topics.
func Topics() *Tool {
	t := &Tool{
		Name:    "kafka-topics",
		Summary: "This tool helps to create, delete, describe, or change a topic.",
		options: topicOptions, terse: true,
	}
	t.run = func(ctx context.Context, env Env, p *parsed) int {
		if err := checkTopics(p); err != nil {
			var u usageError
			if errors.As(err, &u) {
				return t.usage(env, string(u))
			}
			fmt.Fprintln(env.Err, err)
			return exitFailed
		}
		if err := runTopics(ctx, env, p); err != nil {
			fmt.Fprintf(env.Out, "Error while executing topic command : %v\n", err)
			return exitFailed
		}
		return 0
	}
	return t
}

var topicActions = []string{"create", "list", "alter", "describe", "delete"}

// reports are the options that show some partitions only.
var reports = []string{"under-replicated-partitions", "under-min-isr-partitions",
	"at-min-isr-partitions", "unavailable-partitions"}

func checkTopics(p *parsed) error {
	actions := 0
	for _, a := range topicActions {
		if p.has(a) {
			actions++
		}
	}
	switch {
	case actions != 1:
		return usageError("Command must include exactly one action: --list, --describe," +
			" --create, --alter or --delete")
	case p.has("bootstrap-server") && p.has("zookeeper"):
		return usageError("Only one of --bootstrap-server or --zookeeper must be specified")
	case !p.has("bootstrap-server") && !p.has("zookeeper"):
		return fmt.Errorf("--bootstrap-server must be specified")
	case p.has("describe") && p.has("if-exists") && !p.has("topic") && !p.has("topic-id"):
		return usageError("--topic or --topic-id is required to describe a topic")
	}
	if err := p.single("topic", "partitions", "replication-factor", "bootstrap-server",
		"zookeeper", "replica-assignment"); err != nil {
		return err
	}
	if !p.has("list") && !p.has("describe") {
		if err := p.missing("topic"); err != nil {
			return err
		}
	}
	return checkTopicCombinations(p)
}

func checkTopicCombinations(p *parsed) error {
	except := func(allowed ...string) []string {
		return slices.DeleteFunc(slices.Clone(topicActions), func(a string) bool {
			return slices.Contains(allowed, a)
		})
	}
	zk := p.has("zookeeper")
	switch {
	case p.has("alter") && !zk && p.has("config"):
		return usageError(`Option combination "[bootstrap-server],[config]" can't be used with` +
			` option "[alter]" (the kafka-configs CLI supports altering topic configs with a` +
			` --bootstrap-server option)`)
	case p.has("alter") && !zk:
		if err := p.missing("partitions"); err != nil {
			return err
		}
	case p.has("create") && zk && !p.has("replica-assignment"):
		if err := p.missing("partitions", "replication-factor"); err != nil {
			return err
		}
	}
	rules := map[string][]string{
		"config":             except("alter", "create"),
		"delete-config":      append(except("alter"), "bootstrap-server"),
		"partitions":         except("alter", "create"),
		"replication-factor": except("create"),
		"replica-assignment": except("alter", "create"),
		"if-exists":          except("alter", "delete", "describe"),
		"if-not-exists":      except("create"),
		"exclude-internal":   except("list", "describe"),
		"topics-with-overrides": append(slices.Clone(reports),
			except("describe")...),
	}
	if p.has("create") {
		rules["replica-assignment"] = append(rules["replica-assignment"], "partitions",
			"replication-factor")
	}
	for _, r := range reports {
		rules[r] = append([]string{"topics-with-overrides"}, except("describe")...)
	}
	for i := range topicOptions {
		if err := p.excludes(topicOptions[i].name, rules[topicOptions[i].name]...); err != nil {
			return err
		}
	}
	return nil
}

// topicService is where topics are managed: a broker, or ZooKeeper.
type topicService interface {
	list(ctx context.Context) ([]listedTopic, error)
	create(ctx context.Context, t *newTopic) error
	alter(ctx context.Context, names []string, t *newTopic) error
	remove(ctx context.Context, names []string) error
	describe(ctx context.Context, names []string) (*topicReport, error)
	close()
}

// listedTopic is a topic in a list.
type listedTopic struct {
	name, id string
	deleted  bool // marked for deletion
}

// newTopic is what --create and --alter ask for; -1 stands for the cluster's default.
type newTopic struct {
	name                          string
	partitions, replicationFactor int32
	assignment                    [][]int32
	config                        []configEntry
	deleteConfig                  []string
	ifNotExists, ignoreRacks      bool
}

type configEntry struct{ name, value string }

// errTopicExists lets --if-not-exists tell that failure from others.
type errTopicExists struct{ error }

func runTopics(ctx context.Context, env Env, p *parsed) error {
	var s topicService
	var err error
	if p.has("zookeeper") {
		s, err = newZooKeeperTopics(ctx, env.Out, p.value("zookeeper"))
	} else {
		s, err = newBrokerTopics(p.value("bootstrap-server"), p.value("command-config"))
	}
	if err != nil {
		return err
	}
	defer s.close()
	if p.has("create") {
		return createTopic(ctx, env, p, s)
	}
	all, err := s.list(ctx)
	if err != nil {
		return err
	}
	chosen, err := chooseTopics(all, p)
	if err != nil {
		return err
	}
	names := make([]string, len(chosen))
	for i := range chosen {
		names[i] = chosen[i].name
	}
	switch {
	case p.has("list"):
		listTopics(env.Out, chosen, p.has("zookeeper"))
		return nil
	case len(names) == 0:
		return nil
	case p.has("alter"):
		t, err := topicOf(p)
		if err != nil {
			return err
		}
		return s.alter(ctx, names, t)
	case p.has("delete"):
		return s.remove(ctx, names)
	}
	r, err := s.describe(ctx, names)
	if err == nil {
		r.print(env.Out, p)
	}
	return err
}

func listTopics(w io.Writer, topics []listedTopic, marks bool) {
	var lines []string
	for _, t := range topics {
		if marks && t.deleted {
			t.name += " - marked for deletion"
		}
		lines = append(lines, t.name)
	}
	fmt.Fprintln(w, strings.Join(lines, "\n"))
}

// chooseTopics applies --topic, --topic-id and --exclude-internal.
func chooseTopics(all []listedTopic, p *parsed) ([]listedTopic, error) {
	slices.SortFunc(all, func(a, b listedTopic) int { return strings.Compare(a.name, b.name) })
	match := func(string) bool { return true }
	if p.has("topic") {
		var err error
		if match, err = includes(p.value("topic")); err != nil {
			return nil, err
		}
	}
	id := p.value("topic-id")
	var out []listedTopic
	for _, t := range all {
		internal := t.name == "__consumer_offsets" || t.name == "__transaction_state"
		switch {
		case internal && p.has("exclude-internal"):
		case id != "" && t.id != id:
		case id == "" && !match(t.name):
		default:
			out = append(out, t)
		}
	}
	if len(out) > 0 || p.has("if-exists") || p.has("list") {
		return out, nil
	}
	switch {
	case id != "":
		return nil, fmt.Errorf("TopicId '%s' does not exist as expected", id)
	case p.value("topic") != "":
		return nil, upstreamError("Topic '%s' does not exist as expected", p.value("topic"))
	}
	return nil, nil
}

// includes returns a matcher for upstream's topic lists: regular expressions that must match
// the whole name, several of them joined by commas.
func includes(list string) (func(string) bool, error) {
	list = strings.NewReplacer(",", "|", " ", "").Replace(strings.TrimSpace(list))
	list = strings.Trim(list, `"'`)
	re, err := regexp.Compile("^(?:" + list + ")$")
	if err != nil {
		return nil, fmt.Errorf("%s is an invalid regex", list)
	}
	return re.MatchString, nil
}

func topicOf(p *parsed) (*newTopic, error) {
	t := &newTopic{
		name: p.value("topic"), partitions: -1, replicationFactor: -1,
		ifNotExists: p.has("if-not-exists"), ignoreRacks: p.has("disable-rack-aware"),
		deleteConfig: p.all("delete-config"),
	}
	if p.has("replication-factor") {
		if n := p.number("replication-factor"); n < 1 || n > math.MaxInt16 {
			return nil, upstreamError("The replication factor must be between 1 and %d inclusive",
				math.MaxInt16)
		}
		t.replicationFactor = int32(p.number("replication-factor"))
	}
	if p.has("partitions") {
		if n := p.number("partitions"); n < 1 || n > math.MaxInt32 {
			return nil, upstreamError("The partitions must be greater than 0")
		}
		t.partitions = int32(p.number("partitions"))
	}
	for _, c := range p.all("config") {
		k, v, ok := strings.Cut(c, "=")
		if !ok || strings.TrimSpace(v) == "" {
			return nil, upstreamError("requirement failed: Invalid topic config: all configs to be" +
				` added must be in the format "key=val".`)
		}
		t.config = append(t.config, configEntry{strings.TrimSpace(k), strings.TrimSpace(v)})
	}
	var err error
	t.assignment, err = parseAssignment(p.value("replica-assignment"))
	return t, err
}

// parseAssignment reads "1:2,2:3": the replicas of each partition.
func parseAssignment(s string) ([][]int32, error) {
	if s == "" {
		return nil, nil
	}
	var out [][]int32
	for i, part := range strings.Split(s, ",") {
		var replicas []int32
		for _, f := range strings.Split(part, ":") {
			id, err := strconv.ParseInt(strings.TrimSpace(f), 10, 32)
			if err != nil {
				return nil, upstreamError(`For input string: "%s"`, strings.TrimSpace(f))
			}
			if slices.Contains(replicas, int32(id)) {
				return nil, upstreamError("Partition replica lists may not contain duplicate"+
					" entries: %d", id)
			}
			replicas = append(replicas, int32(id))
		}
		if i > 0 && len(replicas) != len(out[0]) {
			return nil, upstreamError("Partition %d has different replication factor: [%s]", i,
				strings.ReplaceAll(joinInts(replicas), ",", ", "))
		}
		out = append(out, replicas)
	}
	return out, nil
}

func createTopic(ctx context.Context, env Env, p *parsed, s topicService) error {
	t, err := topicOf(p)
	if err != nil {
		return err
	}
	if strings.ContainsAny(t.name, "._") {
		fmt.Fprintln(env.Out, "WARNING: Due to limitations in metric names, topics with a period"+
			" ('.') or underscore ('_') could collide. To avoid issues it is best to use either,"+
			" but not both.")
	}
	err = s.create(ctx, t)
	var exists errTopicExists
	if errors.As(err, &exists) && t.ifNotExists {
		return nil
	}
	if err == nil {
		fmt.Fprintf(env.Out, "Created topic %s.\n", t.name)
	}
	return err
}

func joinInts(list []int32) string {
	s := make([]string, len(list))
	for i, n := range list {
		s[i] = strconv.Itoa(int(n))
	}
	return strings.Join(s, ",")
}
