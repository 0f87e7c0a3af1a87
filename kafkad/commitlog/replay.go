package commitlog

import (
	"errors"
	"os"
	"slices"

	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
	"zkafka/kafkad/segment"

	"go.uber.org/zap"
)

// loadProducers makes the producer state as of End: the newest good snapshot, then the batches
// after it.
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
	if err := l.replay(from, found || !clean); err != nil {
		return err
	}
	l.producers.SetEnd(l.End())
	return nil
}

// replay feeds the batches from an offset on to the producer state. If that knows what was open
// there, it makes the lists of aborted transactions of whole segments that need it on the way.
func (l *Log) replay(from int64, known bool) error {
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
		var aborted []segment.Aborted
		err = l.replaySegment(s, at, limit, from, &l.producers, func(c producer.Completed) {
			if c.Aborted {
				aborted = append(aborted, abortedEntry(c))
			}
		})
		if err == nil && known && s.redoTxns && from <= s.Base {
			err = l.replaceTxns(s, aborted)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replaySegment feeds the batches of one segment, from a position and an offset on, to a producer
// state, and ended with the transactions that end there.
func (l *Log) replaySegment(s *seg, at, limit, from int64, st *producer.State,
	ended func(producer.Completed)) error {
	var bad error
	err := s.Scan(at, limit, func(at int64, m *record.Meta) bool {
		if m.BaseOffset >= from && m.ProducerID >= 0 {
			bad = replayBatch(s, at, m, st, ended)
		}
		return bad == nil
	})
	return errors.Join(err, bad)
}

func replayBatch(s *seg, at int64, m *record.Meta, st *producer.State,
	ended func(producer.Completed)) error {
	if !m.Control() {
		st.Update(producer.FromMeta(m))
		return nil
	}
	b := make([]byte, m.Size)
	if err := s.ReadAt(b, at); err != nil {
		return err
	}
	marker, ok, err := producer.ReadMarker(b, m)
	if err != nil {
		return &segment.CorruptError{Path: s.Path(), Position: at, Err: err}
	}
	if ok {
		if done, ok := st.UpdateMarker(marker); ok {
			ended(done)
		}
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
