package tool

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// run runs a tool as far as it goes without a server.
func run(t *Tool, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = t.Run(context.Background(), Env{In: strings.NewReader(""), Out: &o, Err: &e}, args)
	return code, o.String(), e.String()
}

func TestParse(t *testing.T) {
	options := []option{
		text("topic", "t", ""), number("partitions", "n", ""), flag("list", ""),
		{name: "codec", arg: optional}, {name: "verbose", needs: []string{"list"}},
	}
	for _, c := range []struct {
		args, want string // want: "name=values" in order of the options, or the error
	}{
		{"--topic a --list", "topic=[a] list=[]"},
		{"--topic=a --topic b", "topic=[a b]"},
		{"-topic a stray --partitions=3 words", "topic=[a] partitions=[3]"},
		{"--topic --list", "topic=[--list]"}, // a required argument is the next word, whatever it is
		{"--topic=", "topic=[]"},
		{"--codec --list", "list=[] codec=[]"},
		{"--codec zstd", "codec=[zstd]"},
		{"--codec=lz4 -- --list", "codec=[lz4]"},
		{"--topic", "Option topic requires an argument"},
		{"--bogus", "bogus is not a recognized option"},
		{"--top a", "top is not a recognized option"},
		{"-xyz", "x is not a recognized option"},
		{"--partitions x", "Cannot parse argument 'x' of option partitions"},
		{"--verbose", "Option(s) [verbose] are unavailable given other options on the command line"},
		{"--verbose --list", "list=[] verbose=[]"},
	} {
		p, err := parse(options, strings.Fields(c.args))
		var got string
		if err != nil {
			got = err.Error()
		} else {
			var parts []string
			for _, o := range options {
				if p.has(o.name) {
					parts = append(parts, fmt.Sprintf("%s=%v", o.name, p.all(o.name)))
				}
			}
			got = strings.Join(parts, " ")
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.args, got, c.want)
		}
	}
}

// The texts and exit codes are those that the tools of Kafka 3.9.2 gave.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		tool *Tool
		args string
		want string // first line of the error output
	}{
		{Topics(), "", "This tool helps to create, delete, describe, or change a topic."},
		{Topics(), "--list", "--bootstrap-server must be specified"},
		{Topics(), "--bootstrap-server h:1 --create", `Missing required argument "[topic]"`},
		{Topics(), "--bootstrap-server h:1 --create --list", "Command must include exactly one" +
			" action: --list, --describe, --create, --alter or --delete"},
		{Topics(), "--bootstrap-server h:1 --create --topic x --bogus",
			"bogus is not a recognized option"},
		{Topics(), "--zookeeper h:1 --create --topic x", `Missing required argument "[partitions]"`},
		{Topics(), "--bootstrap-server h:1 --list --partitions 3",
			`Option "[partitions]" can't be used with option "[list]"`},
		{Topics(), "--bootstrap-server h:1 --create --topic t --replica-assignment 1 --partitions 3",
			`Option "[replica-assignment]" can't be used with option "[partitions]"`},
		{ConsoleProducer(), "--topic t", "Missing required option(s) [bootstrap-server]"},
		{ConsoleProducer(), "--bootstrap-server h:1", `Missing required argument "[topic]"`},
		{ConsoleConsumer(), "--bootstrap-server h:1",
			"Exactly one of --include/--topic is required. "},
		{ConsoleConsumer(), "--bootstrap-server h:1 --topic t --offset 3",
			"The partition is required when offset is specified."},
		{ConsoleConsumer(), "--bootstrap-server h:1 --topic t --partition 0 --offset x",
			"The provided offset value 'x' is incorrect. Valid values are 'earliest', 'latest'," +
				" or a non-negative long."},
		{ConsoleConsumer(), "--bootstrap-server h:1 --topic t --group a --consumer-property" +
			" group.id=b", "The group ids provided in different places (directly using" +
			" '--group', via '--consumer-property', or via '--consumer.config') do not match." +
			" Detected group ids: 'a', 'b'"},
		{ConsoleConsumer(), "--bootstrap-server h:1 --topic t --group a --partition 0",
			"Options group and partition cannot be specified together."},
		{ConsoleConsumer(), "--bootstrap-server h:1 --topic t --from-beginning" +
			" --consumer-property auto.offset.reset=latest", "Can't simultaneously specify" +
			" --from-beginning and 'auto.offset.reset=latest', please remove one option"},
		{ConsumerGroups(), "--list", `Missing required argument "[bootstrap-server]"`},
		{ConsumerGroups(), "--bootstrap-server h:1 --list --state bogus", "Invalid state list" +
			" 'bogus'. Valid states are: PreparingRebalance, CompletingRebalance, Stable, Dead," +
			" Empty, Assigning, Reconciling"},
		{ConsumerGroups(), "--bootstrap-server h:1 --describe --group g --members --state",
			"Option [describe] takes at most one of these options: [members], [offsets], [state]"},
		{BrokerApiVersions(), "--command-config x",
			`Missing required argument "[bootstrap-server]"`},
		{VerifiableProducer(), "--topic t", `Missing required argument "[bootstrap-server]"`},
	} {
		code, _, errs := run(c.tool, strings.Fields(c.args)...)
		first, _, _ := strings.Cut(errs, "\n")
		if code != 1 || first != c.want {
			t.Errorf("%s %s: exit code %d\n got %q\nwant %q", c.tool.Name, c.args, code, first, c.want)
		}
	}
	if code, out, _ := run(Topics(), "--version"); code != 0 || out != Version+"\n" {
		t.Errorf("--version: %d %q", code, out)
	}
}

func TestUsageShape(t *testing.T) {
	var b bytes.Buffer
	printUsage(&b, []option{
		text("bootstrap-server", "server to connect to", "REQUIRED: The Kafka server to connect to."),
		flag("at-min-isr-partitions", "if set when describing topics, only show partitions whose"+
			" isr count is equal to the configured minimum."),
		flag("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "wide"),
	})
	want := `Option                                   Description                            
------                                   -----------                            
--at-min-isr-partitions                  if set when describing topics, only    
                                           show partitions whose isr count is   
                                           equal to the configured minimum.     
--bootstrap-server <String: server to    REQUIRED: The Kafka server to connect  
  connect to>                              to.                                  
--zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz  wide                                   
`
	// Captured from kafka-topics of 3.9.2, whose other options make the left column 39 wide.
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLineReader(t *testing.T) {
	for _, c := range []struct {
		props, line, want string // want: headers|key|value, null for nil
	}{
		{"", "a\tb", "[]|null|a\tb"},
		{"parse.key=true", "k\tv\tw", "[]|k|v\tw"},
		{"parse.key=true,key.separator=::", "k::v", "[]|k|v"},
		{"parse.key=true", "kv", "No key separator found on line number 1: 'kv'"},
		{"parse.key=true,ignore.error=true", "kv", "[]|null|kv"},
		{"parse.headers=true", "a:1;b:2\tv", "[a=1;b:2]|null|v"},
		{"parse.headers=true,headers.separator=;", "a:1;b:2\tv", "[a=1 b=2]|null|v"},
		{"parse.headers=true,parse.key=true", "a:1\tk\tv", "[a=1]|k|v"},
		{"parse.headers=true", "a\tv", "No header key separator found in pair 'a' on line number 1"},
		{"null.marker=N", "N", "[]|null|null"},
		{"null.marker=N,parse.key=true", "N\tN", "[]|null|null"},
		{"null.marker=N,parse.headers=true", "a:N\tv", "[a=null]|null|v"},
		{"null.marker=N,parse.headers=true", "N\tv", "[]|null|v"},
	} {
		r, err := newLineReader(keyValues(strings.Split(c.props, ",")))
		if err != nil {
			t.Fatal(err)
		}
		rec, err := r.record(c.line)
		var got string
		if err != nil {
			got = err.Error()
		} else {
			text := func(b []byte) string {
				if b == nil {
					return "null"
				}
				return string(b)
			}
			var headers []string
			for _, h := range rec.Headers {
				headers = append(headers, h.Key+"="+text(h.Value))
			}
			got = fmt.Sprintf("%v|%s|%s", headers, text(rec.Key), text(rec.Value))
		}
		if got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.props, c.line, got, c.want)
		}
	}
	if _, err := newLineReader(keyValues([]string{"headers.delimiter=,"})); err == nil {
		t.Error("equal delimiters were accepted")
	}
}

// The first lines are what the console consumer of 3.9.2 printed for the same records.
func TestFormatter(t *testing.T) {
	rec := &kgo.Record{
		Topic: "t", Partition: 1, Offset: 5, Timestamp: time.UnixMilli(123), Key: []byte("k"),
		Value: []byte("v"),
	}
	full := "print.timestamp=true,print.partition=true,print.offset=true,print.headers=true," +
		"print.key=true"
	withHeaders := *rec
	withHeaders.Headers = []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}}
	long := *rec
	long.Key, long.Value = []byte{0, 0, 0, 0, 0, 0, 1, 0}, nil
	for _, c := range []struct {
		props string
		rec   *kgo.Record
		want  string
	}{
		{full, rec, "CreateTime:123\tPartition:1\tOffset:5\tNO_HEADERS\tk\tv\n"},
		{"", rec, "v\n"},
		{"print.headers=true", &withHeaders, "a:1,b:null\tv\n"},
		{"print.key=true,key.separator=-,line.separator=;", rec, "k-v;"},
		{"print.key=true,print.value=false", rec, "k\n"},
		{"print.key=true,key.deserializer=org.apache.kafka.common.serialization.LongDeserializer," +
			"null.literal=NIL", &long, "256\tNIL\n"},
	} {
		f, err := newDefaultFormatter(keyValues(strings.Split(c.props, ",")))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		if err := f.write(w, c.rec); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if b.String() != c.want {
			t.Errorf("%s: got %q, want %q", c.props, b.String(), c.want)
		}
	}
}

func TestDescribeShape(t *testing.T) {
	r := &topicReport{elr: true, live: []int32{1, 2}, topics: []topicDescription{{
		name: "my.topic", id: "uPeLmBe2SAqTRHS6pH2vBw", minISR: 2,
		overrides: []configEntry{{"cleanup.policy", "compact"}, {"retention.ms", "1000"}},
		partitions: []partitionDescription{
			{index: 0, leader: 1, replicas: []int32{1, 2, 3}, isr: []int32{1, 2}},
			{index: 1, leader: -1, replicas: []int32{2, 3, 1}, isr: []int32{3}},
			{index: 2, leader: 2, replicas: []int32{2, 3, 1}, isr: []int32{2, 3}, reassigned: true,
				adding: []int32{1}},
		},
	}}}
	header := "Topic: my.topic\tTopicId: uPeLmBe2SAqTRHS6pH2vBw\tPartitionCount: 3\t" +
		"ReplicationFactor: 3\tConfigs: cleanup.policy=compact,retention.ms=1000\n"
	tail := "\tElr: N/A\tLastKnownElr: N/A\n"
	p0 := "\tTopic: my.topic\tPartition: 0\tLeader: 1\tReplicas: 1,2,3\tIsr: 1,2" + tail
	p1 := "\tTopic: my.topic\tPartition: 1\tLeader: none\tReplicas: 2,3,1\tIsr: 3" + tail
	p2 := "\tTopic: my.topic\tPartition: 2\tLeader: 2\tReplicas: 2,3,1\tIsr: 2,3" +
		"\tAdding Replicas: 1\tRemoving Replicas: " + tail
	for args, want := range map[string]string{
		"--describe":                               header + p0 + p1 + p2,
		"--describe --topics-with-overrides":       header,
		"--describe --under-replicated-partitions": p0 + p1,
		"--describe --unavailable-partitions":      p1,
		"--describe --under-min-isr-partitions":    p1,
		"--describe --at-min-isr-partitions":       p0 + p2,
	} {
		p, err := parse(topicOptions, strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		r.print(&b, p)
		if b.String() != want {
			t.Errorf("%s\n got %s\nwant %s", args, b.String(), want)
		}
	}
}

// The tables are what kafka-consumer-groups of 3.9.2 printed, but for the line end that it leaves
// out after the last row.
func TestGroupTables(t *testing.T) {
	id := "console-consumer-e0eb0fbe-bb86-4d30-94bd-d3b85df42d28"
	tp := func(n int32) partition { return partition{"my.topic", n} }
	g := &groupView{
		name: "gdyn", state: "Stable", protocol: "range", coordinator: "127.0.0.1:54469  (1)",
		members: []memberView{{id: id, host: "/127.0.0.1", client: "console-consumer",
			assigned: []partition{tp(0), tp(1)}}},
		committed: map[partition]int64{tp(0): 1, tp(2): 1},
		end:       map[partition]int64{tp(0): 4, tp(1): 2, tp(2): 1},
	}
	var b bytes.Buffer
	g.printOffsets(&b)
	want := `
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID                                           HOST            CLIENT-ID
gdyn            my.topic        0          1               4               3               console-consumer-e0eb0fbe-bb86-4d30-94bd-d3b85df42d28 /127.0.0.1      console-consumer
gdyn            my.topic        1          -               2               -               console-consumer-e0eb0fbe-bb86-4d30-94bd-d3b85df42d28 /127.0.0.1      console-consumer
gdyn            my.topic        2          1               1               0               -                                                     -               -
`
	if b.String() != want {
		t.Errorf("offsets:\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	g.printSummary(&b)
	want = `
GROUP                     COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE           #MEMBERS
gdyn                      127.0.0.1:54469  (1)      range                Stable          1
`
	if b.String() != want {
		t.Errorf("state:\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	g.members[0].instance = "inst-1"
	g.members[0].id = "inst-1-2d1b05fe-0b7f-45df-bae0-1a0ef84b371c"
	g.members[0].assigned = append(g.members[0].assigned, tp(2))
	g.name = "gstatic"
	g.printMembers(&b, true)
	want = `
GROUP           CONSUMER-ID                                 GROUP-INSTANCE-ID HOST            CLIENT-ID        #PARTITIONS     ASSIGNMENT
gstatic         inst-1-2d1b05fe-0b7f-45df-bae0-1a0ef84b371c inst-1            /127.0.0.1      console-consumer 3               (0,1,2)
`
	if b.String() != want {
		t.Errorf("members:\n%s\nwant\n%s", b.String(), want)
	}
}

func TestAssignReplicas(t *testing.T) {
	brokers := []rackedBroker{{1, ""}, {2, ""}, {3, ""}}
	got, err := assignReplicas(brokers, 4, 3, 0, 0, 0)
	want := [][]int32{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}, {1, 3, 2}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err = assignReplicas(brokers[:1], 1, 3, 0, 0, 0); err == nil ||
		err.Error() != "Replication factor: 3 larger than available brokers: 1." {
		t.Error(err)
	}
	// The example in Kafka's own comment: six brokers in three racks.
	brokers, err = withRacks([]rackedBroker{
		{0, "rack1"}, {1, "rack3"}, {2, "rack3"}, {3, "rack2"}, {4, "rack2"}, {5, "rack1"},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	got, err = assignReplicas(brokers, 6, 3, 0, 0, 0)
	want = [][]int32{{0, 3, 1}, {3, 1, 5}, {1, 5, 4}, {5, 4, 2}, {4, 2, 0}, {2, 0, 3}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("over racks: %v, %v; want %v", got, err, want)
	}
	brokers[0].rack = ""
	if _, err := withRacks(brokers, false); err == nil {
		t.Error("brokers with and without rack were mixed")
	}
	if _, err := withRacks(brokers, true); err != nil {
		t.Error(err)
	}
	if got, err := parseAssignment("1:2,2:3"); err != nil ||
		!reflect.DeepEqual(got, [][]int32{{1, 2}, {2, 3}}) {
		t.Error(got, err)
	}
	for _, bad := range []string{"1:1", "1:2,3", "x"} {
		if _, err := parseAssignment(bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestChooseTopics(t *testing.T) {
	all := []listedTopic{{name: "b.1"}, {name: "__consumer_offsets"}, {name: "a", id: "ID"}}
	for args, want := range map[string]string{
		"--list":                         "__consumer_offsets a b.1",
		"--list --exclude-internal":      "a b.1",
		"--list --topic b.*,a":           "a b.1",
		"--describe --topic b":           "error: Topic 'b' does not exist as expected",
		"--delete --topic b --if-exists": "",
		"--describe --topic-id ID":       "a",
		"--describe --topic-id XX":       "error: TopicId 'XX' does not exist as expected",
	} {
		p, err := parse(topicOptions, strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		chosen, err := chooseTopics(append([]listedTopic(nil), all...), p)
		var names []string
		for _, c := range chosen {
			names = append(names, c.name)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", args, got, want)
		}
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for args, want := range map[string]string{
		"--by-duration P1DT2H":                        "2026-01-01T01:04:05Z",
		"--by-duration PT0.5S":                        "2026-01-02T03:04:04.5Z",
		"--to-datetime 2026-01-02T00:00:00.000":       "2026-01-02T00:00:00Z",
		"--to-datetime 2026-01-02T02:00:00.000+02:00": "2026-01-02T00:00:00Z",
	} {
		p, err := parse(groupOptions, strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&groupCommand{p: p}).moment(now)
		if err != nil || got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v, %v; want %s", args, got.UTC(), err, want)
		}
	}
}

func TestUntilSettled(t *testing.T) {
	answers := func(list ...error) (func(context.Context) error, *int) {
		n := new(int)
		return func(context.Context) error {
			*n++
			return list[min(*n, len(list))-1]
		}, n
	}
	young, n := answers(kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, nil)
	if err := untilSettled(t.Context(), young); err != nil || *n != 3 {
		t.Errorf("a coordinator that comes: %v after %d questions", err, *n)
	}
	forbidden, n := answers(kerr.GroupAuthorizationFailed, nil)
	err := untilSettled(t.Context(), forbidden)
	if !errors.Is(err, kerr.GroupAuthorizationFailed) || *n != 1 {
		t.Errorf("a final refusal: %v after %d questions", err, *n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never, n := answers(kerr.CoordinatorNotAvailable)
	err = untilSettled(ctx, never)
	if !errors.Is(err, kerr.CoordinatorNotAvailable) || *n != 1 {
		t.Errorf("no coordinator in time: %v after %d questions", err, *n)
	}
}
