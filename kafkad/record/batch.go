package record

import (
	"encoding/binary"
	"hash/crc32"
)

// Batch is a view of one whole v2 batch. Its getters may be called once the bytes hold at least
// HeaderSize; nothing is checked by them.
type Batch []byte

// Meta is what a log needs to know about one entry of any format: a v2 batch, or a v0 or v1
// message, which may wrap a compressed set.
type Meta struct {
	BaseOffset   int64 // of a v0 or v1 wrapper the same as LastOffset
	LastOffset   int64
	Size         int // with the 12 bytes of offset and length
	Magic        int8
	Attributes   int16
	LeaderEpoch  int32 // -1 before v2
	MaxTimestamp int64 // NoTimestamp for v0
	ProducerID   int64 // NoProducerID before v2
	Epoch        int16 // the producer's
	BaseSequence int32
	Records      int32 // 0 before v2: not known without decompression
}

// Codec returns the compression codec.
func (m *Meta) Codec() Codec { return Codec(m.Attributes & attrCodec) }

// Control says whether the batch holds a transaction marker.
func (m *Meta) Control() bool { return m.Magic >= 2 && m.Attributes&attrControl != 0 }

// Transactional says whether the batch belongs to a transaction.
func (m *Meta) Transactional() bool { return m.Magic >= 2 && m.Attributes&attrTransactional != 0 }

// LogAppendTime says whether the timestamps are the broker's.
func (m *Meta) LogAppendTime() bool { return m.Magic >= 1 && m.Attributes&attrLogAppendTime != 0 }

// LastSequence is the sequence of the last record, with wrap after 2147483647.
func (m *Meta) LastSequence() int32 {
	if m.BaseSequence == NoSequence {
		return NoSequence
	}
	return AddSequence(m.BaseSequence, int32(m.LastOffset-m.BaseOffset))
}

// AddSequence adds to a sequence number, which wraps from 2147483647 to 0.
func AddSequence(s, n int32) int32 {
	if s > 1<<31-1-n {
		return n - (1<<31 - 1 - s) - 1
	}
	return s + n
}

// EntrySize returns the size of the entry that starts with b, which must hold LogOverhead bytes:
// the length field plus LogOverhead. It may be nonsense when the bytes are not a batch.
func EntrySize(b []byte) int {
	return int(int32(binary.BigEndian.Uint32(b[8:]))) + LogOverhead
}

// minimum sizes of whole entries by magic
const (
	minSizeV0 = LogOverhead + 14
	minSizeV1 = LogOverhead + 22
)

// ParseMeta reads the header of the entry b starts with, of any format; b needs to hold the first
// HeaderSize bytes, or the whole entry if that is shorter. It checks what can be checked without
// the rest: lengths, magic, counts.
func ParseMeta(b []byte) (Meta, error) {
	var m Meta
	if len(b) < LogOverhead+6 {
		return m, errorf(Corrupt, "%d bytes are no entry header", len(b))
	}
	m.BaseOffset = int64(binary.BigEndian.Uint64(b))
	m.LastOffset = m.BaseOffset
	m.Size = EntrySize(b)
	m.Magic = int8(b[16])
	m.LeaderEpoch, m.MaxTimestamp, m.ProducerID = -1, NoTimestamp, NoProducerID
	m.Epoch, m.BaseSequence = -1, NoSequence
	switch m.Magic {
	case 0, 1:
		return m, m.parseLegacy(b)
	case 2:
		return m, m.parseV2(b)
	}
	return m, errorf(Corrupt, "unknown magic %d", m.Magic)
}

func (m *Meta) parseLegacy(b []byte) error {
	least := minSizeV0
	if m.Magic == 1 {
		least = minSizeV1
	}
	if m.Size < least {
		return errorf(Corrupt, "message of %d bytes", m.Size)
	}
	m.Attributes = int16(b[17])
	if m.Magic == 1 {
		if len(b) < 26 {
			return errorf(Corrupt, "%d bytes are no message header", len(b))
		}
		m.MaxTimestamp = int64(binary.BigEndian.Uint64(b[18:]))
	}
	if m.BaseOffset < 0 {
		return errorf(Corrupt, "offset %d", m.BaseOffset)
	}
	return nil
}

func (m *Meta) parseV2(b []byte) error {
	if m.Size < HeaderSize || len(b) < HeaderSize {
		return errorf(Corrupt, "batch of %d bytes, %d given", m.Size, len(b))
	}
	v := Batch(b)
	m.LastOffset = v.LastOffset()
	m.Attributes = v.Attributes()
	m.LeaderEpoch = v.LeaderEpoch()
	m.MaxTimestamp = v.MaxTimestamp()
	m.ProducerID = v.ProducerID()
	m.Epoch = v.ProducerEpoch()
	m.BaseSequence = v.BaseSequence()
	m.Records = v.Count()
	if m.BaseOffset < 0 || m.LastOffset < m.BaseOffset || m.Records < 0 {
		return errorf(Corrupt, "batch of %d records at offsets %d to %d",
			m.Records, m.BaseOffset, m.LastOffset)
	}
	return nil
}

// Verify checks the whole entry b (exactly Size bytes) against its checksum and returns its header.
func Verify(b []byte) (Meta, error) {
	m, err := ParseMeta(b)
	if err != nil {
		return m, err
	}
	if m.Size != len(b) {
		return m, errorf(Corrupt, "entry of %d bytes, %d given", m.Size, len(b))
	}
	if m.Magic < 2 {
		return m, legacyChecksum(b)
	}
	return m, Batch(b).CheckCRC()
}

// CheckCRC compares the batch with its checksum.
func (b Batch) CheckCRC() error {
	if got, want := crc32.Checksum(b[21:], castagnoli), b.CRC(); got != want {
		return errorf(Corrupt, "batch checksum %08x, stored %08x", got, want)
	}
	return nil
}

// Size is the size of the whole batch by its length field.
func (b Batch) Size() int { return EntrySize(b) }

// BaseOffset is the offset of the first record, or of where it was before compaction.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b)) }

// LastOffset is the offset of the last record.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// LeaderEpoch is the epoch of the leader that appended the batch; the checksum leaves it out.
func (b Batch) LeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[12:])) }

// Magic is the format version.
func (b Batch) Magic() int8 { return int8(b[16]) }

// CRC is the stored checksum.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[17:]) }

// Attributes returns the flags.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[21:])) }

// Codec returns the compression codec.
func (b Batch) Codec() Codec { return Codec(b[22] & attrCodec) }

// Control says whether the batch holds a transaction marker.
func (b Batch) Control() bool { return b[22]&attrControl != 0 }

// Transactional says whether the batch belongs to a transaction.
func (b Batch) Transactional() bool { return b[22]&attrTransactional != 0 }

// LogAppendTime says whether all records carry the broker's time, MaxTimestamp.
func (b Batch) LogAppendTime() bool { return b[22]&attrLogAppendTime != 0 }

// LastOffsetDelta is the last offset minus the base offset.
func (b Batch) LastOffsetDelta() int32 { return int32(binary.BigEndian.Uint32(b[23:])) }

// BaseTimestamp is what the records' timestamps are relative to.
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[27:])) }

// MaxTimestamp is the highest timestamp of the records, or the append time of all.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[35:])) }

// ProducerID identifies an idempotent producer, NoProducerID otherwise.
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[43:])) }

// ProducerEpoch is the epoch of that producer.
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[51:])) }

// BaseSequence is the sequence of the first record.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[53:])) }

// Count is the number of records.
func (b Batch) Count() int32 { return int32(binary.BigEndian.Uint32(b[57:])) }

// SetBaseOffset patches the base offset; the checksum does not cover it.
func (b Batch) SetBaseOffset(o int64) { binary.BigEndian.PutUint64(b, uint64(o)) }

// SetLeaderEpoch patches the partition leader epoch; the checksum does not cover it.
func (b Batch) SetLeaderEpoch(e int32) { binary.BigEndian.PutUint32(b[12:], uint32(e)) }

// SetLogAppendTime marks the batch as stamped by the broker at the given time and corrects the
// checksum.
func (b Batch) SetLogAppendTime(ms int64) {
	b.keepAttributes(attrLogAppendTime)
	binary.BigEndian.PutUint64(b[35:], uint64(ms))
	b.FixCRC()
}

// keepAttributes leaves those attributes that have a meaning, and sets the timestamp type.
func (b Batch) keepAttributes(timestampType byte) {
	const kept = attrCodec | attrTransactional | attrControl | attrDeleteHorizon
	b[21], b[22] = 0, b[22]&kept|timestampType
}

// FixCRC stores the checksum that belongs to the bytes.
func (b Batch) FixCRC() {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
}
