package group

import (
	"maps"
	"slices"

	"zkafka/kafkad/errcode"
)

// Loader rebuilds a Machine from the records of a partition, given in log order.
type Loader struct {
	groups  map[string]*GroupValue
	offsets map[string]map[TopicPartition]committed
	txn     map[int64]map[groupPartition]committed // not yet decided, by producer id
}

type groupPartition struct {
	group string
	tp    TopicPartition
}

// NewLoader returns a Loader without records.
func NewLoader() *Loader {
	return &Loader{
		groups: map[string]*GroupValue{}, offsets: map[string]map[TopicPartition]committed{},
		txn: map[int64]map[groupPartition]committed{},
	}
}

// Record takes the record at offset. transactional and producerID are those of its batch. An
// error says that the record cannot be read and was passed over; keys of unknown versions are
// passed over silently. The loader does not keep the slices.
func (l *Loader) Record(
	offset int64, transactional bool, producerID int64, rec Record,
) error {
	k, err := DecodeKey(rec.Key)
	if err != nil {
		return err
	}
	switch k.Kind {
	case OffsetKey:
		return l.offset(offset, transactional, producerID, k, rec.Value)
	case GroupKey:
		if rec.Value == nil {
			delete(l.groups, k.Group)
			return nil
		}
		v, err := DecodeGroupValue(slices.Clone(rec.Value))
		if err != nil {
			return err
		}
		l.groups[k.Group] = &v
	}
	return nil
}

func (l *Loader) offset(at int64, transactional bool, pid int64, k Key, value []byte) error {
	var c committed
	if value != nil {
		o, err := DecodeOffsetValue(value)
		if err != nil {
			return err
		}
		c = committed{Offset: o, at: at}
	}
	if transactional {
		pending := l.txn[pid]
		if pending == nil {
			pending = map[groupPartition]committed{}
			l.txn[pid] = pending
		}
		if value == nil {
			delete(pending, groupPartition{k.Group, k.TopicPartition})
		} else {
			pending[groupPartition{k.Group, k.TopicPartition}] = c
		}
		return nil
	}
	if value == nil {
		delete(l.offsets[k.Group], k.TopicPartition)
		return nil
	}
	l.put(k.Group, k.TopicPartition, c)
	return nil
}

func (l *Loader) put(group string, tp TopicPartition, c committed) {
	of := l.offsets[group]
	if of == nil {
		of = map[TopicPartition]committed{}
		l.offsets[group] = of
	}
	of[tp] = c
}

// Marker takes the end of a producer's transaction. Its offsets count from where they were
// written, so a later plain commit stays.
func (l *Loader) Marker(producerID int64, commit bool) {
	if commit {
		for gp, c := range l.txn[producerID] {
			if old, ok := l.offsets[gp.group][gp.tp]; !ok || old.at < c.at {
				l.put(gp.group, gp.tp, c)
			}
		}
	}
	delete(l.txn, producerID)
}

// Finish returns the machine that goes on from the records. Members have a full session
// timeout from now on to be heard of.
func (l *Loader) Finish(cfg Config, now int64) *Machine {
	m := New(cfg, now)
	get := func(id string) *classic {
		if m.groups[id] == nil {
			m.groups[id] = newClassic(id, now)
		}
		return m.groups[id]
	}
	for id, v := range l.groups {
		get(id).load(v)
	}
	for id, offsets := range l.offsets {
		if len(offsets) > 0 {
			get(id).offsets = offsets
		}
	}
	for pid, pending := range l.txn {
		for gp, c := range pending {
			g := get(gp.group)
			if g.pendingTxn == nil {
				g.pendingTxn = map[int64]map[TopicPartition]committed{}
			}
			if g.pendingTxn[pid] == nil {
				g.pendingTxn[pid] = map[TopicPartition]committed{}
			}
			g.pendingTxn[pid][gp.tp] = c
		}
	}
	for _, g := range m.ordered() {
		if len(g.members) > cfg.MaxSize {
			m.rebalance(now, g, "more members than group.max.size")
		}
		for _, mb := range g.members {
			m.heard(now, mb)
		}
	}
	return m
}

// load sets a fresh group to its stored state.
func (g *classic) load(v *GroupValue) {
	g.protocolType, g.protocol = v.ProtocolType, v.Protocol
	g.generation, g.stateTimestamp = v.Generation, v.StateTimestamp
	if len(v.Members) > 0 {
		g.state = Stable
	}
	for i := range v.Members {
		mv := &v.Members[i]
		if g.byID[mv.MemberID] != nil || g.static[mv.InstanceID] != nil {
			continue // a record no broker writes
		}
		mb := &member{
			id: mv.MemberID, instance: mv.InstanceID,
			clientID: mv.ClientID, clientHost: mv.ClientHost,
			rebalanceTimeout: int64(mv.RebalanceTimeoutMillis),
			sessionTimeout:   int64(mv.SessionTimeoutMillis),
			protocols:        []Protocol{{Name: v.Protocol, Metadata: mv.Subscription}},
			assignment:       mv.Assignment,
		}
		mb.session = alarm{kind: alarmMember, group: g, member: mb.id}
		g.add(mb, 0)
	}
	if g.byID[v.Leader] != nil {
		g.leader = v.Leader
	}
	g.subscribed = g.computeSubscribed()
}

// Unload ends the machine: whoever waits in a join or sync is sent to the new coordinator.
// Appends in flight may still be reported.
func (m *Machine) Unload() {
	for _, g := range m.ordered() {
		for _, mb := range g.members {
			m.answerJoin(g, mb, JoinResult{
				Err: errcode.NotCoordinator, Generation: -1, MemberID: mb.id,
			})
			m.answerSync(mb, SyncResult{Err: errcode.NotCoordinator})
		}
		m.bury(g)
	}
	clear(m.groups)
}

// Offsets returns how many committed offsets the machine holds.
func (m *Machine) Offsets() int {
	n := 0
	for g := range maps.Values(m.groups) {
		n += len(g.offsets)
	}
	return n
}
