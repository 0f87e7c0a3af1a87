package host

import (
	"errors"
	"sync"

	"go.uber.org/zap"

	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/partition"
	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
)

// shardQueue is how many requests may wait for a shard. A connection has at most one, so a full queue
// means that many clients wait for the disk; the next ones wait before the queue, unread.
const shardQueue = 512

// shard is one loop and the partitions it owns.
type shard struct {
	host  *Host
	index int
	queue chan op
	// completed is s.complete as a value, made once.
	completed func(partition.Completion)
}

// op is one message to a shard; exactly one of produce, flushed and run is set.
type op struct {
	produce *Produce
	flushed *Partition
	end     int64
	err     error
	run     func()
}

func newShard(h *Host, index int) *shard {
	s := &shard{host: h, index: index, queue: make(chan op, shardQueue)}
	s.completed = s.complete
	return s
}

func (s *shard) loop() {
	for o := range s.queue {
		switch {
		case o.produce != nil:
			s.produce(o.produce)
		case o.flushed != nil:
			s.flushed(o.flushed, o.end, o.err)
		default:
			o.run()
		}
	}
}

// do runs f on the shard's goroutine and waits for it. Not to be called from a shard.
func (s *shard) do(f func()) {
	var wg sync.WaitGroup
	wg.Add(1)
	s.queue <- op{run: func() { defer wg.Done(); f() }}
	wg.Wait()
}

// produce appends the items of a request that belong to this shard.
func (s *shard) produce(q *Produce) {
	now := s.host.nowMillis()
	for i := range q.Items {
		if it := &q.Items[i]; it.Partition != nil && it.Partition.shard == s {
			s.append(q, it, now)
		}
	}
	q.itemDone()
}

func (s *shard) append(q *Produce, it *Item, now int64) {
	p := it.Partition
	a := partition.Append{Acks: q.Acks, Internal: q.Internal, Token: it}
	a.Count = it.prepare(&a.Producer)
	d := p.machine.Propose(&a)
	switch {
	case d.Err != errcode.None:
		it.Err, it.Message = d.Err, d.Message
		s.finish(it)
		return
	case d.Duplicate:
		it.Base = d.Base
		if p.Settings().Rules.LogAppendTime {
			it.AppendTime = d.Timestamp
		}
		p.machine.Wait(&a, d)
		p.machine.Completions(s.completed)
		return
	}
	if !q.Internal && p.Settings().Rules.LogAppendTime {
		it.AppendTime = now
	}
	it.assign(d.Base, d.Epoch)
	if err := p.log.Append(it.Batches, now); err != nil {
		it.Err = s.appendError(p, err)
		s.finish(it)
		return
	}
	it.Base = d.Base
	needFlush := p.machine.Appended(&a, d)
	p.dirty.Store(true)
	s.publish(p)
	if needFlush {
		s.flush(p)
	}
}

// prepare reads what the machine needs from the batches; it returns the number of offsets they take.
func (it *Item) prepare(b *producer.Batch) (count int32) {
	rest := it.Batches
	for len(rest) >= record.HeaderSize {
		batch := record.Batch(rest)
		*b = producer.Batch{
			ProducerID: batch.ProducerID(), Epoch: batch.ProducerEpoch(),
			FirstSequence: batch.BaseSequence(), Timestamp: batch.MaxTimestamp(),
			Transactional: batch.Transactional(),
			LastSequence:  record.AddSequence(batch.BaseSequence(), batch.LastOffsetDelta()),
		}
		count += batch.LastOffsetDelta() + 1
		rest = rest[batch.Size():]
	}
	return count
}

// assign patches offsets, epoch and time into the batches.
func (it *Item) assign(base int64, epoch int32) {
	rest := it.Batches
	for len(rest) >= record.HeaderSize {
		batch := record.Batch(rest)
		n := batch.Size()
		last := record.Set{Batch: batch[:n]}.Assign(base, epoch, it.AppendTime)
		base, rest = last+1, rest[n:]
	}
}

func (s *shard) appendError(p *Partition, err error) errcode.Code {
	switch {
	case errors.Is(err, commitlog.ErrClosed):
		return errcode.NotLeaderOrFollower
	case errors.Is(err, commitlog.ErrStorage):
		s.host.failDir(p.log.Dir(), err)
		return errcode.KafkaStorageError
	}
	s.host.logFor(p).Error("append failed", zap.Error(err))
	return errcode.UnknownServerError
}

// publish makes the machine's state visible to readers, wakes who waits for it, and completes the
// appends that are done.
func (s *shard) publish(p *Partition) {
	m := p.machine
	role := uint64(m.Role())<<32 | uint64(uint32(m.Epoch()))
	changed := p.role.Swap(role) != role
	p.leader.Store(m.LeaderID())
	p.epochStart.Store(m.EpochStart())
	high := m.HighWatermark()
	if p.high.Load() != high {
		p.high.Store(high)
		p.log.SetHighWatermark(high)
		changed = true
	}
	if stable := m.LastStable(); p.stable.Load() != stable {
		p.stable.Store(stable)
		changed = true
	}
	m.Completions(s.completed)
	if changed {
		p.watchers.wake()
	}
}

func (s *shard) complete(c partition.Completion) {
	it := c.Token.(*Item)
	it.Err = c.Err
	s.finish(it)
}

// finish hands an item back to its request.
func (s *shard) finish(it *Item) {
	it.LogStart = it.Partition.log.Start()
	it.finished = true
	it.request.itemDone()
}

// cancel ends the waiting of a request whose time is up. What was appended stays.
func (s *shard) cancel(q *Produce) {
	for i := range q.Items {
		it := &q.Items[i]
		if it.Partition == nil || it.Partition.shard != s || it.finished {
			continue
		}
		it.Partition.machine.Cancel(it)
		it.Err = errcode.RequestTimedOut
		s.finish(it)
	}
}

// flush has the flushers sync the partition's log, unless they are at it.
func (s *shard) flush(p *Partition) {
	if !p.flushQueued {
		p.flushQueued = true
		s.host.flushQueue.push(p)
	}
}

// flushed takes the outcome of a flush.
func (s *shard) flushed(p *Partition, end int64, err error) {
	p.flushQueued = false
	if err != nil {
		if !errors.Is(err, commitlog.ErrClosed) {
			s.host.failDir(p.log.Dir(), err)
			p.machine.Fail()
		}
		s.publish(p)
		return
	}
	again := p.machine.Flushed(end)
	s.publish(p)
	if again {
		s.flush(p)
	}
}
