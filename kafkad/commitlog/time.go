package commitlog

import (
	"errors"

	"zkafka/kafkad/index"
	"zkafka/kafkad/record"
)

// TimedOffset is the answer to a search by time.
type TimedOffset struct {
	Offset      int64
	Timestamp   int64
	LeaderEpoch int32
}

// OffsetForTime finds the first record whose timestamp is >= ts: its offset, timestamp and leader
// epoch (-1 unknown); found is false if there is none.
func (l *Log) OffsetForTime(ts int64) (at TimedOffset, found bool, err error) {
	if err := l.usable(); err != nil {
		return at, false, err
	}
	v := l.view()
	for i, s := range v.segs {
		newest, err := l.maxTimeOf(s)
		if err != nil {
			return at, false, l.readError(s, err)
		}
		if newest < ts {
			continue
		}
		if !s.Acquire() {
			continue // removed by retention: its records are gone
		}
		at, found, err = l.timeIn(s, v.limit(i), ts)
		if err = errors.Join(err, s.Release()); err != nil {
			return at, false, l.readError(s, err)
		}
		if found {
			return at, true, nil
		}
	}
	return TimedOffset{}, false, nil
}

// timeIn looks in one segment.
func (l *Log) timeIn(s *seg, limit, ts int64) (at TimedOffset, found bool, err error) {
	from, err := l.timeFloor(s, ts, limit)
	if err != nil {
		return at, false, err
	}
	start := l.Start()
	var inner error
	err = s.Scan(from, limit, func(pos int64, m *record.Meta) bool {
		if m.MaxTimestamp < ts || m.LastOffset < start {
			return true
		}
		at, found, inner = firstRecord(s, pos, m, ts, start)
		return !found && inner == nil
	})
	if err == nil {
		err = inner
	}
	return at, found, err
}

// timeFloor is a position from which a scan meets the first record with a timestamp >= ts.
func (l *Log) timeFloor(s *seg, ts, limit int64) (int64, error) {
	if s.Size() <= l.config.Load().IndexIntervalBytes {
		return 0, nil
	}
	if err := l.ensure(s); err != nil {
		return 0, err
	}
	if s.partial.Load() {
		return 0, nil
	}
	from, ok, err := l.dir.index.FindTime(l.key, s.Base, ts)
	if errors.Is(err, index.ErrDamaged) {
		return 0, l.reindex(s)
	}
	if err != nil {
		return 0, err
	}
	if !ok {
		from, ok = s.tail.FindTime(ts)
	}
	if !ok { // behind the last entry, if anywhere
		from = s.tail.Before()
		if e := s.tail.Entries(); len(e) > 0 {
			from = e[len(e)-1].Position
		}
	}
	if from == 0 || from >= limit {
		return 0, nil
	}
	_, _, valid, err := s.Find(from, limit, s.Base)
	if err != nil && !isCorrupt(err) {
		return 0, err
	}
	if !valid || err != nil {
		return 0, l.reindex(s)
	}
	return from, nil
}

// firstRecord reads a batch and finds its first record at or after the time.
func firstRecord(s *seg, pos int64, m *record.Meta, ts, start int64) (at TimedOffset, found bool,
	err error) {
	b := make([]byte, m.Size)
	if err := s.ReadAt(b, pos); err != nil {
		return at, false, err
	}
	err = record.EachOf(b, m, func(_ *record.Meta, r *record.Record) error {
		if !found && r.Timestamp >= ts && r.Offset >= start {
			at, found = TimedOffset{r.Offset, r.Timestamp, m.LeaderEpoch}, true
		}
		return nil
	})
	return at, found, err
}

// MaxTimestamp finds the record with the highest timestamp, the first if several have it.
func (l *Log) MaxTimestamp() (at TimedOffset, found bool, err error) {
	if err := l.usable(); err != nil {
		return at, false, err
	}
	highest := record.NoTimestamp
	for _, s := range *l.segs.Load() {
		ts, err := l.maxTimeOf(s)
		if err != nil {
			return at, false, l.readError(s, err)
		}
		highest = max(highest, ts)
	}
	if start := l.Start(); highest < 0 {
		// No record has a time: they are all equal.
		at = TimedOffset{Offset: start, Timestamp: record.NoTimestamp, LeaderEpoch: l.EpochAt(start)}
		return at, start < l.End(), nil
	}
	return l.OffsetForTime(highest)
}
