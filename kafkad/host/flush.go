package host

import "sync"

// flushWorkers sync logs side by side: the file system then commits several of them at once.
const flushWorkers = 4

// flushQueue holds partitions whose acks wait for the disk. A partition is in it at most once, so
// the number of partitions bounds it.
type flushQueue struct {
	mu     sync.Mutex
	ready  sync.Cond
	list   []*Partition
	closed bool
}

func (q *flushQueue) init() { q.ready.L = &q.mu }

func (q *flushQueue) push(p *Partition) {
	q.mu.Lock()
	q.list = append(q.list, p)
	q.mu.Unlock()
	q.ready.Signal()
}

// pop waits for a partition; nil after close, once the queue is empty.
func (q *flushQueue) pop() *Partition {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 {
		if q.closed {
			return nil
		}
		q.ready.Wait()
	}
	p := q.list[0]
	q.list[0] = nil
	q.list = q.list[1:]
	return p
}

func (q *flushQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.ready.Broadcast()
}

// flushLoop is one flusher. Everything that was appended before the sync begins is covered by it,
// so appends that come while a sync runs share the next one.
func (h *Host) flushLoop() {
	for {
		p := h.flushQueue.pop()
		if p == nil {
			return
		}
		end := p.log.End()
		err := p.log.Flush()
		p.flushed(end, err)
	}
}
