package coordinator

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

type role uint8

const (
	follower role = iota
	loading
	leading
)

// job is records of one machine that wait to be appended.
type job struct {
	machine *group.Machine // the one that asked; it may have been unloaded since
	group.Append
}

func (j *job) bytes() int {
	n := 0
	for i := range j.Records {
		n += len(j.Records[i].Key) + len(j.Records[i].Value)
	}
	return n
}

// shard is one partition of __consumer_offsets with the machine of its groups. mu guards all
// fields but next. machine is set if and only if role is leading, gone only while it is loading.
type shard struct {
	c         *Coordinator
	partition int32
	next      atomic.Int64 // when the machine wants a Tick; 0 = never

	mu      sync.Mutex
	role    role
	epoch   int32
	machine *group.Machine
	gone    []string // topics deleted since loading began: the log does not know
	ticket  group.Ticket
	joins   map[group.Ticket]chan group.JoinResult
	syncs   map[group.Ticket]chan group.SyncResult
	commits map[group.Ticket]chan []errcode.Code
	dones   map[group.Ticket]chan errcode.Code
	queue   []job
	writing bool
}

func newShard(c *Coordinator, partition int32) *shard {
	return &shard{
		c: c, partition: partition, epoch: -1,
		joins:   map[group.Ticket]chan group.JoinResult{},
		syncs:   map[group.Ticket]chan group.SyncResult{},
		commits: map[group.Ticket]chan []errcode.Code{},
		dones:   map[group.Ticket]chan errcode.Code{},
	}
}

// elect notes the election; it reports whether the log must be replayed.
func (s *shard) elect(epoch int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch < s.epoch {
		return false
	}
	s.epoch = epoch
	if s.role == leading {
		return false // nobody else has led meanwhile, or a resignation would have come between
	}
	s.role = loading
	return true
}

// resign unloads, unless it is about an older epoch than the one we lead in.
func (s *shard) resign(epoch int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch >= 0 && epoch < s.epoch {
		return false
	}
	s.epoch = epoch
	return s.unloadLocked()
}

func (s *shard) unload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unloadLocked()
}

func (s *shard) unloadLocked() bool {
	was := s.role
	m := s.machine
	// Another coordinator may take commits now, also for a new topic named like one in gone.
	s.role, s.machine, s.gone = follower, nil, nil
	s.next.Store(0)
	if m != nil {
		m.Unload()
		s.perform(m)
	}
	return was != follower
}

func (s *shard) isLoading(epoch int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.role == loading && s.epoch == epoch
}

// loaded puts the machine in place if the shard still waits for it, and says how many groups
// and offsets it has.
func (s *shard) loaded(epoch int32, l *group.Loader) (groups, offsets int, ok bool) {
	s.mu.Lock()
	if s.role != loading || s.epoch != epoch {
		s.mu.Unlock()
		return 0, 0, false
	}
	s.role = leading
	now := time.Now().UnixMilli()
	m := l.Finish(s.c.opts.Group, now)
	s.machine = m
	if len(s.gone) > 0 {
		m.TopicsDeleted(now, s.gone)
		s.gone = nil
	}
	groups, offsets = m.Groups(), m.Offsets()
	write := s.perform(m)
	s.mu.Unlock()
	s.write(write, true)
	return groups, offsets, true
}

// dropTopics drops the offsets of deleted topics, now or, while loading, when that ends. Commits
// are refused until then, so none of a new topic of the same name can be among them.
func (s *shard) dropTopics(topics []string) {
	s.mu.Lock()
	var write bool
	switch s.role {
	case loading:
		s.gone = append(s.gone, topics...)
	case leading:
		s.machine.TopicsDeleted(time.Now().UnixMilli(), topics)
		write = s.perform(s.machine)
	case follower: // the leader does it
	}
	s.mu.Unlock()
	s.write(write, true)
}

func (s *shard) status() errcode.Code {
	switch s.role {
	case loading:
		return errcode.CoordinatorLoadInProgress
	case leading:
		return errcode.None
	default:
		return errcode.NotCoordinator
	}
}

// do runs f on the machine and performs the effects. background says that the caller must not
// be held up by an append.
func (s *shard) do(background bool, f func(now int64, m *group.Machine)) errcode.Code {
	s.mu.Lock()
	if code := s.status(); code != errcode.None {
		s.mu.Unlock()
		return code
	}
	m := s.machine
	f(time.Now().UnixMilli(), m)
	write := s.perform(m)
	s.mu.Unlock()
	s.write(write, background)
	return errcode.None
}

// perform carries out the machine's effects. It reports whether the caller must write the queue:
// then nobody else does. The caller holds mu.
func (s *shard) perform(m *group.Machine) bool {
	out := m.Take()
	for i := range out.Joins {
		answer(s.joins, out.Joins[i].Ticket, out.Joins[i].JoinResult)
	}
	for i := range out.Syncs {
		answer(s.syncs, out.Syncs[i].Ticket, out.Syncs[i].SyncResult)
	}
	for i := range out.Commits {
		answer(s.commits, out.Commits[i].Ticket, out.Commits[i].Errs)
	}
	for i := range out.Dones {
		answer(s.dones, out.Dones[i].Ticket, out.Dones[i].Err)
	}
	for i := range out.Events {
		e := &out.Events[i]
		s.c.log.Info("group "+e.Group+": "+e.Text, zap.String("GROUP", e.Group),
			zap.Int32("generation", e.Generation), zap.Int32("PARTITION", s.partition))
	}
	for i := range out.Appends {
		s.queue = append(s.queue, job{machine: m, Append: out.Appends[i]})
	}
	if m == s.machine {
		due := m.NextDeadline()
		if old := s.next.Swap(due); old == 0 || due < old {
			select {
			case s.c.kick <- struct{}{}:
			default:
			}
		}
	}
	if len(s.queue) == 0 || s.writing {
		return false
	}
	s.writing = true
	return true
}

// answer wakes the request that waits with the ticket. Each channel has room for its one value.
func answer[T any](waiters map[group.Ticket]chan T, t group.Ticket, v T) {
	if ch := waiters[t]; ch != nil {
		delete(waiters, t)
		ch <- v
	}
}

// write appends what is queued if it is the caller's turn. In the foreground one batch is
// written by the caller, who mostly waits for it anyhow; what came meanwhile goes to a
// goroutine, so that nobody waits for the others' records after his own.
func (s *shard) write(turn, background bool) {
	if !turn {
		return
	}
	if !background && !s.writeOnce() {
		return
	}
	if s.c.start(s.writeAll) {
		return
	}
	s.mu.Lock()
	s.fail(s.queue, errcode.NotCoordinator)
	s.queue, s.writing = nil, false
	s.mu.Unlock()
}

func (s *shard) writeAll() {
	for s.writeOnce() {
	}
}

// writeOnce appends one batch. It reports whether there is more, then the turn is still the
// caller's.
func (s *shard) writeOnce() bool {
	s.mu.Lock()
	jobs := s.take()
	s.mu.Unlock()
	var records []group.Record
	if len(jobs) == 1 {
		records = jobs[0].Records
	} else {
		for i := range jobs {
			records = append(records, jobs[i].Records...)
		}
	}
	base, err := s.c.opts.Store.Append(s.c.ctx, s.partition, records, time.Now().UnixMilli())
	code := codeOf(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if code == errcode.None {
		s.report(jobs, base)
	} else {
		s.c.log.Warn("group coordinator could not append", zap.Int32("PARTITION", s.partition),
			zap.Stringer("error", code), zap.Int("records", len(records)))
		s.fail(jobs, code)
	}
	if len(s.queue) == 0 {
		s.writing = false
		return false
	}
	return true
}

// take returns the head of the queue, as much as fits into a batch.
func (s *shard) take() []job {
	n, size := 0, 0
	for n < len(s.queue) {
		size += s.queue[n].bytes()
		if n > 0 && size > maxBatchBytes {
			break
		}
		n++
	}
	jobs := s.queue[:n:n]
	s.queue = s.queue[n:]
	if len(s.queue) == 0 {
		s.queue = nil
	}
	return jobs
}

// report tells the machines where their records are.
func (s *shard) report(jobs []job, offset int64) {
	now := time.Now().UnixMilli()
	for i := range jobs {
		j := &jobs[i]
		if j.Token != 0 {
			j.machine.Appended(now, j.Token, offset, errcode.None)
			s.perform(j.machine) // writing is set, so it never hands out the turn
		}
		offset += int64(len(j.Records))
	}
}

func (s *shard) fail(jobs []job, code errcode.Code) {
	now := time.Now().UnixMilli()
	for i := range jobs {
		if jobs[i].Token != 0 {
			jobs[i].machine.Appended(now, jobs[i].Token, -1, code)
			s.perform(jobs[i].machine)
		}
	}
}
