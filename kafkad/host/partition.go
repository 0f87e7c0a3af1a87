package host

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/partition"
)

// TP names a partition.
type TP = commitlog.TP

// Partition is a replica on this broker. What readers need is published in atomics after every
// change, so that they never wait for the owner.
type Partition struct {
	TP   TP
	host *Host
	log  *commitlog.Log // its reading side is everybody's

	mu          sync.Mutex // holding it makes the owner; see owner.go
	machine     *partition.Replica
	complete    func(partition.Completion) // p.completed as a value, made once
	flushQueued bool                       // in the flushers' queue or being flushed

	atDisk   atomic.Bool // the owner is in a call that may wait for the disk
	settings atomic.Pointer[Settings]
	role     atomic.Uint64 // partition.Role in the upper half, leader epoch in the lower
	leader   atomic.Int32
	high     atomic.Int64
	stable   atomic.Int64

	epochStart atomic.Int64
	dirty      atomic.Bool // appended to or flushed since the last checkpoint

	watchers waitList
}

// topicParts are the partitions of one topic, by number; nil where this broker has no replica.
type topicParts struct {
	name  string
	id    cluster.TopicID
	parts []*Partition
}

// tables find partitions without lock; a change makes new ones.
type tables struct {
	byName map[string]*topicParts
	byID   map[cluster.TopicID]*topicParts
}

// Lookup finds a replica of this broker by the topic's name; nil if it has none.
func (h *Host) Lookup(topic []byte, index int32) *Partition {
	return h.tables.Load().byName[string(topic)].at(index)
}

// LookupName is Lookup for a name that is a string already.
func (h *Host) LookupName(topic string, index int32) *Partition {
	return h.tables.Load().byName[topic].at(index)
}

// LookupID finds a replica of this broker by the topic's id; name is "" if no replica has that id.
func (h *Host) LookupID(id cluster.TopicID, index int32) (p *Partition, name string) {
	t := h.tables.Load().byID[id]
	if t == nil {
		return nil, ""
	}
	return t.at(index), t.name
}

func (h *Host) lookup(tp TP) *Partition { return h.LookupName(tp.Topic, tp.Partition) }

func (t *topicParts) at(index int32) *Partition {
	if t == nil || index < 0 || int(index) >= len(t.parts) {
		return nil
	}
	return t.parts[index]
}

// all returns every replica of this broker.
func (h *Host) all() (list []*Partition) {
	for _, t := range h.tables.Load().byName {
		for _, p := range t.parts {
			if p != nil {
				list = append(list, p)
			}
		}
	}
	return list
}

// insert adds replicas to the tables. Only Open and the control methods change the tables.
func (h *Host) insert(added ...*Partition) {
	old := h.tables.Load()
	next := &tables{byName: maps.Clone(old.byName), byID: maps.Clone(old.byID)}
	fresh := map[string]*topicParts{}
	for _, p := range added {
		t := fresh[p.TP.Topic]
		if t == nil {
			t = &topicParts{name: p.TP.Topic}
			if o := old.byName[t.name]; o != nil {
				t.id, t.parts = o.id, append(t.parts, o.parts...)
			}
			fresh[t.name], next.byName[t.name] = t, t
		}
		for int(p.TP.Partition) >= len(t.parts) {
			t.parts = append(t.parts, nil)
		}
		t.parts[p.TP.Partition] = p
		if id := cluster.TopicID(p.log.TopicID()); !id.IsZero() {
			t.id = id
		}
	}
	for _, t := range fresh {
		if !t.id.IsZero() {
			next.byID[t.id] = t
		}
	}
	h.tables.Store(next)
}

// remove takes replicas out of the tables.
func (h *Host) remove(gone []*Partition) {
	old := h.tables.Load()
	next := &tables{byName: maps.Clone(old.byName), byID: maps.Clone(old.byID)}
	for _, p := range gone {
		t := next.byName[p.TP.Topic]
		if t.at(p.TP.Partition) != p {
			continue
		}
		left := &topicParts{name: t.name, id: t.id, parts: append([]*Partition(nil), t.parts...)}
		left.parts[p.TP.Partition] = nil
		if left.empty() {
			delete(next.byName, t.name)
			delete(next.byID, t.id)
			continue
		}
		next.byName[t.name] = left
		if !t.id.IsZero() {
			next.byID[t.id] = left
		}
	}
	h.tables.Store(next)
}

func (t *topicParts) empty() bool {
	for _, p := range t.parts {
		if p != nil {
			return false
		}
	}
	return true
}

// Settings returns the settings of the topic.
func (p *Partition) Settings() *Settings { return p.settings.Load() }

// Role returns the published role and leader epoch.
func (p *Partition) Role() (partition.Role, int32) {
	v := p.role.Load()
	return partition.Role(v >> 32), int32(uint32(v))
}

// LeaderID returns the broker that leads the partition as far as this broker was told.
func (p *Partition) LeaderID() int32 { return p.leader.Load() }

// CheckLeader tells whether this broker may answer for the partition to a client that believes in
// the given leader epoch (-1 = does not say).
func (p *Partition) CheckLeader(believed int32) errcode.Code {
	role, epoch := p.Role()
	return partition.CheckLeader(role, epoch, believed)
}

// Offsets returns the limits of the partition; LeaderEpoch is the current one.
func (p *Partition) Offsets() Offsets {
	// The lower limits first, so that a concurrent append cannot make them exceed the upper ones.
	o := Offsets{LogStart: p.log.Start(), LastStable: p.stable.Load()}
	o.HighWatermark = p.high.Load()
	o.LogEnd = max(p.log.End(), o.HighWatermark)
	_, o.LeaderEpoch = p.Role()
	return o
}

// EpochStart is the log end at which this broker became leader.
func (p *Partition) EpochStart() int64 { return p.epochStart.Load() }

// Log gives the read side of the log to those who answer questions about it.
func (p *Partition) Log() *commitlog.Log { return p.log }

// Read finds the batches that hold offset and what follows, below upTo, at most maxBytes; with
// minOne the first batch is whole even if larger. The caller releases the span. The error is an
// errcode.Code; a disk error takes the log dir offline.
func (p *Partition) Read(offset int64, maxBytes int, upTo int64, minOne bool) (
	commitlog.Span, error,
) {
	s, err := p.log.Read(offset, maxBytes, upTo, minOne)
	if err != nil {
		return s, p.readError(err)
	}
	return s, nil
}

// ReadCommitted is Read for consumers of committed records, with upTo at most the last stable
// offset: it appends to dst the aborted transactions that have records in what it read.
func (p *Partition) ReadCommitted(offset int64, maxBytes int, upTo int64, minOne bool,
	dst []commitlog.Aborted) (commitlog.Span, []commitlog.Aborted, error) {
	s, dst, err := p.log.ReadCommitted(offset, maxBytes, upTo, minOne, dst)
	if err != nil {
		return s, dst, p.readError(err)
	}
	return s, dst, nil
}

// Fault turns an error of Log's read side into an errcode.Code, and takes the log dir offline if it
// is the disk's.
func (p *Partition) Fault(err error) error { return p.readError(err) }

func (p *Partition) readError(err error) error {
	switch {
	case errors.Is(err, commitlog.ErrOutOfRange):
		return errcode.OffsetOutOfRange
	case errors.Is(err, commitlog.ErrClosed):
		return errcode.NotLeaderOrFollower
	case errors.Is(err, commitlog.ErrStorage):
		p.host.failDir(p.log.Dir(), err)
		return errcode.KafkaStorageError
	}
	p.host.logFor(p).Error("reading the log failed", zap.Error(err))
	return errcode.UnknownServerError
}

// FollowerFetch notes that another replica has everything before offset.
func (p *Partition) FollowerFetch(replica int32, offset int64) (code errcode.Code) {
	p.host.enter.RLock()
	defer p.host.enter.RUnlock()
	if p.host.closed {
		return errcode.NotLeaderOrFollower
	}
	p.own(func() {
		code = p.machine.FollowerFetch(replica, offset)
		p.publish()
	})
	return code
}

// Waiter is woken when something changes in one of the partitions it watches. Make one with
// NewWaiter and reuse it; it belongs to one goroutine.
type Waiter struct {
	C       chan struct{} // receives at least once after a change
	watched []*Partition
}

// NewWaiter makes a Waiter.
func NewWaiter() *Waiter { return &Waiter{C: make(chan struct{}, 1)} }

// Watch adds a partition: from now on every move of its high watermark and every change of its role
// wakes the waiter. Look at the partition after Watch, not only before: a change between would
// be missed.
func (w *Waiter) Watch(p *Partition) {
	w.watched = append(w.watched, p)
	p.watchers.add(w)
}

// Stop ends the watch of all partitions and forgets a wake-up that was not received.
func (w *Waiter) Stop() {
	for _, p := range w.watched {
		p.watchers.remove(w)
	}
	clear(w.watched)
	w.watched = w.watched[:0]
	select {
	case <-w.C:
	default:
	}
}

// waitList are the waiters of one partition. wake looks at n first, so that an append nobody waits
// for costs one atomic load.
type waitList struct {
	n    atomic.Int32
	mu   sync.Mutex
	list []*Waiter
}

func (l *waitList) add(w *Waiter) {
	l.mu.Lock()
	l.list = append(l.list, w)
	l.n.Store(int32(len(l.list)))
	l.mu.Unlock()
}

func (l *waitList) remove(w *Waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, x := range l.list {
		if x == w {
			last := len(l.list) - 1
			l.list[i], l.list[last] = l.list[last], nil
			l.list = l.list[:last]
			break
		}
	}
	l.n.Store(int32(len(l.list)))
}

func (l *waitList) wake() {
	if l.n.Load() == 0 {
		return
	}
	l.mu.Lock()
	for _, w := range l.list {
		select {
		case w.C <- struct{}{}:
		default:
		}
	}
	l.mu.Unlock()
}
