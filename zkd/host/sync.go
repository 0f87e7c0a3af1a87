package host

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"zkafka/zkd/replica"
	"zkafka/zkd/txnlog"
)

// syncJob is a batch on its way to the disk and back.
type syncJob struct {
	batch replica.LogBatch
	roll  bool // begin a new file behind the batch

	took time.Duration // of the fdatasync
}

// startSync gives the sync goroutine what was logged, unless it is busy; then it will be given
// everything that gathers until it is done.
func (h *Host) startSync() {
	l := &h.loop
	if l.syncing || len(h.machine.Effects().Log.Recs) == 0 {
		return
	}
	var next replica.LogBatch
	if n := len(l.spare); n > 0 {
		next = l.spare[n-1]
		l.spare = l.spare[:n-1]
	}
	job := syncJob{batch: h.machine.TakeLog(next)}
	job.roll = h.countLogged(&job.batch)
	l.syncing = true
	h.toSync <- job
}

// synced goes on behind a sync: first the next batch is sent off, so that the disk does not wait
// for the replies to be encoded, then the replies of the batch are made.
func (h *Host) synced(in *input) {
	l := &h.loop
	l.syncing = false
	h.startSync()
	batch := in.job.batch
	h.machine.Durable(batch.Recs[len(batch.Recs)-1].Zxid)
	const keep = 4 << 20
	if cap(batch.Buf) <= keep {
		batch.Reset()
		l.spare = append(l.spare, batch)
	}
	h.stat.synced(len(batch.Recs), in.job.took)
	if in.job.roll {
		h.startSnapshot()
	}
}

// runSync is the sync goroutine.
func (h *Host) runSync(wal *txnlog.Log) {
	defer func() {
		if err := wal.Close(); err != nil && h.failure.Load() == nil {
			h.fail(err)
		}
	}()
	for job := range h.toSync {
		if err := h.writeJob(wal, &job); err != nil {
			h.fail(err)
			return
		}
		h.submit(input{kind: inputDurable, job: job})
	}
}

func (h *Host) writeJob(wal *txnlog.Log, job *syncJob) error {
	at := 0
	for _, r := range job.batch.Recs {
		if err := wal.Append(r.Zxid, job.batch.Buf[at:r.End]); err != nil {
			return err
		}
		at = r.End
	}
	if err := wal.Flush(); err != nil {
		return err
	}
	job.took = wal.LastSync()
	if job.took > h.o.FsyncWarningThreshold {
		h.stat.slowSyncs.Add(1)
		h.log.Warn("fsync of the transaction log was slow; it delays every write",
			zap.Duration("took", job.took), zap.Int64("bytes", wal.Size()))
	}
	if !job.roll {
		return nil
	}
	if err := wal.Roll(); err != nil {
		return fmt.Errorf("begin a new transaction log file: %w", err)
	}
	return nil
}
