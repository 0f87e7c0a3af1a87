package host

import (
	"time"

	"go.uber.org/zap"

	"zkafka/zkd/replica"
)

type inputKind uint8

const (
	inputOpen inputKind = iota
	inputFrames
	inputSent
	inputClosed
	inputDurable
	inputSlice
	inputSnapshotDone
	inputView
	inputWake
)

// input is one thing that happened. Which fields are set depends on the kind.
type input struct {
	kind   inputKind
	link   *Link
	buf    []byte
	frames []byte
	at     int64
	job    syncJob
	result snapshotResult
	view   *view
}

const (
	// turnLimit is how long a turn takes requests. A buffer of small requests can ask for more than
	// a second of work; the others' replies, pings among them, shall not wait for that.
	turnLimit = 10 * time.Millisecond
	// The clock is looked at after few frames of a buffer, then after four times as many, and so
	// on, for most of them take less time than a look at the clock is worth.
	fewFrames, manyFrames = 4, 64
)

// manyReplayed is the number of replayed transactions from which on a start takes a snapshot.
const manyReplayed = 1000

// loopState belongs to the loop goroutine.
type loopState struct {
	links   map[*Link]struct{}
	stalled []*Link // in the order in which they will go on
	served  []*Link // scratch of retryStalled
	// begun is since when this turn has taken requests, behind says that the turn before was over
	// when some still waited for nothing but time.
	begun   int64
	behind  bool
	spare   []replica.LogBatch // empty batches
	syncing bool
	// stopping: what is logged already is brought to its end, requests are not taken any more, or
	// a client that never pauses would keep the host from stopping.
	stopping bool
	snap     snapshotState
	timer    *time.Timer
	armed    int64 // when the timer fires, nanoseconds of the monotonic clock
}

func (l *loopState) init(h *Host, replayed int) {
	l.links = map[*Link]struct{}{}
	l.snap.init(h, replayed)
	l.timer = time.NewTimer(time.Hour)
}

// submit queues an input for the loop. After the end of the loop inputs are dropped.
func (h *Host) submit(in input) bool {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return false
	}
	h.queue = append(h.queue, in)
	wake := h.idle
	h.idle = false
	h.mu.Unlock()
	if wake {
		h.wake <- struct{}{} // has room: only the one who clears idle sends
	}
	return true
}

// run is the loop: take everything that is queued, feed the machine, perform its effects.
func (h *Host) run() {
	var batch []input
	if h.info.Txns >= manyReplayed {
		// The next start shall not replay them again. The log begins a new file anyway.
		h.loop.snap.draw(h)
		h.loop.snap.inProgress = true
		h.startSnapshot()
	}
	for {
		var stopping bool
		batch, stopping = h.next(batch[:0])
		select {
		case <-h.stop:
			h.loop.stopping = true
		default:
		}
		now := h.now()
		h.loop.begun = now.MonoNanos
		h.machine.SetTime(now)
		for i := range batch {
			h.handle(&batch[i])
		}
		clear(batch)
		if h.failure.Load() != nil {
			break
		}
		if monotonicNanos() >= h.machine.NextTick() {
			h.machine.Tick()
			h.reportExpired()
		}
		h.loop.behind = !h.loop.stopping && h.retryStalled()
		h.startSync()
		h.deliver()
		if stopping && len(batch) == 0 && !h.loop.syncing {
			break
		}
	}
	h.finish()
}

// next waits for input, for the time of the next tick or for the end. The memory of spare is used
// for the queue that fills meanwhile.
func (h *Host) next(spare []input) (batch []input, stopping bool) {
	for {
		h.mu.Lock()
		if len(h.queue) > 0 || h.loop.behind {
			batch, h.queue = h.queue, spare
			h.mu.Unlock()
			return batch, false
		}
		h.idle = true
		h.mu.Unlock()
		if !h.await(&stopping) {
			h.mu.Lock()
			woken := !h.idle
			h.idle = false
			batch, h.queue = h.queue, spare
			h.mu.Unlock()
			if woken {
				<-h.wake // somebody cleared idle and sends, or has sent
			}
			return batch, stopping
		}
	}
}

// await blocks until there is input (true), or the tick is due or the host is to stop (false).
func (h *Host) await(stopping *bool) bool {
	due := h.machine.NextTick()
	if due != h.loop.armed {
		h.loop.armed = due
		h.loop.timer.Reset(time.Duration(max(due-monotonicNanos(), 0)))
	}
	stop := h.stop
	select {
	case <-h.wake:
		return true
	case <-h.loop.timer.C:
		h.loop.armed = 0
		return false
	case <-stop:
		*stopping = true
		if h.loop.syncing && h.failure.Load() == nil {
			<-h.wake // the sync goroutine will report
			return true
		}
		return false
	}
}

func (h *Host) handle(in *input) {
	m := h.machine
	switch in.kind {
	case inputOpen:
		h.loop.links[in.link] = struct{}{}
		m.Open(in.link.rc)
	case inputFrames:
		h.frames(in.link, arrived{buf: in.buf, rest: in.frames, at: in.at})
	case inputSent, inputWake:
		// Only there to make the loop turn: it looks at stalled connections and for a failure.
	case inputClosed:
		h.detached(in.link)
	case inputDurable:
		h.synced(in)
		h.loop.begun = monotonicNanos() // what it took is not the requests' doing
	case inputSlice:
		h.nextSlice(in.buf)
	case inputSnapshotDone:
		h.snapshotDone(in.result)
	case inputView:
		in.view.run(m)
	}
}

// frames gives requests to the machine, or lets them wait behind others: those of a stalled
// connection, and all others when there is no time left.
func (h *Host) frames(l *Link, a arrived) {
	if h.loop.stopping {
		l.conn.Return(a.buf)
		return
	}
	if len(l.waiting) > 0 {
		h.machine.Heard(l.rc, a.at)
		l.waiting = append(l.waiting, a)
		return
	}
	h.machine.SetUnsent(l.rc, l.conn.Unsent())
	if h.feed(l, &a, h.loop.behind || h.turnOver()); len(a.rest) == 0 {
		l.conn.Return(a.buf)
		return
	}
	l.waiting = append(l.waiting, a)
	if !l.stalled {
		l.stalled = true
		h.loop.stalled = append(h.loop.stalled, l)
	}
}

// feed gives the machine what arrived until it takes no more or the turn is over.
func (h *Host) feed(l *Link, a *arrived, over bool) (stillOver bool) {
	for most := fewFrames; len(a.rest) > 0; most = min(4*most, manyFrames) {
		before := len(a.rest)
		if over {
			most = 0
		}
		a.rest = h.machine.FramesUpTo(most, l.rc, a.rest, a.at)
		if len(a.rest) == before {
			break
		}
		over = h.turnOver()
	}
	return over
}

// turnOver says whether this turn has taken requests for long enough.
func (h *Host) turnOver() bool {
	return monotonicNanos()-h.loop.begun > int64(turnLimit)
}

// detached ends a connection whose client has left. While requests wait that it sent before, the
// machine keeps the connection.
func (h *Host) detached(l *Link) {
	if l.gone = len(l.waiting) > 0; l.gone {
		h.machine.Gone(l.rc)
		return
	}
	h.machine.Closed(l.rc)
	delete(h.loop.links, l)
}

// retryStalled goes on with the connections whose requests have to wait, in their order and as long
// as there is time; it says whether there was too little. Those that had their share go to the end.
// The order of the two steps on wanted and Unsent makes sure that a connection that drains in
// between reports it.
func (h *Host) retryStalled() (behind bool) {
	if len(h.loop.stalled) == 0 {
		return false
	}
	h.loop.begun = monotonicNanos()
	kept, served, over := h.loop.stalled[:0], h.loop.served[:0], false
	for i, l := range h.loop.stalled {
		if over {
			kept = append(kept, h.loop.stalled[i:]...)
			break
		}
		progress := false
		for len(l.waiting) > 0 && !over {
			l.wanted.Store(true)
			h.machine.SetUnsent(l.rc, l.conn.Unsent())
			a := &l.waiting[0]
			before := len(a.rest)
			over = h.feed(l, a, false)
			progress = progress || len(a.rest) < before
			if len(a.rest) > 0 {
				break
			}
			l.conn.Return(a.buf)
			l.waiting = append(l.waiting[:0], l.waiting[1:]...)
		}
		switch {
		case len(l.waiting) == 0:
			l.stalled = false
			if l.gone {
				h.detached(l)
			}
		case progress:
			served = append(served, l)
		default:
			kept = append(kept, l)
		}
	}
	n := len(kept) + len(served)
	clear(h.loop.stalled[n:])
	h.loop.stalled = append(kept, served...)
	clear(served)
	h.loop.served = served[:0]
	return over && n > 0
}

// deliver hands replies and events to their connections and closes those that are to be closed.
func (h *Host) deliver() {
	eff := h.machine.Effects()
	for i, rc := range eff.Dirty {
		l := rc.Tag.(*Link)
		h.machine.SetUnsent(rc, l.conn.Unsent())
		l.timeout.Store(rc.TimeoutMillis())
		frames := rc.Take(nil)
		if l.gone {
			rc.Take(frames)
		} else {
			rc.Take(l.conn.Deliver(frames))
		}
		eff.Dirty[i] = nil
	}
	eff.Dirty = eff.Dirty[:0]
	for i, rc := range eff.Closed {
		rc.Tag.(*Link).conn.Finish()
		eff.Closed[i] = nil
	}
	eff.Closed = eff.Closed[:0]
}

// finish ends the loop: no more inputs, connections closed, workers waited for.
func (h *Host) finish() {
	h.mu.Lock()
	h.closed = true
	left := h.queue
	h.queue = nil
	h.mu.Unlock()
	for i := range left {
		switch left[i].kind {
		case inputView:
			left[i].view.abandon()
		case inputOpen:
			left[i].link.conn.Finish()
		}
	}
	h.loop.timer.Stop()
	for l := range h.loop.links {
		l.conn.Finish()
	}
	close(h.toSync)
	h.endSnapshot()
	h.workers.Wait()
	if err := h.locks.Close(); err != nil {
		h.log.Error("the lock of the data directories cannot be released", zap.Error(err))
		h.err = err
	}
	if failure := h.failure.Load(); failure != nil {
		h.err = *failure
	}
	close(h.done)
}
