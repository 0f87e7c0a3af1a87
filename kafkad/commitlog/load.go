package commitlog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"zkafka/kafkad/index"
	"zkafka/kafkad/record"
	"zkafka/kafkad/segment"
)

// openLog builds a Log from what is on disk.
func (d *Dir) openLog(tp TP, c Config, found bool, jitter int64) (*Log, error) {
	l := &Log{dir: d, fs: d.fs, tp: tp, path: d.file(tp.String()),
		key: index.LogOf(tp.Topic, tp.Partition), jitter: jitter & (1<<62 - 1)}
	l.config.Store(&c)
	l.segs.Store(&[]*seg{})
	l.epochs.Store(&[]EpochEntry{})
	l.lastAbort.Store(-1)
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
	if err := l.loadTxns(segs); err != nil {
		return nil, err
	}
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

// create makes the directory and the first segment. What an earlier partition of that name left in
// the checkpoints must be gone, durably, before the new one has data: its recovery point would
// promise bytes that are not there.
func (l *Log) create() error {
	l.created = true
	l.nameDirty.Store(true)
	d := l.dir
	old, err := d.index.Has(l.key)
	if old = old || errors.Is(err, index.ErrDamaged); err != nil && !old {
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
	bases := map[int64]*seg{}
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
		s := l.newSeg(segment.Open(l.fs, l.path, base, info.Size()))
		s.createdMs = info.ModTime().UnixMilli()
		bases[base] = s
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

// The files of Apache's broker that belong to a segment and that we do not keep.
const (
	offsetIndex = ".index"
	timeIndex   = ".timeindex"
)

// sort deals with a file that is no segment.
func (l *Log) sort(name string, bases map[int64]*seg) error {
	path := l.fs.PathJoin(l.path, name)
	for _, suffix := range []string{segment.DeletedSuffix, ".cleaned", swapSuffix, ".tmp"} {
		if strings.HasSuffix(name, suffix) {
			return l.fs.Remove(path)
		}
	}
	for _, suffix := range []string{offsetIndex, timeIndex, segment.TxnIndexSuffix} {
		if base, ok := segment.ParseName(name, suffix); ok {
			s := bases[base]
			if s == nil {
				return l.fs.Remove(path)
			}
			switch suffix {
			case segment.TxnIndexSuffix:
				s.listed = true
			case offsetIndex:
				s.indexed = true
				fallthrough
			default:
				s.foreign = true
			}
			return nil
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
	l.saved = entries
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

// swapSuffix is of cleaned files that are to replace others.
const swapSuffix = ".swap"

// finishSwap completes a replacement of segments by cleaned ones that Apache's log cleaner had
// begun: once a .swap exists without any older .cleaned, the sources it covers go.
func (l *Log) finishSwap(names []string) ([]string, error) {
	const swap = segment.LogSuffix + swapSuffix
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
		if err := l.promote(base, names); err != nil {
			return nil, err
		}
	}
	return l.fs.List(l.path)
}

// promote lets a cleaned segment and its index files take the place of its sources.
func (l *Log) promote(base int64, names []string) error {
	path := l.fs.PathJoin(l.path, segment.Name(base, segment.LogSuffix+swapSuffix))
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
	// Those of the source with the same base.
	old := l.fs.PathJoin(l.path, segment.Name(base, segment.TxnIndexSuffix))
	if err := l.fs.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := l.dropIndexFiles(base); err != nil {
		return err
	}
	// The .index comes last, because with it the others count as complete.
	for _, s := range []string{segment.LogSuffix, segment.TxnIndexSuffix, timeIndex, offsetIndex} {
		to := segment.Name(base, s)
		if from := to + swapSuffix; slices.Contains(names, from) {
			if err := l.fs.Rename(l.fs.PathJoin(l.path, from), l.fs.PathJoin(l.path, to)); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadClean takes the files as they are. The end of the last segment comes from its summary, or
// from a scan of its headers if somebody else wrote to it since.
func (l *Log) loadClean() error {
	s := l.active()
	sum, ok, err := l.summaryOf(s)
	if err != nil {
		return err
	}
	if ok {
		err = l.resume(s, &sum)
		if ok = !errors.Is(err, index.ErrDamaged); ok && err != nil {
			return err
		}
	}
	s.redoTxns = s.redoTxns || !s.settled.Load() && (!ok || sum.Aborted != s.Txns.Len())
	s.settled.Store(!s.redoTxns)
	if !ok {
		end, err := l.rebuild(s)
		if isCorrupt(err) {
			return l.recover(s.Base)
		}
		if err != nil {
			return err
		}
		l.end.Store(end)
	}
	l.flushed.Store(l.End())
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
	if err := l.redoTxns(); err != nil {
		return err
	}
	return l.tidySnapshots()
}
