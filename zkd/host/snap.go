package host

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"zkafka/zkd/replica"
	"zkafka/zkd/snapshot"
	"zkafka/zkd/tree"
)

// snapshotState is the loop's side of snapshots. While a snapshot is written, the loop walks the
// tree a slice at a time; each slice is sent when the one before it is written, so the memory it
// takes is bounded and the loop is never away for longer than a slice.
type snapshotState struct {
	walk   *tree.Walk
	slices chan slice // to the writer; closed behind the last one
	done   bool       // walk has given its last slice

	txns, bytes          int64 // logged since the last one
	txnLimit, bytesLimit int64
	begun                time.Time
	inProgress           bool
}

const (
	// sliceBytes is how much of a snapshot the loop produces in a turn.
	sliceBytes = 256 << 10
	// slicesAhead is how many slices are between the loop and the writer.
	slicesAhead = 2
)

// slice is a part of a snapshot file; without last the file is not complete.
type slice struct {
	b    []byte
	last bool
}

type snapshotResult struct {
	zxid int64
	size int64
	err  error
}

func (s *snapshotState) init(h *Host, replayed int) {
	s.draw(h)
	s.txns = int64(replayed)
}

// draw sets the limits at which the next snapshot is taken. Their random half keeps the members of
// an ensemble from all taking one at the same time.
func (s *snapshotState) draw(h *Host) {
	half := int64(h.o.SnapCount / 2)
	s.txnLimit = half + int64(h.o.randomFraction()*float64(half))
	s.bytesLimit = 0
	if h.o.SnapSizeLimitBytes > 0 {
		half = h.o.SnapSizeLimitBytes / 2
		s.bytesLimit = half + int64(h.o.randomFraction()*float64(half))
	}
	s.txns, s.bytes = 0, 0
}

// countLogged counts a batch and says whether the log file is to end behind it, which is where a
// snapshot begins. None begins while another is being written.
func (h *Host) countLogged(b *replica.LogBatch) (roll bool) {
	s := &h.loop.snap
	s.txns += int64(len(b.Recs))
	s.bytes += int64(len(b.Buf))
	due := s.txns > s.txnLimit || s.bytesLimit > 0 && s.bytes > s.bytesLimit
	if !due || s.inProgress {
		return false
	}
	s.inProgress = true
	s.draw(h)
	return true
}

// startSnapshot begins to walk the tree.
func (h *Host) startSnapshot() {
	s := &h.loop.snap
	s.walk = h.machine.Tree().NewSnapshot()
	s.slices = make(chan slice, slicesAhead)
	s.done = false
	s.begun = time.Now()
	zxid := s.walk.Zxid()
	slices := s.slices
	h.goWorker(func() { h.writeSnapshot(zxid, slices) })
	for range slicesAhead {
		h.nextSlice(nil)
	}
}

// nextSlice produces a slice in the memory of one that is written.
func (h *Host) nextSlice(buf []byte) {
	s := &h.loop.snap
	if s.walk == nil || s.done {
		return
	}
	var b []byte
	b, s.done = s.walk.Next(buf[:0], sliceBytes)
	s.slices <- slice{b, s.done} // has room: a slice is produced only for one that was taken
	if s.done {
		close(s.slices)
		s.walk = nil
	}
}

// writeSnapshot is the goroutine that writes one snapshot.
func (h *Host) writeSnapshot(zxid int64, slices <-chan slice) {
	res := snapshotResult{zxid: zxid}
	w, err := snapshot.Create(h.o.FS, h.info.SnapDir, zxid)
	complete := false
	for s := range slices {
		if err == nil {
			_, err = w.Write(s.b)
		}
		complete = s.last
		h.submit(input{kind: inputSlice, buf: s.b})
	}
	if err == nil && !complete {
		err = ErrClosed
	}
	switch {
	case err == nil:
		err = w.Commit()
		res.size = w.Size()
	case w != nil:
		w.Abort()
	}
	res.err = err
	h.submit(input{kind: inputSnapshotDone, result: res})
}

// snapshotDone notes the end of a snapshot. One that failed costs nothing but a longer log: the
// next one is tried when it is due.
func (h *Host) snapshotDone(res snapshotResult) {
	s := &h.loop.snap
	took := time.Since(s.begun)
	s.inProgress = false
	if res.err != nil {
		h.stat.snapshotErrors.Add(1)
		h.log.Error("snapshot failed; the server goes on with the log", zap.Error(res.err))
		return
	}
	h.purge.Written(res.zxid)
	h.stat.snapshot(res.zxid, took)
	h.log.Info("snapshot written", zap.String("ZXID", fmt.Sprintf("0x%x", res.zxid)),
		zap.Int64("bytes", res.size), zap.Duration("took", took))
}

// endSnapshot gives up a snapshot that is under way when the loop ends.
func (h *Host) endSnapshot() {
	s := &h.loop.snap
	if s.walk != nil {
		s.walk = nil
		close(s.slices)
	}
}

// runPurge is the purge goroutine: it purges at once and then after every interval, as upstream.
func (h *Host) runPurge() {
	ticker := time.NewTicker(h.o.PurgeInterval)
	defer ticker.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	h.goWorker(func() {
		<-h.stop
		cancel()
	})
	for {
		h.purgeOnce(ctx)
		select {
		case <-ticker.C:
		case <-h.stop:
			return
		}
	}
}

func (h *Host) purgeOnce(ctx context.Context) {
	removed, err := h.purge.Purge(ctx)
	if err != nil && ctx.Err() == nil {
		h.log.Warn("purge of old snapshots and logs failed", zap.Error(err))
	}
	if len(removed) > 0 {
		h.log.Info("purged old snapshots and logs", zap.Strings("files", removed))
	}
}
