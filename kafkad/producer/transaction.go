package producer

import (
	"cmp"
	"slices"

	"zkafka/kafkad/record"
)

// txn is an open transaction.
type txn struct{ id, first int64 }

// ongoing are open transactions by rising first offset, which is the order in which they begin.
type ongoing []txn

func (o ongoing) sort() {
	slices.SortFunc(o, func(a, b txn) int { return cmp.Compare(a.first, b.first) })
}

func (o ongoing) find(id int64) int {
	return slices.IndexFunc(o, func(t txn) bool { return t.id == id })
}

// end takes out the transaction that the marker ends; false if there is none.
func (o *ongoing) end(m *Marker) (done Completed, ok bool) {
	i := o.find(m.ProducerID)
	if i < 0 {
		return done, false
	}
	done = Completed{ProducerID: m.ProducerID, FirstOffset: (*o)[i].first, LastOffset: m.Offset,
		LastStable: m.Offset + 1, Aborted: m.Aborted}
	*o = slices.Delete(*o, i, i+1)
	if len(*o) > 0 {
		done.LastStable = (*o)[0].first
	}
	return done, true
}

// FirstOpen is the smallest first offset of an open transaction.
func (s *State) FirstOpen() (offset int64, ok bool) {
	if len(s.open) == 0 {
		return 0, false
	}
	return s.open[0].first, true
}

// ReadMarker reads the transaction marker in a control batch; ok is false for control records of
// other kinds.
func ReadMarker(b record.Batch, m *record.Meta) (marker Marker, ok bool, err error) {
	kind, epoch, err := b.Marker()
	if err != nil || kind != record.Abort && kind != record.Commit {
		return marker, false, err
	}
	return Marker{ProducerID: m.ProducerID, Epoch: m.Epoch, CoordinatorEpoch: epoch,
		Offset: m.LastOffset, Timestamp: m.MaxTimestamp, Aborted: kind == record.Abort}, true, nil
}

// Aborts tells which transactions the batches, whole and with their offsets, will have aborted once
// they are appended; the state stays as it is. An error is about a malformed marker.
func (s *State) Aborts(batches []byte) (list []Completed, err error) {
	open := slices.Clone(s.open)
	for len(batches) > 0 {
		m, err := record.ParseMeta(batches)
		if err != nil {
			return nil, err
		}
		b := record.Batch(batches[:m.Size])
		batches = batches[m.Size:]
		switch {
		case m.Control():
			marker, ok, err := ReadMarker(b, &m)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			if done, ok := open.end(&marker); ok && done.Aborted {
				list = append(list, done)
			}
		case m.Transactional() && m.ProducerID >= 0 && open.find(m.ProducerID) < 0:
			open = append(open, txn{m.ProducerID, m.BaseOffset})
		}
	}
	return list, nil
}
