package host

import (
	"math"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/commitlog"
)

// never is longer than any process lives; upstream's default of intervals that are switched off.
const never = time.Duration(math.MaxInt64)

// sweepInterval is how often files past their file.delete.delay.ms are looked for.
const sweepInterval = 10 * time.Second

// janitor runs what happens by the clock. One goroutine does all: none of it is urgent.
func (h *Host) janitor() {
	c := h.opts.Config
	// The first run comes after log.initial.task.delay.ms, or earlier if frequent. Only producers are
	// kept for a whole interval: one that writes old timestamps looks expired at any time, and a
	// batch that it sends again may be on its way.
	initial := c.LogInitialTaskDelay
	tasks := []struct {
		every, first time.Duration
		run          func(now time.Time)
		next         time.Time
	}{
		{every: c.LogRetentionCheckInterval, first: initial, run: h.retain},
		{every: c.HighWatermarkCheckpointInterval, first: initial, run: h.checkpoint},
		{every: c.LogFlushSchedulerInterval, first: initial, run: h.flushByTime},
		{every: c.ProducerIDExpirationCheck, first: never, run: h.expireProducers},
		{every: sweepInterval, first: initial, run: h.sweep},
	}
	now := h.opts.Now()
	for i := range tasks {
		tasks[i].next = now.Add(min(tasks[i].first, tasks[i].every))
	}
	for {
		wait := never
		for i := range tasks {
			if tasks[i].every > 0 && tasks[i].every != never {
				wait = min(wait, tasks[i].next.Sub(now))
			}
		}
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-h.stop:
			timer.Stop()
			return
		case <-timer.C:
		}
		now = h.opts.Now()
		for i := range tasks {
			t := &tasks[i]
			if t.every > 0 && t.every != never && !now.Before(t.next) {
				t.run(now)
				t.next = now.Add(t.every)
			}
		}
	}
}

// watchFailures takes log dirs offline that an append or a read found broken.
func (h *Host) watchFailures() {
	for {
		select {
		case <-h.stop:
			return
		case d := <-h.failures:
			h.takeOffline(d)
			h.report(d)
		}
	}
}

// retain deletes old segments, partition by partition.
func (h *Host) retain(now time.Time) {
	for _, p := range h.all() {
		if h.stopping() {
			return
		}
		p.ownAtDisk(func() {
			n, err := p.log.Retain(now.UnixMilli(), p.machine.HighWatermark())
			if err != nil {
				_ = p.writeError(err) // there is no client to take the code
				return
			}
			if n > 0 {
				p.machine.SetLogStart(p.log.Start())
				p.publish()
				h.logFor(p).Info("old segments deleted", zap.Int("segments", n),
					zap.Int64("log_start", p.log.Start()))
			}
		})
	}
}

// checkpoint writes recovery points, log starts and high watermarks of dirs that changed.
func (h *Host) checkpoint(time.Time) {
	dirty := map[*commitlog.Dir]bool{}
	for _, p := range h.all() {
		if p.dirty.Swap(false) {
			dirty[p.log.Dir()] = true
		}
	}
	usable, _ := h.usableDirs()
	for _, d := range usable {
		if !dirty[d] {
			continue
		}
		if err := d.Checkpoint(); err != nil {
			h.failDir(d, err)
		}
	}
}

// flushByTime syncs logs whose flush.ms is over; upstream's default is to leave it to the system.
func (h *Host) flushByTime(time.Time) {
	for _, p := range h.all() {
		if h.stopping() {
			return
		}
		if p.Settings().Topic.FlushMillis == math.MaxInt64 || p.log.Unflushed() == 0 {
			continue
		}
		end := p.log.End()
		if err := p.log.Flush(); err != nil {
			_ = p.readError(err) // there is no client to take the code
			continue
		}
		p.dirty.Store(true)
		p.own(func() { p.machine.NoteFlushed(end) })
	}
}

func (h *Host) expireProducers(now time.Time) {
	keep := h.opts.Config.ProducerIDExpiration.Milliseconds()
	for _, p := range h.all() {
		if h.stopping() {
			return
		}
		p.own(func() { p.log.Producers().Expire(now.UnixMilli(), keep) })
	}
}

func (h *Host) sweep(now time.Time) {
	usable, _ := h.usableDirs()
	for _, d := range usable {
		if err := d.Sweep(now); err != nil {
			h.log.Warn("deleting old files failed", zap.String("dir", d.Path()), zap.Error(err))
		}
	}
}

func (h *Host) stopping() bool {
	select {
	case <-h.stop:
		return true
	default:
		return false
	}
}
