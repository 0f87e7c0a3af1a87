package host

import (
	"errors"

	"go.uber.org/zap"

	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/partition"
	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
)

// A partition's machine, its producer state and the writing side of its log have one owner at a
// time: whoever holds Partition.mu. Appends run on the connection's goroutine, which holds the
// bytes in its cache, instead of travelling to a loop and back: that took a fifth off the
// processor time and the latency of small requests. Nobody waits for anything but the disk while
// holding a partition, nobody holds two, and nothing that is called there (completions, wake-ups,
// the flush queue) blocks.

// own runs f as the owner of the partition.
func (p *Partition) own(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// ownAtDisk is own for an f that may wait for the disk.
func (p *Partition) ownAtDisk(f func()) {
	p.own(func() {
		p.atDisk.Store(true)
		defer p.atDisk.Store(false)
		f()
	})
}

// append writes an item's batches and completes it, or leaves it waiting in the machine.
func (p *Partition) append(q *Produce, it *Item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.host.nowMillis()
	a := partition.Append{Acks: q.Acks, Internal: q.Internal, Token: it}
	a.Count = it.prepare(&a.Producer)
	if batch := record.Batch(it.Batches); q.Internal && batch.Control() {
		if a.Marker, it.Err = marker(batch); it.Err != errcode.None {
			p.finish(it)
			return
		}
	}
	d := p.machine.Propose(&a)
	switch {
	case d.Err != errcode.None:
		it.Err, it.Message = d.Err, d.Message
		p.finish(it)
		return
	case d.Duplicate:
		it.Base, it.AppendTime = d.Base, d.Timestamp // of the client's clock too, as upstream
		p.machine.Wait(&a, d)
		p.machine.Completions(p.complete)
		return
	}
	if !q.Internal && p.Settings().Rules.LogAppendTime {
		it.AppendTime, a.Producer.Timestamp = now, now
	}
	it.assign(d.Base, d.Epoch)
	p.atDisk.Store(true)
	err := p.log.Append(it.Batches, now)
	p.atDisk.Store(false)
	if err != nil {
		it.Err = p.writeError(err)
		p.finish(it)
		return
	}
	it.Base = d.Base
	needFlush := p.machine.Appended(&a, d)
	p.dirty.Store(true)
	p.publish()
	if needFlush {
		p.flush()
	}
}

// prepare reads what the machine needs from the batches; it returns the number of offsets they
// take.
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

// marker reads the end of a transaction.
func marker(b record.Batch) (*producer.Marker, errcode.Code) {
	meta, err := record.ParseMeta(b)
	if err == nil {
		m, ok, err := producer.ReadMarker(b, &meta)
		if err == nil && ok {
			return &m, errcode.None
		}
	}
	return nil, errcode.InvalidRecord
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

func (p *Partition) writeError(err error) errcode.Code {
	switch {
	case errors.Is(err, commitlog.ErrClosed):
		return errcode.NotLeaderOrFollower
	case errors.Is(err, commitlog.ErrStorage):
		p.host.failDir(p.log.Dir(), err)
		return errcode.KafkaStorageError
	}
	p.host.logFor(p).Error("append failed", zap.Error(err))
	return errcode.UnknownServerError
}

// publish makes the machine's state visible to readers, wakes who waits for it, and completes the
// appends that are done. The owner calls it after every change.
func (p *Partition) publish() {
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
	m.Completions(p.complete)
	if changed {
		p.watchers.wake()
	}
}

// completed takes an outcome of the machine.
func (p *Partition) completed(c partition.Completion) {
	it := c.Token.(*Item)
	it.Err = c.Err
	p.finish(it)
}

// finish hands an item back to its request.
func (p *Partition) finish(it *Item) {
	it.LogStart = p.log.Start()
	it.finished = true
	it.request.itemDone()
}

// cancel ends the waiting of an item whose time is up. What was appended stays.
func (p *Partition) cancel(it *Item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !it.finished {
		p.machine.Cancel(it)
		it.Err = errcode.RequestTimedOut
		p.finish(it)
	}
}

// flush has the flushers sync the log, unless they are at it.
func (p *Partition) flush() {
	if !p.flushQueued {
		p.flushQueued = true
		p.host.flushQueue.push(p)
	}
}

// flushed takes the outcome of a flush that covers everything before end.
func (p *Partition) flushed(end int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flushQueued = false
	if err != nil {
		if !errors.Is(err, commitlog.ErrClosed) {
			p.host.failDir(p.log.Dir(), err)
			p.machine.Fail()
		}
		p.publish()
		return
	}
	p.dirty.Store(true)
	again := p.machine.Flushed(end)
	p.publish()
	if again {
		p.flush()
	}
}
