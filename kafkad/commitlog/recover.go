package commitlog

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"zkafka/kafkad/record"
	"zkafka/kafkad/segment"

	"go.uber.org/zap"
)

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

// forgetEpochs drops the epochs from the recovery point on: the file may tell of bytes that were
// cut since. The batches themselves will tell them again.
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

// relearnEpochs reads the epochs of the oldest batches when the cache begins after them: the log
// start was raised, and the cache cut there, but the crash came before the log start's checkpoint.
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

// recoverSegment checks one segment. Bytes below the recovery point are durable, so the check
// begins at the last index entry before it, if the index still has one that fits.
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
	marked := from > 0 || s.Txns.Len() > 0 || s.redoTxns // or may be
	stop, bad, err := s.Check(from, s.Size(), after,
		func(at int64, _ []byte, m *record.Meta) error {
			end = m.LastOffset + 1
			marked = marked || m.Control()
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
	s.redoTxns = marked
	s.settled.Store(!marked)
	// What a crash left of Apache's index files proves nothing, but after our clean stop it would not
	// be checked.
	if s.foreign {
		err = l.dropIndexFiles(s.Base)
		s.foreign = false
	}
	if stop < s.Size() {
		err = errors.Join(err, s.Truncate(stop), s.Sync())
	}
	return end, bad, err
}

// dropIndexFiles removes the index files of Apache's broker that no longer fit a segment. Without
// .index it makes all of them anew.
func (l *Log) dropIndexFiles(base int64) error {
	for _, suffix := range []string{offsetIndex, timeIndex} {
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
	if err := l.fs.Remove(s.Path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return l.dropCompanions(s)
}

// dropCompanions removes the files beside a segment that is gone, after it: a start removes what it
// finds without segment, but could not tell what is missing beside one.
func (l *Log) dropCompanions(s *seg) error {
	err := errors.Join(l.dropIndexFiles(s.Base), s.Txns.Remove())
	l.settled(s)
	return err
}
