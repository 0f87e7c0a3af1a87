package commitlog

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/index"
	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
	"zkafka/kafkad/segment"

	"go.uber.org/zap"
)

// Log is the log of one partition.
type Log struct {
	dir     *Dir
	fs      disk.FS
	tp      TP
	path    string
	key     index.Log
	created bool
	jitter  int64 // random, of segment.jitter.ms

	config  atomic.Pointer[Config]
	segs    atomic.Pointer[[]*seg] // oldest first, never empty, never changed in place
	topicID atomic.Pointer[[16]byte]

	// Readers need the end offset and the size of the active segment to belong together: turn is
	// odd while the writer moves them.
	turn  atomic.Uint64
	end   atomic.Int64
	start atomic.Int64
	mark  atomic.Int64 // high watermark

	epochs atomic.Pointer[[]EpochEntry]

	flushing     sync.Mutex   // one flush at a time; guards saved
	saved        []EpochEntry // the epochs as they are in their file
	flushed      atomic.Int64
	flushedAt    atomic.Int64 // unix ms
	point        atomic.Int64 // flushed, and the epochs up to here are in their file
	entriesDirty atomic.Bool  // the directory has files whose names are not durable
	nameDirty    atomic.Bool  // the directory's own name may not be durable

	lastAbort atomic.Int64 // no abort marker is above; -1 none at all
	unsettled atomic.Int32 // segments whose list of aborted transactions may be incomplete

	rebuilding sync.Mutex // one rebuild of a sealed segment's index at a time
	closed     atomic.Bool
	failed     atomic.Pointer[error] // after a failed sync nothing may be promised any more

	producers producer.State
	snapshots []int64 // offsets of the producer snapshots, rising
}

// seg is a segment and what the index knows about it.
type seg struct {
	*segment.Segment

	// Of the active segment; written by the writer, maxTime and tail read by anybody.
	tail       index.Tail
	maxTime    atomic.Int64
	firstTime  int64 // highest timestamp of the first batch, unknownTime before that is read
	sinceEntry int64 // bytes since the last index entry
	createdMs  int64
	foreign    bool        // index files of an Apache broker lie beside it
	indexed    bool        // its .index does
	listed     bool        // its .txnindex does, as the log is opened
	redoTxns   bool        // the list of aborted transactions is to be made anew
	settled    atomic.Bool // the list of aborted transactions is complete
	dirty      bool        // a failed write may have left bytes behind the end
	partial    atomic.Bool // the database lost entries: absence of one proves nothing

	// Of the others; nil until somebody needed it.
	summary atomic.Pointer[index.Summary]
}

// unknownTime says that firstTime has not been looked up.
const unknownTime = math.MinInt64

func (l *Log) newSeg(s *segment.Segment) *seg {
	out := &seg{Segment: s, firstTime: unknownTime, createdMs: time.Now().UnixMilli()}
	out.maxTime.Store(record.NoTimestamp)
	return out
}

func (l *Log) active() *seg {
	segs := *l.segs.Load()
	return segs[len(segs)-1]
}

// TopicPartition names the partition.
func (l *Log) TopicPartition() TP { return l.tp }

// Dir is the directory that holds the log.
func (l *Log) Dir() *Dir { return l.dir }

// Created says that Open made the log new.
func (l *Log) Created() bool { return l.created }

// Start is the log start offset.
func (l *Log) Start() int64 { return l.start.Load() }

// End is the log end offset: the offset the next record gets.
func (l *Log) End() int64 { return l.end.Load() }

// Size is the number of bytes in all segments.
func (l *Log) Size() int64 {
	var n int64
	for _, s := range *l.segs.Load() {
		n += s.Size()
	}
	return n
}

// ActiveBase is the base offset of the active segment.
func (l *Log) ActiveBase() int64 { return l.active().Base }

// HighWatermark is the high watermark as last set, after Open the one of the checkpoint.
func (l *Log) HighWatermark() int64 { return l.mark.Load() }

// SetHighWatermark notes the partition's high watermark for the next checkpoint.
func (l *Log) SetHighWatermark(hw int64) { l.mark.Store(hw) }

// Producers is the state that belongs to the log's end; the writer's own.
func (l *Log) Producers() *producer.State { return &l.producers }

// Config returns the settings in force.
func (l *Log) Config() Config { return *l.config.Load() }

// SetConfig changes the settings.
func (l *Log) SetConfig(c Config) { l.config.Store(&c) }

// TopicID is the id in partition.metadata, zero if unknown.
func (l *Log) TopicID() [16]byte {
	if id := l.topicID.Load(); id != nil {
		return *id
	}
	return [16]byte{}
}

// SetTopicID writes partition.metadata if there is none yet.
func (l *Log) SetTopicID(id [16]byte) error {
	if l.topicID.Load() != nil || id == [16]byte{} {
		return nil
	}
	path := l.fs.PathJoin(l.path, partitionFile)
	if err := putFile(l.fs, path, encodePartition(id), false); err != nil {
		return storage("write "+partitionFile, err)
	}
	if err := l.fs.Rename(path+".tmp", path); err != nil {
		return storage("write "+partitionFile, err)
	}
	l.entriesDirty.Store(true)
	l.topicID.Store(&id)
	return nil
}

func (l *Log) usable() error {
	if l.closed.Load() {
		return fmt.Errorf("log %s: %w", l.tp, ErrClosed)
	}
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Append writes whole batches, offsets and leader epoch already in their headers, at the end of the
// log: one pwrite of b, which is neither kept nor copied. It rolls the segment first when size,
// time or offset range ask for it, keeps the epoch cache and index, and moves End. The first offset
// must be >= End (a gap is allowed). Transactions that abort markers in b end are added to the
// segment's list. The caller has checked CRCs and tells Producers() of the batches itself, after
// Append and before the next. On error nothing was appended.
func (l *Log) Append(b []byte, nowMs int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	last, maxTime, marked, err := l.survey(b)
	if err != nil {
		return err
	}
	var aborted []segment.Aborted
	if marked {
		if aborted, err = l.abortsOf(b); err != nil {
			return err
		}
	}
	s := l.active()
	roll, err := l.mustRoll(s, int64(len(b)), last, maxTime, nowMs)
	if err != nil {
		return storage("read first batch", err)
	}
	if roll {
		if err := l.roll(record.Batch(b).BaseOffset(), last); err != nil {
			return storage("roll", err)
		}
		s = l.active()
	}
	if s.foreign {
		// Its time index would say that nothing newer is there: retention would delete too early.
		if err := l.dropIndexFiles(s.Base); err != nil {
			return storage("remove index files", err)
		}
		s.foreign = false
	}
	if err := s.Write(b); err != nil {
		s.dirty = true
		return storage("append", err)
	}
	if err := l.appendAborted(s, aborted); err != nil {
		s.dirty = true
		return storage("append to "+s.Txns.Path(), err)
	}
	at := s.Size()
	for rest := b; len(rest) > 0; {
		m, err := record.ParseMeta(rest)
		if err != nil {
			return err // survey has passed it
		}
		if m.LeaderEpoch > l.LatestEpoch() {
			l.AssignEpoch(m.LeaderEpoch, m.BaseOffset)
		}
		l.note(s, at, &m)
		at += int64(m.Size)
		rest = rest[m.Size:]
	}
	l.turn.Add(1)
	s.Advance(len(b))
	l.end.Store(last + 1)
	l.turn.Add(1)
	return nil
}

// survey checks that b is whole batches that continue the log; marked says that there are markers
// among them.
func (l *Log) survey(b []byte) (last, maxTime int64, marked bool, err error) {
	last, maxTime = l.End()-1, record.NoTimestamp
	if len(b) == 0 {
		return 0, 0, false, errors.New("append of no bytes")
	}
	for len(b) > 0 {
		m, err := record.ParseMeta(b)
		if err != nil {
			return 0, 0, false, err
		}
		if m.Size > len(b) || m.BaseOffset <= last {
			return 0, 0, false, fmt.Errorf("append of a batch of %d bytes at offset %d to log %s, %d bytes "+
				"given, end %d", m.Size, m.BaseOffset, l.tp, len(b), last+1)
		}
		last, maxTime = m.LastOffset, max(maxTime, m.MaxTimestamp)
		marked = marked || m.Control()
		b = b[m.Size:]
	}
	return last, maxTime, marked, nil
}

// note keeps the index of the active segment: the batch m lies at the position.
func (l *Log) note(s *seg, at int64, m *record.Meta) {
	if m.MaxTimestamp > s.maxTime.Load() {
		s.maxTime.Store(m.MaxTimestamp)
	}
	if at == 0 {
		s.firstTime = m.MaxTimestamp
	}
	if s.sinceEntry > l.config.Load().IndexIntervalBytes {
		s.sinceEntry = 0
		e := index.Entry{Offset: m.LastOffset, Position: at, MaxTimestamp: s.maxTime.Load()}
		if s.tail.Add(e) {
			l.spill(s)
		}
	}
	s.sinceEntry += int64(m.Size)
}

// spill moves the tail to the database. If that fails the tail grows: nothing is lost but memory.
func (l *Log) spill(s *seg) {
	entries := s.tail.Entries()
	if len(entries) == 0 {
		return
	}
	if err := l.dir.index.Put(l.key, s.Base, s.tail.Before(), entries); err != nil {
		l.dir.log.Warn("index entries stay in memory", zap.String("TOPIC", l.tp.Topic),
			zap.Int32("PARTITION", l.tp.Partition), zap.Error(err))
		return
	}
	s.tail.Clear()
}

// mustRoll decides as upstream does whether the batch needs a new segment.
func (l *Log) mustRoll(s *seg, size, last, maxTime, nowMs int64) (bool, error) {
	c := l.config.Load()
	if s.Size() == 0 {
		return last-s.Base > math.MaxInt32, nil
	}
	if s.Size()+size > c.SegmentBytes || last-s.Base > math.MaxInt32 {
		return true, nil
	}
	limit := c.SegmentMs
	if c.SegmentJitterMs > 0 {
		limit -= l.jitter % max(min(c.SegmentJitterMs, c.SegmentMs), 1)
	}
	if s.firstTime == unknownTime {
		_, m, ok, err := s.Find(0, s.Size(), s.Base)
		if err != nil {
			return false, err
		}
		s.firstTime = record.NoTimestamp
		if ok {
			s.firstTime = m.MaxTimestamp
		}
	}
	// Record time counts, not file age, as soon as the first batch has one.
	if s.firstTime >= 0 {
		return maxTime >= 0 && maxTime-s.firstTime > limit, nil
	}
	return nowMs-s.createdMs > limit, nil
}

// roll closes the active segment's index and begins a new segment at End, or at the first offset of
// the batch that needs it if offsets relative to End would not fit.
func (l *Log) roll(first, last int64) error {
	segs, base := *l.segs.Load(), l.End()
	if last-base > math.MaxInt32 {
		base = first
	}
	old := segs[len(segs)-1]
	if err := l.snapshot(base); err != nil {
		return err
	}
	if old.Size() == 0 { // replaced, not kept empty
		if err := errors.Join(l.fs.Remove(old.Path()), old.Txns.Remove()); err != nil {
			return err
		}
		if err := l.begin(segs[:len(segs)-1], base); err != nil {
			return err
		}
		return old.Release()
	}
	if err := l.trim(old); err != nil {
		return err
	}
	return l.begin(segs, base)
}

// trim leaves nothing behind the end of the active segment's files.
func (l *Log) trim(s *seg) error {
	if s.dirty || l.config.Load().Preallocate {
		if err := s.Trim(); err != nil {
			return err
		}
		s.dirty = false
	}
	return s.Txns.Trim()
}

// begin creates a segment at the base and publishes it behind the given ones, whose last it seals.
func (l *Log) begin(before []*seg, base int64) error {
	var room int64
	if c := l.config.Load(); c.Preallocate {
		room = c.SegmentBytes
	}
	file, err := segment.Create(l.fs, l.path, base, room)
	if err != nil {
		return err
	}
	l.entriesDirty.Store(true)
	if n := len(before); n > 0 {
		if err := l.seal(before[n-1], base); err != nil {
			return errors.Join(err, file.Release())
		}
	}
	fresh := l.newSeg(file)
	fresh.settled.Store(true)
	segs := append(append([]*seg(nil), before...), fresh)
	l.turn.Add(1)
	l.segs.Store(&segs)
	l.end.Store(max(l.end.Load(), base))
	l.turn.Add(1)
	return nil
}

// seal writes the rest of a segment's index and its summary.
func (l *Log) seal(s *seg, end int64) error {
	b := l.dir.index.NewBatch()
	if err := l.summarize(b, s, end); err != nil {
		return err
	}
	if err := b.Commit(); err != nil {
		return err
	}
	s.tail.Reset(0)
	return nil
}

func (l *Log) summarize(b *index.Batch, s *seg, end int64) error {
	info, err := l.fs.Stat(s.Path())
	if err != nil {
		return err
	}
	sum := &index.Summary{Size: s.Size(), Modified: info.ModTime().UnixNano(), End: end,
		MaxTimestamp: s.maxTime.Load(), FirstTime: s.firstTime,
		Aborted: s.Txns.Len()}
	if err := b.Put(l.key, s.Base, s.tail.Before(), s.tail.Entries()); err != nil {
		return err
	}
	s.summary.Store(sum)
	return b.PutSummary(l.key, s.Base, *sum)
}

// snapshot writes the producer state as it is at the offset. It is not synced: a snapshot that a
// power cut damaged is recognised by its checksum, and an older one taken.
func (l *Log) snapshot(offset int64) error {
	if n := len(l.snapshots); n > 0 && l.snapshots[n-1] >= offset {
		return nil
	}
	path := l.fs.PathJoin(l.path, segment.Name(offset, segment.SnapshotSuffix))
	f, err := l.fs.OpenFile(path, disk.Create)
	if err != nil {
		return err
	}
	if err = disk.Empty(f); err == nil {
		_, err = f.WriteAt(l.producers.Encode(nil), 0)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	l.snapshots = append(l.snapshots, offset)
	return nil
}

// Flush makes everything appended so far durable. Concurrent calls share one sync: a call that
// finds its data already synced by another returns at once.
func (l *Log) Flush() error { return l.flushTo(l.end.Load()) }

// flushSealed makes the segments before the active one durable.
func (l *Log) flushSealed() error {
	if l.closed.Load() {
		return nil
	}
	base := l.ActiveBase()
	if l.flushed.Load() >= base {
		return nil
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	return l.syncTo(base)
}

func (l *Log) flushTo(target int64) error {
	if l.flushed.Load() >= target && !l.entriesDirty.Load() {
		return l.usable()
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if l.flushed.Load() >= target && !l.entriesDirty.Load() {
		return l.usable()
	}
	return l.syncTo(l.end.Load()) // everything that queued up meanwhile too
}

// syncTo syncs the segments that hold offsets from the flushed one to the target. The caller holds
// flushing.
func (l *Log) syncTo(target int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	from := l.flushed.Load()
	segs := *l.segs.Load()
	for i, s := range segs {
		if i+1 < len(segs) && segs[i+1].Base <= from || s.Base >= target {
			continue
		}
		if !s.Acquire() {
			continue // removed meanwhile
		}
		if err := errors.Join(s.Sync(), s.Txns.Sync(), s.Release()); err != nil {
			return l.fail(storage("sync "+s.Path(), err))
		}
	}
	if l.entriesDirty.Swap(false) {
		if err := l.syncEntries(); err != nil {
			return l.fail(storage("sync "+l.path, err))
		}
	}
	l.flushed.Store(max(target, from))
	l.flushedAt.Store(time.Now().UnixMilli())
	return nil
}

// syncEntries makes the names of the log's files durable, and its own name in the log directory.
func (l *Log) syncEntries() error {
	if err := l.fs.SyncDir(l.path); err != nil {
		return err
	}
	if !l.nameDirty.Load() {
		return nil
	}
	err := l.fs.SyncDir(l.dir.path)
	if err == nil {
		l.nameDirty.Store(false)
	}
	return err
}

// fail keeps the first error of a sync: the kernel may have dropped the dirty pages it could not
// write, so a later sync that succeeds proves nothing.
func (l *Log) fail(err error) error {
	if errors.Is(err, ErrClosed) || errors.Is(err, os.ErrClosed) {
		return err
	}
	l.failed.CompareAndSwap(nil, &err)
	return err
}

// Flushed is the recovery point: everything below it is durable.
func (l *Log) Flushed() int64 { return l.flushed.Load() }

// FlushedAt is when Flush last synced, in Unix milliseconds, for flush.ms.
func (l *Log) FlushedAt() int64 { return l.flushedAt.Load() }

// Unflushed is the number of offsets after Flushed, to compare with Config.FlushMessages.
func (l *Log) Unflushed() int64 { return max(l.end.Load()-l.flushed.Load(), 0) }

// finish prepares a clean close: everything but the syncing.
func (l *Log) finish(b *index.Batch) error {
	if err := l.usable(); err != nil {
		return err
	}
	s := l.active()
	if err := l.trim(s); err != nil {
		return err
	}
	if err := l.summarize(b, s, l.End()); err != nil {
		return err
	}
	if err := l.snapshot(l.End()); err != nil {
		return err
	}
	if l.epochsSaved(l.End()) {
		return nil
	}
	return putFile(l.fs, l.fs.PathJoin(l.path, epochFile), encodeEpochs(l.Epochs()), false)
}

// finished notes that what finish wrote is durable.
func (l *Log) finished() error {
	l.flushed.Store(l.End())
	l.point.Store(l.End())
	if l.epochsSaved(l.End()) {
		return nil
	}
	path := l.fs.PathJoin(l.path, epochFile)
	return l.fs.Rename(path+".tmp", path)
}

// prepareCheckpoint replaces the epoch file if it has to, and allows the recovery point to move up
// after that: recovery learns epochs only from the batches behind it.
func (l *Log) prepareCheckpoint() error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	point := l.Flushed()
	if !l.closed.Load() && !l.epochsSaved(point) {
		epochs := l.Epochs()
		if err := replaceFile(l.fs, l.path, epochFile, encodeEpochs(epochs)); err != nil {
			return err
		}
		l.saved = epochs
	}
	l.point.Store(point)
	return nil
}

// release closes the files once the last reader is done.
func (l *Log) release() {
	if l.closed.Swap(true) {
		return
	}
	for _, s := range *l.segs.Load() {
		if err := s.Release(); err != nil {
			l.dir.log.Warn("close segment", zap.String("path", s.Path()), zap.Error(err))
		}
	}
}
