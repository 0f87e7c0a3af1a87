package commitlog

import (
	"errors"

	"zkafka/kafkad/index"
	"zkafka/kafkad/record"

	"go.uber.org/zap"
)

// summaryOf reads the summary from the index if it is about the file as it is now.
func (l *Log) summaryOf(s *seg) (index.Summary, bool, error) {
	if s.Size() == 0 {
		return index.Summary{End: s.Base, MaxTimestamp: record.NoTimestamp,
			FirstTime: record.NoTimestamp}, true, nil
	}
	sum, ok, err := l.dir.index.Summary(l.key, s.Base)
	if errors.Is(err, index.ErrDamaged) {
		return sum, false, nil
	}
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
	s.partial.Store(false)
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
	if !ok {
		return l.rebuildSealed(s)
	}
	if !s.settled.Load() {
		if sum.Aborted == s.Txns.Len() {
			l.settled(s)
		} else if err := l.resettle(s); err != nil {
			return err
		}
	}
	s.summary.Store(&sum)
	return nil
}

func (l *Log) rebuildSealed(s *seg) error {
	end, err := l.rebuild(s)
	if err == nil && !s.settled.Load() {
		err = l.resettle(s)
	}
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
		s.partial.Store(true)
		return l.dir.index.DropSegment(l.key, s.Base)
	}
	return l.rebuildSealed(s)
}
