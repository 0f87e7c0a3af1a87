package commitlog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"zkafka/kafkad/index"
	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
	"zkafka/kafkad/segment"

	"go.uber.org/zap"
)

// openLog builds a Log from what is on disk.
func (d *Dir) openLog(tp TP, c Config, found bool, jitter int64) (*Log, error) {
	l := &Log{dir: d, fs: d.fs, tp: tp, path: d.file(tp.String()),
		key: index.LogOf(tp.Topic, tp.Partition), jitter: jitter & (1<<62 - 1)}
	l.config.Store(&c)
	l.segs.Store(&[]*seg{})
	l.epochs.Store(&[]EpochEntry{})
	if !found {
		return l, l.create()
	}
	point, start, mark, _ := d.onDisk(tp)
	segs, err := l.scanDir()
	if err != nil {
		return nil, err
	}
	if len(segs) == 0 {
		if err := l.begin(nil, start); err != nil {
			return nil, err
		}
		segs = *l.segs.Load()
	}
	l.segs.Store(&segs)
	if d.clean {
		err = l.loadClean()
	} else {
		err = l.recover(point)
	}
	if err != nil {
		return nil, err
	}
	return l, l.settle(start, mark)
}

// create makes the directory and the first segment. What an earlier partition of that name left in the
// checkpoints must be gone, durably, before the new one has data: its recovery point would promise bytes
// that are not there.
func (l *Log) create() error {
	l.created = true
	l.nameDirty.Store(true)
	d := l.dir
	old, err := d.index.Has(l.key)
	if err != nil {
		return err
	}
	if old {
		if err := d.index.DropLog(l.key); err != nil {
			return err
		}
	}
	if _, _, _, listed := d.onDisk(l.tp); listed {
		d.checkpointing.Lock()
		err := d.writeCheckpoints(d.open())
		d.checkpointing.Unlock()
		if err != nil {
			return err
		}
	}
	if err := d.bury(l.tp); err != nil {
		return err
	}
	if err := l.fs.MkdirAll(l.path, 0o755); err != nil {
		return err
	}
	return l.begin(nil, 0)
}

// bury makes sure that a deleted partition does not come back in place of the new one of its name.
func (d *Dir) bury(tp TP) error {
	d.mu.Lock()
	gone := d.gone[tp]
	d.mu.Unlock()
	if !gone {
		return nil
	}
	if err := d.fs.SyncDir(d.path); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.gone, tp)
	return nil
}

// scanDir finds the segments and snapshots and removes what unfinished work left.
func (l *Log) scanDir() ([]*seg, error) {
	names, err := l.fs.List(l.path)
	if err != nil {
		return nil, err
	}
	if names, err = l.finishSwap(names); err != nil {
		return nil, err
	}
	bases := map[int64]bool{}
	var segs []*seg
	for _, name := range names {
		base, ok := segment.ParseName(name, segment.LogSuffix)
		if !ok {
			continue
		}
		info, err := l.fs.Stat(l.fs.PathJoin(l.path, name))
		if err != nil {
			return nil, err
		}
		bases[base] = true
		s := l.newSeg(segment.Open(l.fs, l.path, base, info.Size()))
		s.createdMs = info.ModTime().UnixMilli()
		segs = append(segs, s)
	}
	slices.SortFunc(segs, func(a, b *seg) int { return compareInt64(a.Base, b.Base) })
	for _, name := range names {
		if err := l.sort(name, bases); err != nil {
			return nil, err
		}
	}
	slices.Sort(l.snapshots)
	return segs, nil
}

func compareInt64(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// indexSuffixes are the files of Apache's broker that belong to a segment and that we do not keep.
var indexSuffixes = []string{".index", ".timeindex", ".txnindex"}

// sort deals with a file that is no segment.
func (l *Log) sort(name string, bases map[int64]bool) error {
	path := l.fs.PathJoin(l.path, name)
	for _, suffix := range []string{segment.DeletedSuffix, ".cleaned", ".swap", ".tmp"} {
		if strings.HasSuffix(name, suffix) {
			return l.fs.Remove(path)
		}
	}
	for _, suffix := range indexSuffixes {
		if base, ok := segment.ParseName(name, suffix); ok && !bases[base] {
			return l.fs.Remove(path)
		}
	}
	if offset, ok := segment.ParseName(name, segment.SnapshotSuffix); ok {
		l.snapshots = append(l.snapshots, offset)
	}
	var err error
	switch name {
	case epochFile:
		err = l.readEpochs(path)
	case partitionFile:
		err = l.readTopicID(path)
	}
	return err
}

func (l *Log) readEpochs(path string) error {
	b, err := readFile(l.fs, path)
	if err != nil {
		return err
	}
	entries, err := decodeEpochs(b)
	if err != nil {
		return fmt.Errorf("malformed %s: %w", path, err)
	}
	l.epochs.Store(&entries)
	return nil
}

func (l *Log) readTopicID(path string) error {
	b, err := readFile(l.fs, path)
	if err != nil {
		return err
	}
	id, err := decodePartition(b)
	if err != nil {
		if !l.dir.clean {
			return nil // torn by the crash; written again when the id is known
		}
		return fmt.Errorf("malformed %s: %w", path, err)
	}
	l.topicID.Store(&id)
	return nil
}

// finishSwap completes a replacement of segments by cleaned ones that Apache's log cleaner had begun:
// once a .swap exists without any older .cleaned, the sources it covers go.
func (l *Log) finishSwap(names []string) ([]string, error) {
	const swap = segment.LogSuffix + ".swap"
	cleaned := int64(1) << 62
	var swaps []int64
	for _, name := range names {
		if base, ok := segment.ParseName(name, segment.LogSuffix+".cleaned"); ok {
			cleaned = min(cleaned, base)
		}
		if base, ok := segment.ParseName(name, swap); ok {
			swaps = append(swaps, base)
		}
	}
	if len(swaps) == 0 {
		return names, nil
	}
	for _, base := range swaps {
		if base >= cleaned {
			continue // removed with the other leftovers
		}
		if err := l.promote(base, swap, names); err != nil {
			return nil, err
		}
	}
	return l.fs.List(l.path)
}

func (l *Log) promote(base int64, suffix string, names []string) error {
	path := l.fs.PathJoin(l.path, segment.Name(base, suffix))
	b, err := readFile(l.fs, path)
	if err != nil {
		return err
	}
	end := base
	if _, err := record.Walk(b, func(_ []byte, m *record.Meta) error {
		end = max(end, m.LastOffset+1)
		return nil
	}); err != nil {
		return err
	}
	for _, name := range names {
		at, ok := segment.ParseName(name, segment.LogSuffix)
		if ok && at >= base && at < end {
			if err := l.fs.Remove(l.fs.PathJoin(l.path, name)); err != nil {
				return err
			}
			if err := l.dir.index.DropSegment(l.key, at); err != nil {
				return err
			}
		}
	}
	return l.fs.Rename(path, l.fs.PathJoin(l.path, segment.Name(base, segment.LogSuffix)))
}

// loadClean takes the files as they are. The end of the last segment comes from its summary, or from
// a scan of its headers if somebody else wrote to it since.
func (l *Log) loadClean() error {
	s := l.active()
	sum, ok, err := l.summaryOf(s)
	if err != nil {
		return err
	}
	if !ok {
		end, err := l.rebuild(s)
		if isCorrupt(err) {
			return l.recover(s.Base)
		}
		if err != nil {
			return err
		}
		l.end.Store(end)
	} else if err := l.resume(s, &sum); err != nil {
		return err
	}
	l.flushed.Store(l.End())
	return nil
}

// summaryOf reads the summary from the index if it is about the file as it is now.
func (l *Log) summaryOf(s *seg) (index.Summary, bool, error) {
	if s.Size() == 0 {
		return index.Summary{End: s.Base, MaxTimestamp: record.NoTimestamp,
			FirstTime: record.NoTimestamp}, true, nil
	}
	sum, ok, err := l.dir.index.Summary(l.key, s.Base)
	if err != nil || !ok {
		return sum, false, err
	}
	info, err := l.fs.Stat(s.Path())
	if err != nil {
		return sum, false, err
	}
	return sum, sum.Size == s.Size() && sum.Modified == info.ModTime().UnixNano(), nil
}

// resume makes a segment with a complete index the active one.
func (l *Log) resume(s *seg, sum *index.Summary) error {
	e, _, err := l.dir.index.Last(l.key, s.Base)
	if err != nil {
		return err
	}
	s.tail.Reset(e.Position)
	s.sinceEntry = s.Size() - e.Position
	s.maxTime.Store(sum.MaxTimestamp)
	s.firstTime = sum.FirstTime
	s.summary.Store(nil)
	l.end.Store(sum.End)
	return nil
}

// rebuild makes the index of a segment anew from its batch headers and returns the offset after its
// last record. The entries end up in the database, the last ones in the tail.
func (l *Log) rebuild(s *seg) (end int64, err error) {
	if err := l.dir.index.DropSegment(l.key, s.Base); err != nil {
		return 0, err
	}
	s.tail.Reset(0)
	s.sinceEntry = 0
	s.maxTime.Store(record.NoTimestamp)
	s.firstTime = unknownTime
	s.summary.Store(nil)
	end = s.Base
	err = s.Scan(0, s.Size(), func(at int64, m *record.Meta) bool {
		l.note(s, at, m)
		end = max(end, m.LastOffset+1)
		return true
	})
	return end, err
}

// ensure makes the index of a segment before the active one usable: known complete, or rebuilt.
func (l *Log) ensure(s *seg) error {
	if s.summary.Load() != nil || s == l.active() {
		return nil
	}
	l.rebuilding.Lock()
	defer l.rebuilding.Unlock()
	if s.summary.Load() != nil || s == l.active() {
		return nil
	}
	sum, ok, err := l.summaryOf(s)
	if err != nil {
		return err
	}
	if ok {
		s.summary.Store(&sum)
		return nil
	}
	return l.rebuildSealed(s)
}

func (l *Log) rebuildSealed(s *seg) error {
	end, err := l.rebuild(s)
	if err != nil {
		return err
	}
	return l.seal(s, end)
}

// reindex throws away the index of a segment whose entries do not fit its bytes. That of the active
// segment belongs to the writer: readers then search without it until the next start.
func (l *Log) reindex(s *seg) error {
	l.dir.log.Warn("index does not fit the segment", zap.String("TOPIC", l.tp.Topic),
		zap.Int32("PARTITION", l.tp.Partition), zap.String("path", s.Path()))
	l.rebuilding.Lock()
	defer l.rebuilding.Unlock()
	if s == l.active() {
		return l.dir.index.DropSegment(l.key, s.Base)
	}
	return l.rebuildSealed(s)
}

// recover checks every batch from the recovery point on, cuts the log at the first bad one, and
// rebuilds the index of what it checked.
func (l *Log) recover(point int64) error {
	segs := *l.segs.Load()
	after := segs[0].Base - 1
	l.forgetEpochs(point)
	for i, s := range segs {
		last := i == len(segs)-1
		if !last && segs[i+1].Base <= point {
			after = segs[i+1].Base - 1
			continue
		}
		end, bad, err := l.recoverSegment(s, point, after)
		if err != nil {
			return err
		}
		l.end.Store(end)
		after = max(after, end-1)
		if bad == nil && !last && l.hole(s, end, segs[i+1].Base) {
			bad = fmt.Errorf("segment %d ends at %d, the next begins at %d", s.Base, end,
				segs[i+1].Base)
		}
		if bad != nil {
			l.dir.log.Warn("log is cut at the first bad batch", zap.String("TOPIC", l.tp.Topic),
				zap.Int32("PARTITION", l.tp.Partition), zap.Int64("offset", end), zap.Error(bad))
			if err := l.cutAfter(i); err != nil {
				return err
			}
			break
		}
		if !last {
			if err := l.seal(s, end); err != nil {
				return err
			}
		}
	}
	l.flushed.Store(min(point, l.End()))
	l.entriesDirty.Store(true)
	l.nameDirty.Store(true)
	return nil
}

// forgetEpochs drops the epochs from the recovery point on: the file may tell of bytes that were cut
// since. The batches themselves will tell them again.
func (l *Log) forgetEpochs(point int64) {
	entries := l.Epochs()
	n := len(entries)
	for n > 0 && entries[n-1].Start >= point {
		n--
	}
	if n < len(entries) {
		l.setEpochs(slices.Clone(entries[:n]))
	}
}

// relearnEpochs reads the epochs of the oldest batches when the cache begins after them: the log start
// was raised, and the cache cut there, but the crash came before the log start's checkpoint.
func (l *Log) relearnEpochs() error {
	known, until := l.Epochs(), l.End()
	if len(known) > 0 {
		until = known[0].Start
	}
	if l.dir.clean || until <= l.Start() {
		return nil
	}
	var learned []EpochEntry
	v := l.view()
	for i := v.segment(l.Start()); i < len(v.segs) && v.segs[i].Base < until; i++ {
		err := v.segs[i].Scan(0, v.limit(i), func(_ int64, m *record.Meta) bool {
			if m.LeaderEpoch < 0 || m.BaseOffset >= until {
				return false
			}
			if m.LastOffset >= l.Start() {
				learned = withEpoch(learned, m.LeaderEpoch, max(m.BaseOffset, l.Start()))
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	for _, e := range known {
		learned = withEpoch(learned, e.Epoch, e.Start)
	}
	if !slices.Equal(learned, known) {
		l.setEpochs(learned)
	}
	return nil
}

// hole says that the power cut took the end of a segment, but not the name of the next one. Only
// compaction leaves such gaps too.
func (l *Log) hole(s *seg, end, next int64) bool {
	if l.config.Load().Compact {
		return s.Size() == 0
	}
	return end != next
}

// recoverSegment checks one segment. Bytes below the recovery point are durable, so the check begins
// at the last index entry before it, if the index still has one that fits.
func (l *Log) recoverSegment(s *seg, point, after int64) (end int64, bad, err error) {
	var from int64
	e, ok, err := l.dir.index.FindOffset(l.key, s.Base, point-1)
	if err == nil && ok && point > s.Base && e.Position < s.Size() {
		at, m, found, err := s.Find(e.Position, s.Size(), e.Offset)
		if err == nil && found && at == e.Position && m.LastOffset == e.Offset {
			from = at
		}
	}
	s.tail.Reset(0)
	s.maxTime.Store(record.NoTimestamp)
	s.firstTime, s.sinceEntry = unknownTime, 0
	if from > 0 {
		s.maxTime.Store(e.MaxTimestamp)
		err = l.dir.index.DropFrom(l.key, s.Base, e.Offset+1)
		s.tail.Reset(e.Position)
		after = s.Base - 1 // the entry's batch is checked again
	} else {
		err = l.dir.index.DropFrom(l.key, s.Base, s.Base)
	}
	if err != nil {
		return 0, nil, err
	}
	end = max(after+1, s.Base)
	stop, bad, err := s.Check(from, s.Size(), after,
		func(at int64, _ []byte, m *record.Meta) error {
			end = m.LastOffset + 1
			if m.LeaderEpoch > l.LatestEpoch() {
				l.AssignEpoch(m.LeaderEpoch, m.BaseOffset)
			}
			if from > 0 && at == from {
				s.sinceEntry = int64(m.Size) // its entry is there
				return nil
			}
			l.note(s, at, m)
			return nil
		})
	if err != nil {
		return 0, nil, err
	}
	if stop < s.Size() {
		err = errors.Join(s.Truncate(stop), s.Sync(), l.dropIndexFiles(s.Base))
	}
	return end, bad, err
}

// dropIndexFiles removes the index files of Apache's broker that no longer fit a segment.
func (l *Log) dropIndexFiles(base int64) error {
	for _, suffix := range indexSuffixes {
		err := l.fs.Remove(l.fs.PathJoin(l.path, segment.Name(base, suffix)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// cutAfter removes the segments after number i, newest first so that a crash leaves no gap.
func (l *Log) cutAfter(i int) error {
	segs := *l.segs.Load()
	k := len(segs) - 1
	var err error
	for ; k > i; k-- {
		if err = l.unlink(segs[k]); err != nil {
			break
		}
	}
	l.publish(segs[:k+1])
	for _, s := range segs[k+1:] {
		err = errors.Join(err, s.Release())
	}
	if err == nil && i+1 < len(segs) {
		err = l.fs.SyncDir(l.path)
	}
	if err != nil {
		return l.fail(storage("remove segments", err))
	}
	return nil
}

// publish shows readers another list of segments.
func (l *Log) publish(segs []*seg) {
	segs = slices.Clone(segs)
	l.turn.Add(1)
	l.segs.Store(&segs)
	l.turn.Add(1)
}

// unlink removes a segment's files at once; its index goes too.
func (l *Log) unlink(s *seg) error {
	if err := l.dir.index.DropSegment(l.key, s.Base); err != nil {
		return err
	}
	if err := l.dropIndexFiles(s.Base); err != nil {
		return err
	}
	if err := l.fs.Remove(s.Path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// settle brings start, high watermark, epochs and producers in line with the segments.
func (l *Log) settle(start, mark int64) error {
	segs := *l.segs.Load()
	l.start.Store(max(start, segs[0].Base))
	if l.Start() > l.End() {
		if err := l.restartAt(l.Start()); err != nil {
			return err
		}
	}
	l.mark.Store(min(max(mark, l.Start()), l.End()))
	if e := l.Epochs(); len(e) > 0 {
		if cut := cutEpochs(e, l.Start(), l.End()); !slices.Equal(cut, e) {
			l.setEpochs(cut)
		}
	}
	if err := l.relearnEpochs(); err != nil {
		return err
	}
	l.point.Store(l.Flushed())
	if err := l.loadProducers(l.dir.clean); err != nil {
		return err
	}
	return l.tidySnapshots()
}

// loadProducers makes the producer state as of End: the newest good snapshot, then the batches after it.
func (l *Log) loadProducers(clean bool) error {
	l.producers.Reset()
	from := l.Start()
	found, cut := false, false
	for len(l.snapshots) > 0 && !found {
		n := len(l.snapshots) - 1
		offset := l.snapshots[n]
		path := l.fs.PathJoin(l.path, segment.Name(offset, segment.SnapshotSuffix))
		if offset <= l.End() {
			b, err := readFile(l.fs, path)
			if err != nil {
				return err
			}
			if err = l.producers.Decode(b, offset); err == nil {
				from, found = max(from, offset), true
				break
			}
			l.dir.log.Warn("producer snapshot is skipped", zap.String("path", path), zap.Error(err))
		} else {
			cut = true
		}
		if err := l.fs.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		l.snapshots = l.snapshots[:n]
	}
	if cut { // one that came back would look newer than the batches written in its place
		if err := l.fs.SyncDir(l.path); err != nil {
			return err
		}
	}
	if !found && clean {
		// Upstream too does not read a whole log that a clean stop left without snapshots.
		from = max(from, l.ActiveBase())
	}
	if err := l.replay(from); err != nil {
		return err
	}
	l.producers.SetEnd(l.End())
	return nil
}

// replay feeds the batches from an offset on to the producer state.
func (l *Log) replay(from int64) error {
	v := l.view()
	for i := v.segment(from); i < len(v.segs) && from < v.end; i++ {
		s, limit := v.segs[i], v.limit(i)
		at, _, _, ok, err := l.locate(s, from, 0, limit)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		var bad error
		err = s.Scan(at, limit, func(at int64, m *record.Meta) bool {
			if m.BaseOffset >= from && m.ProducerID >= 0 {
				bad = l.replayBatch(s, at, m)
			}
			return bad == nil
		})
		if err := errors.Join(err, bad); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) replayBatch(s *seg, at int64, m *record.Meta) error {
	if !m.Control() {
		l.producers.Update(producer.FromMeta(m))
		return nil
	}
	b := make([]byte, m.Size)
	if err := s.ReadAt(b, at); err != nil {
		return err
	}
	kind, coordinatorEpoch, err := record.Batch(b).Marker()
	if err != nil {
		return &segment.CorruptError{Path: s.Path(), Position: at, Err: err}
	}
	if kind == record.Abort || kind == record.Commit {
		l.producers.UpdateMarker(producer.Marker{ProducerID: m.ProducerID, Epoch: m.Epoch,
			CoordinatorEpoch: coordinatorEpoch, Offset: m.LastOffset, Timestamp: m.MaxTimestamp,
			Aborted: kind == record.Abort})
	}
	return nil
}

// tidySnapshots keeps the snapshots of segment bases and the newest one.
func (l *Log) tidySnapshots() error {
	segs := *l.segs.Load()
	kept := l.snapshots[:0]
	for i, offset := range l.snapshots {
		_, isBase := slices.BinarySearchFunc(segs, offset, func(s *seg, o int64) int {
			return compareInt64(s.Base, o)
		})
		if isBase || i == len(l.snapshots)-1 {
			kept = append(kept, offset)
			continue
		}
		path := l.fs.PathJoin(l.path, segment.Name(offset, segment.SnapshotSuffix))
		if err := l.fs.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	l.snapshots = kept
	return nil
}
