package commitlog

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"zkafka/kafkad/record"
	"zkafka/kafkad/segment"
)

// Truncate cuts everything at and above the offset, index, epochs and producer state too, and makes
// the cut durable. A batch that straddles the offset goes whole.
func (l *Log) Truncate(to int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if to >= l.End() {
		return nil
	}
	if to <= l.Start() || to < (*l.segs.Load())[0].Base {
		return l.TruncateAndStartAt(to)
	}
	if err := l.truncate(to); err != nil {
		return storage("truncate", err)
	}
	return nil
}

func (l *Log) truncate(to int64) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	v := l.view()
	i := v.segment(to)
	s := v.segs[i]
	at, _, _, ok, err := l.locate(s, to, 0, v.limit(i))
	if err != nil {
		return err
	}
	if !ok {
		at = v.limit(i)
	}
	if err := l.settleTxns(s); err != nil { // what is cut can tell nothing any more
		return err
	}
	if err := l.lowerPoint(to); err != nil {
		return err
	}
	if err := l.cutSegment(i, at, to); err != nil {
		return err
	}
	l.mark.Store(min(l.mark.Load(), to))
	l.setEpochs(cutEpochs(l.Epochs(), l.Start(), to))
	return l.loadProducers(false)
}

// cutSegment cuts segment i at the position and removes those after it.
func (l *Log) cutSegment(i int, at, to int64) error {
	l.rebuilding.Lock()
	defer l.rebuilding.Unlock()
	s := (*l.segs.Load())[i]
	if err := l.dir.index.DropFrom(l.key, s.Base, to); err != nil {
		return err
	}
	// A snapshot that came back would look newer than the batches written in its place.
	l.snapshots = slices.DeleteFunc(l.snapshots, func(o int64) bool {
		return o > to && l.dropSnapshot(o)
	})
	if err := l.fs.SyncDir(l.path); err != nil {
		return err
	}
	// Newest first; and the cut is synced, so that bytes cut off cannot come back behind new ones.
	if err := l.cutAfter(i); err != nil {
		return err
	}
	l.turn.Add(1)
	err := s.Truncate(at)
	l.end.Store(to)
	l.turn.Add(1)
	err = errors.Join(err, s.Sync(), s.Txns.Truncate(to), l.dropIndexFiles(s.Base))
	if err != nil {
		return l.fail(storage("truncate "+s.Path(), err))
	}
	s.dirty = false
	_, err = l.rebuild(s)
	return err
}

func (l *Log) dropSnapshot(offset int64) bool {
	err := l.fs.Remove(l.fs.PathJoin(l.path, segment.Name(offset, segment.SnapshotSuffix)))
	return err == nil || errors.Is(err, os.ErrNotExist)
}

// lowerPoint moves the recovery point down, on disk too if the checkpoint there is above: bytes
// written again at these offsets are not durable.
func (l *Log) lowerPoint(to int64) error {
	l.flushed.Store(min(l.flushed.Load(), to))
	l.point.Store(min(l.point.Load(), to))
	d := l.dir
	d.checkpointing.Lock()
	defer d.checkpointing.Unlock()
	if written, _, _, listed := d.onDisk(l.tp); !listed || written <= to {
		return nil
	}
	return d.writeCheckpoints(d.open())
}

// TruncateAndStartAt removes everything and continues with an empty log at the offset.
func (l *Log) TruncateAndStartAt(offset int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if err := l.lowerPoint(0); err != nil {
		return storage("truncate", err)
	}
	if err := l.restartAt(offset); err != nil {
		return l.fail(storage("truncate", err))
	}
	l.mark.Store(offset)
	l.producers.Reset()
	l.producers.SetEnd(offset)
	return nil
}

func (l *Log) restartAt(offset int64) error {
	old := *l.segs.Load()
	for k := len(old) - 1; k >= 0; k-- {
		if err := l.discard(old[k]); err != nil {
			return err
		}
	}
	l.snapshots = slices.DeleteFunc(l.snapshots, l.dropSnapshot)
	l.start.Store(offset)
	l.end.Store(offset)
	l.setEpochs(nil)
	l.flushed.Store(offset)
	l.point.Store(offset)
	if err := l.begin(nil, offset); err != nil {
		return err
	}
	l.end.Store(offset)
	// The new segment's name alone tells where the log begins from the next checkpoint on.
	if err := l.fs.SyncDir(l.path); err != nil {
		return err
	}
	for _, s := range old {
		if err := s.Release(); err != nil {
			return err
		}
	}
	return nil
}

// discard renames a segment out of the way, to be unlinked later, and drops its index.
func (l *Log) discard(s *seg) error {
	if err := l.dir.index.DropSegment(l.key, s.Base); err != nil {
		return err
	}
	to, err := s.Rename(segment.DeletedSuffix)
	if err != nil {
		return err
	}
	l.dir.discard(to, l.config.Load().FileDeleteDelayMs)
	return l.dropCompanions(s)
}

// Retain removes old segments by retention.ms, retention.bytes and log start, none that reaches
// above the high watermark, and returns how many.
func (l *Log) Retain(nowMs, highWatermark int64) (int, error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	n, err := l.expired(nowMs, highWatermark)
	if err != nil {
		return 0, storage("look for old segments", err)
	}
	if n == 0 {
		return 0, nil
	}
	if n == len(*l.segs.Load()) { // all of them: the log goes on in a new one
		if err := l.roll(l.End(), l.End()); err != nil {
			return 0, storage("roll", err)
		}
	}
	segs := *l.segs.Load()
	done := 0
	for ; done < n; done++ {
		if err = l.discard(segs[done]); err != nil {
			break
		}
		l.snapshots = slices.DeleteFunc(l.snapshots, func(o int64) bool {
			return o == segs[done].Base && l.dropSnapshot(o)
		})
	}
	l.publish(segs[done:])
	l.raiseStart(segs[done].Base)
	for _, s := range segs[:done] {
		err = errors.Join(err, s.Release())
	}
	if err != nil {
		return done, storage("delete segment", err)
	}
	return done, nil
}

// expired is the number of oldest segments that no rule keeps.
func (l *Log) expired(nowMs, highWatermark int64) (int, error) {
	c := l.config.Load()
	segs := *l.segs.Load()
	total := l.Size()
	for i, s := range segs {
		end := l.End()
		if i+1 < len(segs) {
			end = segs[i+1].Base
		} else if s.Size() == 0 {
			return i, nil
		}
		if end > highWatermark {
			return i, nil
		}
		gone := end <= l.Start() && i+1 < len(segs)
		if c.Delete && !gone {
			gone = c.RetentionBytes >= 0 && total-s.Size() >= c.RetentionBytes
			if !gone && c.RetentionMs >= 0 {
				newest, err := l.newest(s)
				if err != nil {
					return i, err
				}
				gone = nowMs-newest > c.RetentionMs
			}
		}
		if !gone {
			return i, nil
		}
		total -= s.Size()
	}
	return len(segs), nil
}

// newest is the time of a segment's newest record, of the file if the records have none.
func (l *Log) newest(s *seg) (int64, error) {
	ts, err := l.maxTimeOf(s)
	if err != nil || ts >= 0 {
		return ts, err
	}
	info, err := l.fs.Stat(s.Path())
	if err != nil {
		return 0, err
	}
	return info.ModTime().UnixMilli(), nil
}

func (l *Log) maxTimeOf(s *seg) (int64, error) {
	if s == l.active() {
		return s.maxTime.Load(), nil
	}
	if err := l.ensure(s); err != nil {
		return 0, err
	}
	if sum := s.summary.Load(); sum != nil {
		return sum.MaxTimestamp, nil
	}
	return record.NoTimestamp, nil
}

func (l *Log) raiseStart(offset int64) {
	if offset <= l.Start() {
		return
	}
	l.start.Store(offset)
	if e := l.Epochs(); len(e) > 0 {
		if cut := cutEpochs(e, offset, l.End()); !slices.Equal(cut, e) {
			l.setEpochs(cut)
		}
	}
	if l.mark.Load() < offset {
		l.mark.Store(offset)
	}
}

// SetStart raises the log start offset (DeleteRecords, or a follower that obeys its leader); above
// End the log restarts empty there.
func (l *Log) SetStart(offset int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if offset > l.End() {
		return l.TruncateAndStartAt(offset)
	}
	l.raiseStart(offset)
	return nil
}

// maxName is the longest name of a directory entry.
const maxName = 255

// Delete renames the partition's directory out of the way, drops its index and leaves the unlinking
// to Sweep. Readers that hold a Span may finish.
func (l *Log) Delete() error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if l.closed.Load() {
		return l.usable()
	}
	d := l.dir
	d.mu.Lock()
	id := fmt.Sprintf("%016x%016x", d.rng.Uint64(), d.rng.Uint64())
	d.mu.Unlock()
	suffix := fmt.Sprintf("-%d.%s%s", l.tp.Partition, id, deleteSuffix)
	topic := l.tp.Topic[:min(len(l.tp.Topic), maxName-len(suffix))]
	to := d.file(topic + suffix)
	if err := l.fs.Rename(l.path, to); err != nil {
		return storage("delete log "+l.tp.String(), err)
	}
	l.release()
	d.forget(l)
	d.discard(to, l.config.Load().FileDeleteDelayMs)
	if err := d.index.DropLog(l.key); err != nil {
		return storage("delete index of "+l.tp.String(), err)
	}
	return nil
}
