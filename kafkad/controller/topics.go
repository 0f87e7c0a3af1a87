package controller

import (
	"fmt"
	"slices"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
)

// deletion is the progress of removing a topic: left counts, per broker, the replicas that have
// not confirmed their end. Brokers that are dead keep their count until they return.
type deletion struct {
	left map[int32]map[int32]bool // broker -> partition indexes
}

// start takes over: context, missing topic ids, deletions that cannot be, then every partition's
// state, and one LeaderAndIsr with everything a broker holds.
func (m *Machine) start(in Start) {
	m.forget()
	m.active, m.epoch = true, in.Epoch
	for _, b := range in.Brokers {
		m.brokers[b.ID] = b
	}
	added, ws := m.addTopics(in.Topics, in.NewIDs)
	m.adoptLoaded(in.States)
	marked, drop := m.marked(in.Deletions)
	m.write(append(ws, drop...), func([]WriteResult) {
		hello := m.batch()
		hello.brokers = true
		hello.send()
		var deleting []*topic
		for _, name := range marked {
			t := m.topics[name]
			t.deletion = newDeletion(t)
			deleting = append(deleting, t)
		}
		var ps []*partition
		for _, t := range added {
			if t.deletion == nil {
				ps = append(ps, t.parts...)
			}
		}
		m.settle(ps, m.decideOnline, func(_, fresh []*partition) {
			b := m.batch()
			b.tell(ps, fresh)
			m.stopAll(b, deleting)
			b.send()
			m.finishDeletions()
		})
	})
}

func (m *Machine) adoptLoaded(nodes []StateNode) {
	for _, n := range nodes {
		if p := m.partition(n.TP); p != nil {
			p.state = n.State
		}
	}
}

// addTopics puts nodes into the context, taking ids for those without one; the writes record
// these ids.
func (m *Machine) addTopics(nodes []TopicNode, ids []cluster.TopicID) ([]*topic, []Write) {
	var added []*topic
	var ws []Write
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b TopicNode) int { return compare(a.Name, b.Name) })
	for _, n := range nodes {
		if m.topics[n.Name] != nil {
			continue
		}
		if n.ID.IsZero() && len(ids) > 0 {
			n.ID, ids = ids[0], ids[1:]
			ws = append(ws, Write{Op: SetTopic, Topic: n.Name, Node: &n})
		}
		t := &topic{name: n.Name, id: n.ID, unclean: n.Unclean}
		for _, a := range n.Assignments {
			t.parts = append(t.parts, newPartition(n.Name, a))
		}
		if slices.ContainsFunc(n.Assignments, reassigning) {
			m.emit(Note{n.Name, "the topic's partitions are being reassigned; " +
				"reassignment is not supported yet and rests"})
		}
		m.topics[n.Name] = t
		added = append(added, t)
	}
	return added, ws
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func reassigning(a Assignment) bool { return len(a.Adding)+len(a.Removing) > 0 }

func newPartition(name string, a Assignment) *partition {
	return &partition{
		tp: TP{name, a.Index}, replicas: a.Replicas, adding: a.Adding, removing: a.Removing,
	}
}

func (m *Machine) topicsChanged(in TopicsChanged) {
	exists := map[string]bool{}
	for _, n := range in.Names {
		exists[n] = true
	}
	for _, name := range m.topicNames() {
		if !exists[name] {
			// Not by us: a deletion of ours removes the topic from the context with its last write.
			m.emit(Note{name, "the topic's znode was removed by hand; logs are left alone"})
			delete(m.topics, name)
		}
	}
	added, ws := m.addTopics(in.New, in.NewIDs)
	m.write(ws, func([]WriteResult) {
		var ps []*partition
		for _, t := range added {
			ps = append(ps, t.parts...)
			m.emit(Note{t.name, "topic created"})
		}
		m.reconcile(ps)
	})
}

// topicChanged finds partitions that were added. During a deletion additions are undone; an id
// that an old tool dropped while rewriting the node is put back, since brokers would refuse the
// topic under another one.
func (m *Machine) topicChanged(n TopicNode) {
	t := m.topics[n.Name]
	if t == nil {
		return
	}
	var added []*partition
	for _, a := range n.Assignments {
		if m.partition(TP{n.Name, a.Index}) == nil {
			added = append(added, newPartition(n.Name, a))
		}
	}
	var ws []Write
	if t.deletion != nil && len(added) > 0 {
		m.emit(Note{n.Name, "partitions added to a topic under deletion are taken back"})
		added = nil
		ws = append(ws, Write{Op: SetTopic, Topic: n.Name, Node: m.nodeOf(t)})
	} else if n.ID != t.id {
		m.emit(Note{n.Name, "the topic id was lost by a rewrite of the znode and is put back"})
		n.ID = t.id
		ws = append(ws, Write{Op: SetTopic, Topic: n.Name, Node: &n})
	}
	t.parts = append(t.parts, added...)
	slices.SortFunc(t.parts, func(a, b *partition) int { return int(a.tp.Index - b.tp.Index) })
	m.write(ws, func([]WriteResult) {
		if len(added) > 0 {
			m.emit(Note{n.Name, "partitions added"})
		}
		m.reconcile(added)
	})
}

func (m *Machine) nodeOf(t *topic) *TopicNode {
	n := &TopicNode{Name: t.name, ID: t.id, Unclean: t.unclean}
	for _, p := range t.parts {
		n.Assignments = append(n.Assignments, Assignment{
			Index: p.tp.Index, Replicas: p.replicas, Adding: p.adding, Removing: p.removing,
		})
	}
	return n
}

// marked splits the names marked for deletion into topics to delete now and marks to remove:
// those of unknown topics, and all of them if topics must not be deleted.
func (m *Machine) marked(names []string) (begin []string, drop []Write) {
	names = slices.Sorted(slices.Values(names))
	for _, name := range names {
		t := m.topics[name]
		switch {
		case t == nil:
			drop = append(drop, Write{Op: DeleteMark, Topic: name})
		case !m.opts.DeleteTopics:
			m.emit(Note{name, "deletion refused: delete.topic.enable is false"})
			drop = append(drop, Write{Op: DeleteMark, Topic: name})
		case t.deletion == nil:
			begin = append(begin, name)
		}
	}
	return begin, drop
}

func (m *Machine) deletionsChanged(names []string) {
	begin, drop := m.marked(names)
	m.write(drop, func([]WriteResult) {
		var ts []*topic
		for _, name := range begin {
			t := m.topics[name]
			t.deletion = newDeletion(t)
			ts = append(ts, t)
		}
		b := m.batch()
		m.stopAll(b, ts)
		b.send()
		m.finishDeletions()
	})
}

func newDeletion(t *topic) *deletion {
	d := &deletion{left: map[int32]map[int32]bool{}}
	for _, p := range t.parts {
		for _, r := range p.replicas {
			if d.left[r] == nil {
				d.left[r] = map[int32]bool{}
			}
			d.left[r][p.tp.Index] = true
		}
	}
	return d
}

// stopAll adds to b what makes brokers forget the topics and delete their replicas.
func (m *Machine) stopAll(b *batch, ts []*topic) {
	for _, t := range ts {
		b.forgetTopic(t)
		for _, p := range t.parts {
			for _, r := range p.replicas {
				b.deleteReplica(r, p)
				if _, live := m.brokers[r]; !live {
					m.emit(Note{t.name, fmt.Sprintf(
						"deletion waits for broker %d, which holds a replica and is down", r)})
				}
			}
		}
	}
}

func (m *Machine) stopReplicaDone(in StopReplicaDone) {
	failed := map[TP]errcode.Code{}
	for _, r := range in.Result.Partitions {
		if r.Err != errcode.None {
			failed[TP{r.Topic, r.Index}] = r.Err
		}
	}
	for _, s := range in.Request.Partitions {
		t := m.topics[s.Topic]
		if !s.Delete || t == nil || t.deletion == nil {
			continue
		}
		code := in.Result.Err
		if code == errcode.None {
			code = failed[TP{s.Topic, s.Index}]
		}
		if code != errcode.None {
			m.emit(Note{s.Topic, fmt.Sprintf(
				"deletion of partition %d on broker %d failed and is retried when the broker "+
					"returns: %v", s.Index, in.Broker, code)})
			continue
		}
		delete(t.deletion.left[in.Broker], s.Index)
		if len(t.deletion.left[in.Broker]) == 0 {
			delete(t.deletion.left, in.Broker)
		}
	}
	m.finishDeletions()
}

// finishDeletions removes the znodes of topics no replica of which is left, the mark last: a
// crash before it starts the deletion over.
func (m *Machine) finishDeletions() {
	var ws []Write
	var gone []string
	for _, name := range m.topicNames() {
		t := m.topics[name]
		if t.deletion == nil || len(t.deletion.left) > 0 {
			continue
		}
		gone = append(gone, name)
		ws = append(ws, Write{Op: DeleteTopic, Topic: name}, Write{Op: DeleteConfig, Topic: name},
			Write{Op: DeleteMark, Topic: name})
	}
	m.write(ws, func([]WriteResult) {
		for _, name := range gone {
			delete(m.topics, name)
			m.emit(Note{name, "topic deleted"})
		}
	})
}
