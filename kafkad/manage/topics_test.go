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
