package manage

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"zkafka/kafkad/tool"
)

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
		p, err := tool.Parse(topicOptions, strings.Fields(args))
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

func TestCheckNewName(t *testing.T) {
	existing := []string{"a_b", "a.b.c", "x", "a_b.c"}
	for name, want := range map[string]string{
		"a-b":   "",
		"x":     "Topic 'x' already exists.",
		"a.b.c": "Topic 'a.b.c' already exists.", // although a_b.c collides with it
		"a.b":   "Topic 'a.b' collides with existing topics: a_b",
		"a_b_c": "Topic 'a_b_c' collides with existing topics: a.b.c, a_b.c",
	} {
		got := ""
		if err := checkNewName(name, existing); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestParseAssignment(t *testing.T) {
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
		p, err := tool.Parse(topicOptions, strings.Fields(args))
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
