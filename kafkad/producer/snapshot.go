package producer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// The snapshot file is Kafka's own, big-endian:
//
//	 0    2          6       10
//	┌────┬──────────┬───────┬─────────────────────────────────────────────────────────────┐
//	│ 1  │ CRC-32C  │ count │ count × 46: id i64, epoch i16, last sequence i32,           │
//	│    │ of 6..   │       │ last offset i64, offset delta i32, timestamp i64,           │
//	│    │          │       │ coordinator epoch i32, first offset of open transaction i64 │
//	└────┴──────────┴───────┴─────────────────────────────────────────────────────────────┘
const (
	snapshotVersion = 1
	snapshotHeader  = 10
	snapshotEntry   = 46
)

// ErrCorruptSnapshot is what Decode errors wrap.
var ErrCorruptSnapshot = errors.New("corrupt producer snapshot")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *State) ids() []int64 {
	ids := make([]int64, 0, len(s.producers))
	for id := range s.producers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Encode appends the snapshot file's content to dst: the last batch of every producer.
func (s *State) Encode(dst []byte) []byte {
	start := len(dst)
	be := binary.BigEndian
	dst = be.AppendUint16(dst, snapshotVersion)
	dst = be.AppendUint32(dst, 0)
	dst = be.AppendUint32(dst, uint32(len(s.producers)))
	for _, id := range s.ids() {
		e := s.producers[id]
		last := seen{lastSequence: -1, lastOffset: noOffset, timestamp: e.lastTimestamp}
		if n := len(e.batches); n > 0 {
			last = e.batches[n-1]
		}
		dst = be.AppendUint64(dst, uint64(id))
		dst = be.AppendUint16(dst, uint16(e.epoch))
		dst = be.AppendUint32(dst, uint32(last.lastSequence))
		dst = be.AppendUint64(dst, uint64(last.lastOffset))
		dst = be.AppendUint32(dst, uint32(last.offsetDelta))
		dst = be.AppendUint64(dst, uint64(e.lastTimestamp))
		dst = be.AppendUint32(dst, uint32(e.coordinatorEpoch))
		dst = be.AppendUint64(dst, uint64(e.txnFirst))
	}
	be.PutUint32(dst[start+2:], crc32.Checksum(dst[start+6:], castagnoli))
	return dst
}

// Decode replaces the state by a snapshot that covers everything before end. The error wraps
// ErrCorruptSnapshot; the state is empty then.
func (s *State) Decode(b []byte, end int64) error {
	s.Reset()
	be := binary.BigEndian
	if len(b) < snapshotHeader {
		return fmt.Errorf("%w: %d bytes", ErrCorruptSnapshot, len(b))
	}
	if v := be.Uint16(b); v != snapshotVersion {
		return fmt.Errorf("%w: version %d", ErrCorruptSnapshot, v)
	}
	if got, want := crc32.Checksum(b[6:], castagnoli), be.Uint32(b[2:]); got != want {
		return fmt.Errorf("%w: checksum %08x, stored %08x", ErrCorruptSnapshot, got, want)
	}
	n := int(be.Uint32(b[6:]))
	b = b[snapshotHeader:]
	if len(b)%snapshotEntry != 0 || len(b)/snapshotEntry != n {
		return fmt.Errorf("%w: %d entries in %d bytes", ErrCorruptSnapshot, n, len(b))
	}
	if n > 0 {
		s.producers = make(map[int64]*entry, n)
	}
	for ; len(b) > 0; b = b[snapshotEntry:] {
		e := &entry{
			epoch:            int16(be.Uint16(b[8:])),
			lastTimestamp:    int64(be.Uint64(b[26:])),
			coordinatorEpoch: int32(be.Uint32(b[34:])),
			txnFirst:         int64(be.Uint64(b[38:])),
		}
		last := seen{
			lastSequence: int32(be.Uint32(b[10:])), lastOffset: int64(be.Uint64(b[14:])),
			offsetDelta: int32(be.Uint32(b[22:])), timestamp: e.lastTimestamp,
		}
		if last.lastOffset >= 0 {
			e.batches = append(e.batches, last)
		}
		id := int64(be.Uint64(b))
		if e.txnFirst >= 0 {
			s.open = append(s.open, txn{id, e.txnFirst})
		} else {
			e.txnFirst = noOffset
		}
		s.producers[id] = e
	}
	s.open.sort()
	s.end = end
	return nil
}
