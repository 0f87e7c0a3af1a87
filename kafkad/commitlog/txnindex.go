package commitlog

import (
	"errors"
	"math"
	"slices"

	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
	"zkafka/kafkad/segment"

	"go.uber.org/zap"
)

// Aborted transactions are listed, as Apache's broker does it, in the .txnindex of the segment that
// holds their marker. The entry is written with the marker and before the log's end passes it, so
// it is durable when the recovery point is above.
//
// A list is settled once it is known to be complete. That of the active segment always is. Of the
// others it is if Apache's .index lies beside it (Apache asks no more of it), or if the index's
// summary counts as many entries. Else the segment's batches tell, at the first need: a start does
// not wait for that. A list that is malformed, or of a segment that recovery found markers in, is
// made anew at the start.

// Aborted is an aborted transaction: what its producer wrote in transactions from FirstOffset on up
// to the next abort marker of that producer is not committed.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
}

// ReadCommitted is Read for those who want committed records only: it appends to dst the aborted
// transactions that have records in what it read, by the order of their markers.
func (l *Log) ReadCommitted(offset int64, maxBytes int, upTo int64, minOne bool, dst []Aborted) (
	Span, []Aborted, error,
) {
	for {
		span, err := l.Read(offset, maxBytes, upTo, minOne)
		if err != nil || span.n == 0 || l.lastAbort.Load() < offset && l.unsettled.Load() == 0 {
			return span, dst, err
		}
		list, whole, err := l.collect(&span, offset, upTo, dst)
		switch {
		case err == nil && whole:
			return span, list, nil
		case err != nil && l.closed.Load():
			err = l.usable()
		case err != nil:
			err = l.readError(span.s, err)
		}
		span.Release()
		if err != nil {
			return Span{}, dst, err
		}
	}
}

// collect lists the aborted transactions of a span that begins at the offset. whole is false if a
// segment went away meanwhile.
func (l *Log) collect(span *Span, offset, upTo int64, dst []Aborted) (_ []Aborted, whole bool,
	err error) {
	below, err := span.end(upTo)
	if err != nil {
		return dst, false, err
	}
	v := l.view()
	i := v.segment(span.s.Base)
	if v.segs[i] != span.s {
		return dst, false, nil
	}
	add := func(a segment.Aborted) { dst = append(dst, Aborted{a.ProducerID, a.First}) }
	for k, s := range v.segs[i:] {
		if s.settled.Load() && s.Txns.Last() < offset {
			continue
		}
		if !s.Acquire() {
			return dst, false, nil
		}
		done := false
		if k > 0 {
			done, err = l.stopsBefore(s, below)
		}
		if err == nil && !done {
			err = l.settleTxns(s)
		}
		if err == nil && !done {
			done, err = s.Txns.Collect(offset, below, add)
		}
		settled := s.settled.Load()
		if err := errors.Join(err, s.Release()); err != nil || done {
			return dst, true, err
		}
		if !settled {
			return dst, false, nil
		}
	}
	return dst, true, nil
}

// end is an offset above all in the span.
func (s *Span) end(upTo int64) (int64, error) {
	if s.below != unknownEnd {
		return s.below, nil
	}
	end := upTo
	err := s.s.Scan(s.at, s.s.Size(), func(at int64, m *record.Meta) bool {
		if at < s.at+int64(s.n) {
			end = m.LastOffset + 1
			return true
		}
		return false
	})
	return min(end, upTo), err
}

// stopsBefore says that no transaction with records below the offset reaches into the segment, if
// that is cheaper to find out than what the segment aborted.
func (l *Log) stopsBefore(s *seg, below int64) (bool, error) {
	if s.settled.Load() {
		return false, nil
	}
	if _, ok, err := l.summaryOf(s); ok || err != nil {
		return false, err
	}
	var st producer.State
	if ok, err := l.readSnapshot(&st, s.Base); !ok || err != nil {
		return false, err
	}
	first, open := st.FirstOpen()
	return !open || first >= below, nil
}

// settleTxns makes the list of a sealed segment complete.
func (l *Log) settleTxns(s *seg) error {
	if s.settled.Load() {
		return nil
	}
	return l.ensure(s)
}

// settled notes that the list of the segment is complete.
func (l *Log) settled(s *seg) {
	l.aborted(s.Txns.Last())
	if !s.settled.Swap(true) {
		l.unsettled.Add(-1)
	}
}

// aborted notes that there is an abort marker at the offset.
func (l *Log) aborted(marker int64) {
	for {
		last := l.lastAbort.Load()
		if last >= marker || l.lastAbort.CompareAndSwap(last, marker) {
			return
		}
	}
}

// abortsOf tells what the batches abort, appended at the log's end.
func (l *Log) abortsOf(b []byte) ([]segment.Aborted, error) {
	ended, err := l.producers.Aborts(b)
	if err != nil || len(ended) == 0 {
		return nil, err
	}
	list := make([]segment.Aborted, 0, len(ended))
	for _, c := range ended {
		list = append(list, abortedEntry(c))
	}
	return list, nil
}

func abortedEntry(c producer.Completed) segment.Aborted {
	return segment.Aborted{ProducerID: c.ProducerID, First: c.FirstOffset, Marker: c.LastOffset,
		LastStable: c.LastStable}
}

// appendAborted adds to the list of the active segment.
func (l *Log) appendAborted(s *seg, list []segment.Aborted) error {
	if len(list) == 0 {
		return nil
	}
	created, err := s.Txns.Append(list)
	if created {
		l.entriesDirty.Store(true)
	}
	if err == nil {
		l.aborted(s.Txns.Last())
	}
	return err
}

// loadTxns reads the lists of the segments of a log that is being opened.
func (l *Log) loadTxns(segs []*seg) error {
	for i, s := range segs {
		end := int64(math.MaxInt64)
		if i+1 < len(segs) {
			end = segs[i+1].Base
		}
		whole := true
		if s.listed {
			var err error
			if whole, err = s.Txns.Load(s.Base, end); err != nil {
				return err
			}
		}
		if !whole {
			l.dir.log.Warn("list of aborted transactions is malformed and made anew",
				zap.String("path", s.Txns.Path()))
		}
		s.redoTxns = !whole
		s.settled.Store(whole && s.indexed)
	}
	return nil
}

// redoTxns makes those lists anew that need it and that the replay has not made.
func (l *Log) redoTxns() error {
	v := l.view()
	open := int32(0)
	for i, s := range v.segs {
		if s.redoTxns {
			if err := l.rebuildTxns(&v, i); err != nil {
				return err
			}
		}
		if !s.settled.Load() {
			open++
		}
		l.aborted(s.Txns.Last())
	}
	l.unsettled.Store(open)
	return nil
}

// rebuildTxns makes the list of segment i from its batches.
func (l *Log) rebuildTxns(v *view, i int) error {
	list, err := l.abortedIn(v, i)
	if err != nil {
		return err
	}
	return l.replaceTxns(v.segs[i], list)
}

// replaceTxns makes the list of a segment right. Nobody reads it yet: it is not settled, or the log
// not open.
func (l *Log) replaceTxns(s *seg, list []segment.Aborted) error {
	changed, err := s.Txns.Replace(list)
	if err != nil {
		return err
	}
	if changed {
		l.dir.log.Info("list of aborted transactions is made anew",
			zap.String("path", s.Txns.Path()), zap.Int("transactions", len(list)))
		if err := l.fs.SyncDir(l.path); err != nil {
			return err
		}
	}
	s.redoTxns = false
	l.settled(s)
	return nil
}

// resettle is rebuildTxns for a sealed segment of an open log; the caller holds rebuilding. Nothing
// happens if the segment went away.
func (l *Log) resettle(s *seg) error {
	v := l.view()
	if i := slices.Index(v.segs, s); i >= 0 {
		return l.rebuildTxns(&v, i)
	}
	return nil
}

// abortedIn lists the transactions that markers in segment i aborted.
func (l *Log) abortedIn(v *view, i int) (list []segment.Aborted, err error) {
	s, marked := v.segs[i], false
	err = s.Scan(0, v.limit(i), func(_ int64, m *record.Meta) bool {
		marked = m.Control()
		return !marked
	})
	if err != nil || !marked {
		return nil, err
	}
	var st producer.State
	from := i
	for ; from >= 0; from-- {
		ok, err := l.readSnapshot(&st, v.segs[from].Base)
		if err != nil {
			return nil, err
		}
		if ok {
			break
		}
	}
	for k := max(from, 0); k <= i; k++ {
		if !v.segs[k].Acquire() {
			continue // removed by retention: what began there has no records left there
		}
		err := l.replaySegment(v.segs[k], 0, v.limit(k), 0, &st, func(c producer.Completed) {
			if k == i && c.Aborted {
				list = append(list, abortedEntry(c))
			}
		})
		if err := errors.Join(err, v.segs[k].Release()); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// readSnapshot reads the producer snapshot at the offset into an empty state; ok is false if there
// is no good one.
func (l *Log) readSnapshot(st *producer.State, offset int64) (ok bool, err error) {
	b, err := readFile(l.fs, l.fs.PathJoin(l.path, segment.Name(offset, segment.SnapshotSuffix)))
	if err != nil || b == nil {
		return false, err
	}
	return st.Decode(b, offset) == nil, nil
}
