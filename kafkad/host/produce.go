package host

import (
	"context"
	"sync/atomic"
	"time"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/record"
)

// Produce is a set of appends to several partitions that are answered together. Make one with
// NewProduce and reuse it; it belongs to one goroutine, which calls Reset, then Submit for each
// item, then Wait.
type Produce struct {
	Items    []Item
	Acks     int16
	Internal bool // built by this broker: no producer checks, timestamps stay

	pending atomic.Int32 // items submitted and not finished, and one for the submitter
	done    chan struct{}
}

// Item is one append.
type Item struct {
	Partition *Partition // nil = not submitted
	Batches   []byte     // whole, checked v2 batches; patched in place

	Err        errcode.Code
	Message    string // detail of Err, "" = none
	Base       int64  // offset of the first record, -1 if nothing was written
	AppendTime int64  // record.NoTimestamp unless the broker stamped the records
	LogStart   int64

	request  *Produce
	finished bool // the partition's owner's
}

// NewProduce makes a Produce.
func NewProduce() *Produce { return &Produce{done: make(chan struct{}, 1)} }

// Reset prepares for a new request with n items.
func (q *Produce) Reset(n int, acks int16) {
	clear(q.Items)
	if cap(q.Items) < n {
		q.Items = make([]Item, n)
	}
	q.Items = q.Items[:n]
	q.Acks, q.Internal = acks, false
	q.pending.Store(1)
	for i := range q.Items {
		q.Items[i] = Item{Base: -1, AppendTime: record.NoTimestamp, LogStart: -1, request: q}
	}
}

// Submit appends one item to a partition. It returns when the bytes are written; the item's outcome
// is known after Wait.
func (q *Produce) Submit(i int, p *Partition, batches []byte) {
	it := &q.Items[i]
	it.Partition, it.Batches = p, batches
	q.pending.Add(1)
	p.host.enter.RLock() // Close waits for appends under way
	defer p.host.enter.RUnlock()
	if p.host.closed {
		it.Err, it.finished = errcode.NotLeaderOrFollower, true
		q.itemDone()
		return
	}
	p.append(q, it)
}

func (q *Produce) itemDone() {
	if q.pending.Add(-1) == 0 {
		q.done <- struct{}{}
	}
}

// Wait returns when each submitted item is complete as Acks demands, or timeout is over, or ctx
// ends. Items whose time is up have RequestTimedOut, and may be in the log nevertheless.
func (q *Produce) Wait(ctx context.Context, timeout time.Duration) {
	if q.pending.Add(-1) == 0 {
		return // the common case: nothing waits for replicas or the disk
	}
	if q.Acks != -1 {
		<-q.done // the flushers answer, whatever the disk says
		return
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-q.done:
		return
	case <-timer.C:
	case <-ctx.Done():
	}
	for i := range q.Items {
		if it := &q.Items[i]; it.Partition != nil {
			it.Partition.cancel(it)
		}
	}
	<-q.done
}
