package cluster

import (
	"slices"
	"testing"
)

func state(topic string, id byte, index, leader int32) PartitionState {
	return PartitionState{Topic: topic, TopicID: TopicID{id}, Partition: Partition{
		Index: index, Leader: leader, Replicas: []int32{1}, ISR: []int32{1},
	}}
}

func update(epoch int32, states ...PartitionState) *UpdateMetadata {
	return &UpdateMetadata{ControllerID: 1, ControllerEpoch: epoch, Partitions: states,
		Brokers: []Broker{{ID: 2}, {ID: 1}}}
}

func TestApplyMergesAndForgets(t *testing.T) {
	empty := NewImage("c")
	one, gone := empty.Apply(update(1, state("t", 1, 1, 1), state("t", 1, 0, 2), state("u", 2, 0, 1)))
	if len(gone) != 0 || len(empty.Topics) != 0 {
		t.Fatal("the old image changed")
	}
	if one.Brokers[0].ID != 1 || one.Broker(2) == nil || one.Broker(3) != nil {
		t.Errorf("brokers %v", one.Brokers)
	}
	if p := one.Partition("t", 1); p == nil || p.Leader != 1 || one.Partition("t", 2) != nil ||
		one.Partition("x", 0) != nil || one.Partition("t", -1) != nil {
		t.Errorf("partitions of t: %v", one.Topic("t"))
	}
	if one.TopicByID(TopicID{2}).Name != "u" || one.TopicByID(TopicID{3}) != nil {
		t.Error("topic ids")
	}
	// One partition of t goes, all of u.
	two, gone := one.Apply(update(1, state("t", 1, 0, LeaderDuringDelete),
		state("u", 2, 0, LeaderDuringDelete), state("never", 3, 0, LeaderDuringDelete)))
	if !slices.Equal(gone, []string{"never", "u"}) || two.TopicByID(TopicID{2}) != nil {
		t.Errorf("gone: %v", gone)
	}
	if p := two.Partition("t", 1); p == nil || len(two.Topic("t").Partitions) != 1 {
		t.Error("a topic without partition 0 is not searched right")
	}
	if one.Topic("u") == nil {
		t.Error("the older image lost a topic")
	}
	// Made again under another id.
	three, _ := two.Apply(update(2, state("t", 9, 0, 1)))
	if three.TopicByID(TopicID{1}) != nil || three.TopicByID(TopicID{9}) == nil {
		t.Error("the old id still leads to the topic")
	}
	// A controller of the past is not heard.
	if same, _ := three.Apply(update(1, state("old", 5, 0, 1))); same != three {
		t.Error("an old controller's update was applied")
	}
}

func TestTopicIDs(t *testing.T) {
	id, ok := NewTopicID([16]byte{0x12, 15: 0x34})
	if !ok || id[6] != 0x40 || id[8] != 0x80 {
		t.Errorf("id % x is no random UUID", id)
	}
	back, err := ParseTopicID(id.String())
	if err != nil || back != id || len(id.String()) != 22 {
		t.Errorf("%s reads as %v (%v)", id, back, err)
	}
	if _, ok := NewTopicID([16]byte{0xfb}); ok {
		t.Error("an id that looks like an option was handed out")
	}
	for _, bad := range []string{"", "short", "vT4p0Sg9QeCk3o0yJtXb2A==", "vT4p0Sg9QeCk3o0yJtXb2/"} {
		if _, err := ParseTopicID(bad); err == nil {
			t.Errorf("%q was taken for an id", bad)
		}
	}
}
