package host

import (
	"context"
	"math/bits"
	"sync/atomic"
	"time"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/record"
)

// Produce is a set of appends to several partitions, handed to their shards at once. Make one with
// NewProduce and reuse it; it belongs to one goroutine, except while Host.Produce runs.
type Produce struct {
	Items    []Item
	Acks     int16
	Internal bool // built by this broker: no producer checks, timestamps stay

	pending atomic.Int32
	done    chan struct{}
}

// Item is one append. The owner fills in Partition and Batches; an item without Partition is left
// alone, so that its result may be set beforehand.
type Item struct {
	Partition *Partition
	Batches   []byte // whole, checked v2 batches; patched in place

	Err        errcode.Code
	Message    string // detail of Err, "" = none
	Base       int64  // offset of the first record, -1 if nothing was written
	AppendTime int64  // record.NoTimestamp unless the broker stamped the records
	LogStart   int64

	request  *Produce
	finished bool
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
	for i := range q.Items {
		q.Items[i] = Item{Base: -1, AppendTime: record.NoTimestamp, LogStart: -1, request: q}
	}
}

// itemDone counts an item that is finished, or a shard that has seen all its items.
func (q *Produce) itemDone() {
	if q.pending.Add(-1) == 0 {
		q.done <- struct{}{}
	}
}

// Produce appends the items and returns when each is complete as Acks demands, or timeout is over, or
// ctx ends; the outcome is in the items. Items whose time is up have RequestTimedOut, and may be
// in the log nevertheless.
func (h *Host) Produce(ctx context.Context, q *Produce, timeout time.Duration) {
	var shards uint64
	n := int32(0)
	for i := range q.Items {
		if p := q.Items[i].Partition; p != nil {
			n++
			shards |= 1 << p.shard.index
		}
	}
	if n == 0 {
		return
	}
	h.enter.RLock() // Close waits for requests that are on their way to the shards
	defer h.enter.RUnlock()
	if h.closed {
		for i := range q.Items {
			q.Items[i].Err = errcode.NotLeaderOrFollower
		}
		return
	}
	// Each shard counts too: the request is not done before the last shard has let go of it.
	q.pending.Store(n + int32(bits.OnesCount64(shards)))
	for i, s := range h.shards {
		if shards&(1<<i) != 0 {
			s.queue <- op{produce: q}
		}
	}
	select {
	case <-q.done:
		return
	default:
	}
	if q.Acks != -1 {
		// The shards answer as soon as the bytes are written (and flushed, if asked).
		<-q.done
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
	// Wait for each shard's cancel, so that none can meet the next use of q.
	for i, s := range h.shards {
		if shards&(1<<i) != 0 {
			s.do(func() { s.cancel(q) })
		}
	}
	<-q.done
}
