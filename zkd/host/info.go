package host

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"zkafka/zkd/replica"
	"zkafka/zkd/snapshot"
)

// counters are kept by several goroutines and read by the commands.
type counters struct {
	slowSyncs        atomic.Int64
	snapshotErrors   atomic.Int64
	lastSnapshotZxid atomic.Int64
	lastSnapshotTime atomic.Int64 // unix seconds

	mu           sync.Mutex
	syncTime     replica.Summary // milliseconds
	batchSize    replica.Summary
	snapshotTime replica.Summary // milliseconds
}

func (c *counters) synced(txns int, took time.Duration) {
	c.mu.Lock()
	c.syncTime.Add(took.Milliseconds())
	c.batchSize.Add(int64(txns))
	c.mu.Unlock()
}

func (c *counters) snapshot(zxid int64, took time.Duration) {
	c.lastSnapshotZxid.Store(zxid)
	c.lastSnapshotTime.Store(time.Now().Unix())
	c.mu.Lock()
	c.snapshotTime.Add(took.Milliseconds())
	c.mu.Unlock()
}

// Stats are what the host itself measures.
type Stats struct {
	Uptime           time.Duration
	SlowSyncs        int64
	SnapshotErrors   int64
	LastSnapshotZxid int64
	LastSnapshotTime int64 // unix seconds
	SyncTime         replica.Summary
	BatchSize        replica.Summary
	SnapshotTime     replica.Summary
	Recovery         snapshot.Info
}

// Stats returns the host's measurements.
func (h *Host) Stats() Stats {
	c := &h.stat
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Uptime:           time.Since(h.start),
		SlowSyncs:        c.slowSyncs.Load(),
		SnapshotErrors:   c.snapshotErrors.Load(),
		LastSnapshotZxid: c.lastSnapshotZxid.Load(),
		LastSnapshotTime: c.lastSnapshotTime.Load(),
		SyncTime:         c.syncTime,
		BatchSize:        c.batchSize,
		SnapshotTime:     c.snapshotTime,
		Recovery:         h.info,
	}
}

// view is a function that the loop runs.
type view struct {
	fn     func(*replica.Machine)
	done   chan struct{}
	failed bool        // set before done is closed
	taken  atomic.Bool // by the loop, or by a caller who waits no longer
}

// run is called by the loop. What fn writes to may be gone when nobody waits for it any more.
func (v *view) run(m *replica.Machine) {
	if v.taken.CompareAndSwap(false, true) {
		v.fn(m)
		close(v.done)
	}
}

func (v *view) abandon() {
	v.failed = true
	close(v.done)
}

// View runs fn in the loop, where it may look at the machine, and waits for it. It also serves as a
// sign of life of the loop. fn must be short and must not keep the machine.
func (h *Host) View(ctx context.Context, fn func(*replica.Machine)) error {
	v := &view{fn: fn, done: make(chan struct{})}
	if !h.submit(input{kind: inputView, view: v}) {
		return ErrClosed
	}
	select {
	case <-v.done:
	case <-ctx.Done():
		if v.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-v.done // it runs, and is short
	}
	if v.failed {
		return ErrClosed
	}
	return nil
}

// Dirs returns the directories of snapshots and logs, version-2 included.
func (h *Host) Dirs() (snapDir, logDir string) { return h.info.SnapDir, h.info.LogDir }

// DirSizes adds up the files of the two directories.
func (h *Host) DirSizes() (snaps, logs int64) {
	return h.dirSize(h.info.SnapDir), h.dirSize(h.info.LogDir)
}

func (h *Host) dirSize(dir string) (size int64) {
	names, err := h.o.FS.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, name := range names {
		st, err := h.o.FS.Stat(filepath.Join(dir, name))
		if err == nil && !st.Dir {
			size += st.Size
		}
	}
	return size
}

// reportExpired tells the journal about sessions whose time was over. When very many expire at
// once, as when the network was away, their names would keep the loop busy.
func (h *Host) reportExpired() {
	const named = 100
	eff := h.machine.Effects()
	for i, id := range eff.Expired {
		if i == named {
			h.log.Info("more sessions expired", zap.Int("sessions", len(eff.Expired)-named))
			break
		}
		h.log.Info("session expired", zap.String("SESSION", fmt.Sprintf("0x%x", id)))
	}
	eff.Expired = eff.Expired[:0]
}
