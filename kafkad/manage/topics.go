// Package manage holds the tools that look after a cluster: kafka-topics, through the protocol or
// by the znodes as before Kafka 3.0 (--zookeeper), kafka-consumer-groups,
// kafka-broker-api-versions and zookeeper-shell.
package manage

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

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/tool"
)

var topicOptions = []tool.Option{
	tool.Text("bootstrap-server", "server to connect to", "REQUIRED: The Kafka server to connect"+
		" to."),
	tool.Text("zookeeper", "hosts", "The ZooKeeper connect string HOST:PORT[,HOST:PORT...][/PATH]:"+
		" works on the znodes directly, as Kafka before 3.0 did."),
	tool.Text("command-config", "command config property file", "Property file with the client's"+
		" configuration. Used only with --bootstrap-server."),
	tool.Flag("list", "List all available topics."),
	tool.Flag("create", "Create a new topic."),
	tool.Flag("delete", "Delete a topic"),
	tool.Flag("alter", "Alter the number of partitions and replica assignment."),
	tool.Flag("describe", "List details for the given topics."),
	tool.Text("topic", "topic", "The topic to create, alter, describe or delete. It also accepts a"+
		` regular expression, except for --create option, e.g. "test\.topic".`),
	tool.Text("topic-id", "topic-id", "The topic-id to describe. Only with --bootstrap-server."),
	tool.Text("config", "name=value", "A topic configuration override for the topic being created."+
		" With --zookeeper also for --alter."),
	tool.Text("delete-config", "name", "A topic configuration override to be removed for an existing"+
		" topic. Not supported with --bootstrap-server."),
	tool.Number("partitions", "Integer: # of partitions", "The number of partitions for the topic"+
		" being created or altered. If not supplied for create, the cluster's default."),
	tool.Number("replication-factor", "Integer: replication factor", "The replication factor for"+
		" each partition in the topic being created. If not supplied, the cluster's default."),
	tool.Text("replica-assignment", "broker_id_for_part1_replica1 : broker_id_for_part1_replica2 ,"+
		" broker_id_for_part2_replica1 : ...", "A list of manual partition-to-broker assignments"+
		" for the topic being created or altered."),
	tool.Flag("under-replicated-partitions", "if set when describing topics, only show under"+
		" replicated partitions"),
	tool.Flag("unavailable-partitions", "if set when describing topics, only show partitions whose"+
		" leader is not available"),
	tool.Flag("under-min-isr-partitions", "if set when describing topics, only show partitions whose"+
		" isr count is less than the configured minimum."),
	tool.Flag("at-min-isr-partitions", "if set when describing topics, only show partitions whose"+
		" isr count is equal to the configured minimum."),
	tool.Flag("topics-with-overrides", "if set when describing topics, only show topics that have"+
		" overridden configs"),
	tool.Flag("if-exists", "if set when altering or deleting or describing topics, the action will"+
		" only execute if the topic exists."),
	tool.Flag("if-not-exists", "if set when creating topics, the action will only execute if the"+
		" topic does not already exist."),
	tool.Flag("exclude-internal", "exclude internal topics when running list or describe command."+
		" The internal topics will be listed by default"),
	tool.Flag("disable-rack-aware", "Disable rack aware replica assignment. Only with --zookeeper."),
	tool.Flag("force", "Suppress console prompts."),
	tool.Number("partition-size-limit-per-response", "Integer: maximum number of partitions in one"+
		" response.", "Accepted for compatibility."),
}

// Topics is kafka-topics.
func Topics() *tool.Tool {
	t := &tool.Tool{
		Name:    "kafka-topics",
		Summary: "This tool helps to create, delete, describe, or change a topic.",
		Options: topicOptions, Terse: true,
	}
	t.Main = func(ctx context.Context, env tool.Env, p *tool.Parsed) int {
		if err := checkTopics(p); err != nil {
			return t.Fail(env, err)
		}
		if err := runTopics(ctx, env, p); err != nil {
			fmt.Fprintf(env.Out, "Error while executing topic command : %v\n", err)
			return tool.ExitFailed
		}
		return 0
	}
	return t
}

var topicActions = []string{"create", "list", "alter", "describe", "delete"}

// reports are the options that show some partitions only.
var reports = []string{"under-replicated-partitions", "under-min-isr-partitions",
	"at-min-isr-partitions", "unavailable-partitions"}

func checkTopics(p *tool.Parsed) error {
	actions := 0
	for _, a := range topicActions {
		if p.Has(a) {
			actions++
		}
	}
	switch {
	case actions != 1:
		return tool.UsageError("Command must include exactly one action: --list, --describe," +
			" --create, --alter or --delete")
	case p.Has("bootstrap-server") && p.Has("zookeeper"):
		return tool.UsageError("Only one of --bootstrap-server or --zookeeper must be specified")
	case !p.Has("bootstrap-server") && !p.Has("zookeeper"):
		return fmt.Errorf("--bootstrap-server must be specified")
	case p.Has("describe") && p.Has("if-exists") && !p.Has("topic") && !p.Has("topic-id"):
		return tool.UsageError("--topic or --topic-id is required to describe a topic")
	}
	if err := p.Single("topic", "partitions", "replication-factor", "bootstrap-server",
		"zookeeper", "replica-assignment"); err != nil {
		return err
	}
	if !p.Has("list") && !p.Has("describe") {
		if err := p.Missing("topic"); err != nil {
			return err
		}
	}
	return checkTopicCombinations(p)
}

func checkTopicCombinations(p *tool.Parsed) error {
	except := func(allowed ...string) []string {
		return slices.DeleteFunc(slices.Clone(topicActions), func(a string) bool {
			return slices.Contains(allowed, a)
		})
	}
	zk := p.Has("zookeeper")
	switch {
	case p.Has("alter") && !zk && p.Has("config"):
		return tool.UsageError(`Option combination "[bootstrap-server],[config]" can't be used with` +
			` option "[alter]" (the kafka-configs CLI supports altering topic configs with a` +
			` --bootstrap-server option)`)
	case p.Has("alter") && !zk:
		if err := p.Missing("partitions"); err != nil {
			return err
		}
	case p.Has("create") && zk && !p.Has("replica-assignment"):
		if err := p.Missing("partitions", "replication-factor"); err != nil {
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
	if p.Has("create") {
		rules["replica-assignment"] = append(rules["replica-assignment"], "partitions",
			"replication-factor")
	}
	for _, r := range reports {
		rules[r] = append([]string{"topics-with-overrides"}, except("describe")...)
	}
	for i := range topicOptions {
		if err := p.Excludes(topicOptions[i].Name, rules[topicOptions[i].Name]...); err != nil {
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

func runTopics(ctx context.Context, env tool.Env, p *tool.Parsed) error {
	var s topicService
	var err error
	if p.Has("zookeeper") {
		s, err = newZooKeeperTopics(ctx, env, p.Value("zookeeper"))
	} else {
		s, err = newBrokerTopics(env, p)
	}
	if err != nil {
		return err
	}
	defer s.close()
	if p.Has("create") {
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
	case p.Has("list"):
		listTopics(env.Out, chosen, p.Has("zookeeper"))
		return nil
	case len(names) == 0:
		return nil
	case p.Has("alter"):
		t, err := topicOf(p)
		if err != nil {
			return err
		}
		return s.alter(ctx, names, t)
	case p.Has("delete"):
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
func chooseTopics(all []listedTopic, p *tool.Parsed) ([]listedTopic, error) {
	slices.SortFunc(all, func(a, b listedTopic) int { return strings.Compare(a.name, b.name) })
	match := func(string) bool { return true }
	if p.Has("topic") {
		var err error
		if match, err = includes(p.Value("topic")); err != nil {
			return nil, err
		}
	}
	id := p.Value("topic-id")
	var out []listedTopic
	for _, t := range all {
		switch {
		case cluster.IsInternal(t.name) && p.Has("exclude-internal"):
		case id != "" && t.id != id:
		case id == "" && !match(t.name):
		default:
			out = append(out, t)
		}
	}
	if len(out) > 0 || p.Has("if-exists") || p.Has("list") {
		return out, nil
	}
	switch {
	case id != "":
		return nil, fmt.Errorf("TopicId '%s' does not exist as expected", id)
	case p.Value("topic") != "":
		return nil, tool.UpstreamError("Topic '%s' does not exist as expected", p.Value("topic"))
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

func topicOf(p *tool.Parsed) (*newTopic, error) {
	t := &newTopic{
		name: p.Value("topic"), partitions: -1, replicationFactor: -1,
		ifNotExists: p.Has("if-not-exists"), ignoreRacks: p.Has("disable-rack-aware"),
		deleteConfig: p.All("delete-config"),
	}
	if p.Has("replication-factor") {
		if n := p.Number("replication-factor"); n < 1 || n > math.MaxInt16 {
			return nil, tool.UpstreamError("The replication factor must be between 1 and %d inclusive",
				math.MaxInt16)
		}
		t.replicationFactor = int32(p.Number("replication-factor"))
	}
	if p.Has("partitions") {
		if n := p.Number("partitions"); n < 1 || n > math.MaxInt32 {
			return nil, tool.UpstreamError("The partitions must be greater than 0")
		}
		t.partitions = int32(p.Number("partitions"))
	}
	for _, c := range p.All("config") {
		k, v, ok := strings.Cut(c, "=")
		if !ok || strings.TrimSpace(v) == "" {
			return nil, tool.UpstreamError("requirement failed: Invalid topic config: all configs to be" +
				` added must be in the format "key=val".`)
		}
		t.config = append(t.config, configEntry{strings.TrimSpace(k), strings.TrimSpace(v)})
	}
	var err error
	t.assignment, err = parseAssignment(p.Value("replica-assignment"))
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
				return nil, tool.UpstreamError(`For input string: "%s"`, strings.TrimSpace(f))
			}
			if slices.Contains(replicas, int32(id)) {
				return nil, tool.UpstreamError("Partition replica lists may not contain duplicate"+
					" entries: %d", id)
			}
			replicas = append(replicas, int32(id))
		}
		if i > 0 && len(replicas) != len(out[0]) {
			return nil, tool.UpstreamError("Partition %d has different replication factor: [%s]", i,
				strings.ReplaceAll(joinInts(replicas), ",", ", "))
		}
		out = append(out, replicas)
	}
	return out, nil
}

func createTopic(ctx context.Context, env tool.Env, p *tool.Parsed, s topicService) error {
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
