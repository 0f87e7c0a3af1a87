package manage

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"zkafka/kafkad/tool"
)

// topicReport is what --describe knows about topics.
type topicReport struct {
	topics []topicDescription
	live   []int32 // ids of live brokers
	elr    bool    // print the columns of eligible leader replicas, as 3.9 does
}

type topicDescription struct {
	name, id   string
	deleted    bool
	overrides  []configEntry // settings that are not defaults
	minISR     int
	partitions []partitionDescription
}

type partitionDescription struct {
	index, leader     int32
	replicas, isr     []int32
	adding, removing  []int32
	reassigned        bool
	markedForDeletion bool
}

// replicationFactor leaves out the replicas that a reassignment adds.
func (d *partitionDescription) replicationFactor() int {
	if d.reassigned {
		return len(d.replicas) - len(d.adding)
	}
	return len(d.replicas)
}

func (r *topicReport) print(w io.Writer, p *tool.Parsed) {
	filtered := slices.ContainsFunc(reports, p.Has)
	overridden := p.Has("topics-with-overrides")
	for i := range r.topics {
		t := &r.topics[i]
		if !filtered && (!overridden || len(t.overrides) > 0) {
			t.print(w)
		}
		if overridden {
			continue
		}
		for j := range t.partitions {
			d := &t.partitions[j]
			if !filtered || r.reported(p, t, d) {
				d.print(w, t.name, r.elr)
			}
		}
	}
}

func (r *topicReport) reported(p *tool.Parsed, t *topicDescription, d *partitionDescription) bool {
	led := d.leader >= 0
	return p.Has("under-replicated-partitions") && d.replicationFactor() > len(d.isr) ||
		p.Has("unavailable-partitions") && (!led || !slices.Contains(r.live, d.leader)) ||
		p.Has("under-min-isr-partitions") && (!led || len(d.isr) < t.minISR) ||
		p.Has("at-min-isr-partitions") && len(d.isr) == t.minISR
}

func (t *topicDescription) print(w io.Writer) {
	configs := make([]string, len(t.overrides))
	for i, c := range t.overrides {
		configs[i] = c.name + "=" + c.value
	}
	fmt.Fprintf(w, "Topic: %s", t.name)
	if t.id != "" {
		fmt.Fprintf(w, "\tTopicId: %s", t.id)
	}
	factor := 0
	if len(t.partitions) > 0 {
		factor = t.partitions[0].replicationFactor()
	}
	fmt.Fprintf(w, "\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s",
		len(t.partitions), factor, strings.Join(configs, ","))
	if t.deleted {
		fmt.Fprint(w, "\tMarkedForDeletion: true")
	}
	fmt.Fprintln(w)
}

func (d *partitionDescription) print(w io.Writer, topic string, elr bool) {
	leader := "none"
	if d.leader >= 0 {
		leader = strconv.Itoa(int(d.leader))
	}
	fmt.Fprintf(w, "\tTopic: %s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s",
		topic, d.index, leader, joinInts(d.replicas), joinInts(d.isr))
	if d.reassigned {
		fmt.Fprintf(w, "\tAdding Replicas: %s\tRemoving Replicas: %s",
			joinInts(d.adding), joinInts(d.removing))
	}
	if elr {
		fmt.Fprint(w, "\tElr: N/A\tLastKnownElr: N/A")
	}
	if d.markedForDeletion {
		fmt.Fprint(w, "\tMarkedForDeletion: true")
	}
	fmt.Fprintln(w)
}
