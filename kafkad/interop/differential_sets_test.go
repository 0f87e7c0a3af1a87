//go:build interop

package interop

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"zkafka/kafkad/record"
)

// Record sets with whatever faults a test wants, and how to compare what comes back.

// field is a record as the generator knows it.
type plainRecord struct {
	time       int64
	key, value []byte
	headers    []record.Header
}

// craftedBatch is a v2 batch in the making: every field of the header can be wrong.
type craftedBatch struct {
	baseOffset  int64
	leaderEpoch int32
	magic       int8
	attributes  int16
	codec       record.Codec
	lastDelta   int32
	baseTime    int64
	maxTime     int64
	producerID  int64
	epoch       int16
	sequence    int32
	count       int32
	payload     []byte // records before compression
	packed      []byte // instead of payload, as it is on the wire
	sizeChange  int32  // added to the length
	flipCRC     bool
}

// newCraftedBatch is a batch as a client makes it.
func newCraftedBatch(codec record.Codec, records []plainRecord) *craftedBatch {
	b := &craftedBatch{
		leaderEpoch: -1, magic: 2, codec: codec, lastDelta: int32(len(records)) - 1,
		producerID: -1, epoch: -1, sequence: -1, count: int32(len(records)), baseTime: -1, maxTime: -1,
	}
	for i, r := range records {
		if i == 0 {
			b.baseTime = r.time
		}
		b.maxTime = max(b.maxTime, r.time)
		b.payload = appendRecord(b.payload, &r, int64(i), r.time-b.baseTime)
	}
	return b
}

func appendRecord(dst []byte, r *plainRecord, offsetDelta, timeDelta int64) []byte {
	b := binary.AppendVarint([]byte{0}, timeDelta)
	b = binary.AppendVarint(b, offsetDelta)
	b = appendVarBytes(b, r.key)
	b = appendVarBytes(b, r.value)
	b = binary.AppendVarint(b, int64(len(r.headers)))
	for _, h := range r.headers {
		b = appendVarBytes(b, []byte(h.Key))
		b = appendVarBytes(b, h.Value)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

func appendVarBytes(dst, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(v))), v...)
}

// plain takes the compression away. Apache's broker looks less closely at compressed records than
// its consumers do, and takes what they then cannot read.
func (c *craftedBatch) plain() { c.codec = record.None }

func (c *craftedBatch) bytes() []byte {
	be := binary.BigEndian
	body := c.packed
	if body == nil {
		body = mustCompress(c.codec, 2, c.payload)
	}
	b := make([]byte, record.HeaderSize, record.HeaderSize+len(body))
	be.PutUint64(b, uint64(c.baseOffset))
	be.PutUint32(b[8:], uint32(int32(record.HeaderSize-record.LogOverhead+len(body))+c.sizeChange))
	be.PutUint32(b[12:], uint32(c.leaderEpoch))
	b[16] = byte(c.magic)
	be.PutUint16(b[21:], uint16(c.attributes)|uint16(c.codec))
	be.PutUint32(b[23:], uint32(c.lastDelta))
	be.PutUint64(b[27:], uint64(c.baseTime))
	be.PutUint64(b[35:], uint64(c.maxTime))
	be.PutUint64(b[43:], uint64(c.producerID))
	be.PutUint16(b[51:], uint16(c.epoch))
	be.PutUint32(b[53:], uint32(c.sequence))
	be.PutUint32(b[57:], uint32(c.count))
	b = append(b, body...)
	record.Batch(b).FixCRC()
	if c.flipCRC {
		b[20] ^= 1
	}
	return b
}

func mustCompress(codec record.Codec, magic int8, raw []byte) []byte {
	if codec == record.None || codec > record.Zstd {
		return raw
	}
	b, err := record.Compress(nil, codec, magic, record.Levels{}, raw)
	if err != nil {
		panic(err) // of a codec that is there
	}
	return b
}

// craftedMessage is a message of format v0 or v1 in the making.
type craftedMessage struct {
	offset     int64
	magic      int8
	attributes byte
	time       int64
	key, value []byte
	sizeChange int32
	flipCRC    bool
	extra      []byte // behind the value
}

func (m *craftedMessage) appendTo(dst []byte) []byte {
	be := binary.BigEndian
	start := len(dst)
	dst = be.AppendUint64(dst, uint64(m.offset))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, byte(m.magic), m.attributes)
	if m.magic == 1 {
		dst = be.AppendUint64(dst, uint64(m.time))
	}
	for _, v := range [][]byte{m.key, m.value} {
		if v == nil {
			dst = be.AppendUint32(dst, 0xffffffff)
			continue
		}
		dst = append(be.AppendUint32(dst, uint32(len(v))), v...)
	}
	dst = append(dst, m.extra...)
	msg := dst[start:]
	be.PutUint32(msg[8:], uint32(int32(len(msg)-record.LogOverhead)+m.sizeChange))
	be.PutUint32(msg[12:], crc32.ChecksumIEEE(msg[16:]))
	if m.flipCRC {
		msg[15] ^= 1
	}
	return dst
}

// canonicalRecords describes a record set by what it means: compressed records by what is in them,
// times of append by a name. A cut entry at the end, which a reader drops, is left out unless it is
// all there is.
func canonicalRecords(b []byte) []string {
	var out []string
	for len(b) > 0 {
		if len(b) < record.LogOverhead+6 || record.EntrySize(b) > len(b) {
			if len(out) == 0 {
				out = append(out, "a piece of an entry")
			}
			return out
		}
		n := record.EntrySize(b)
		if n < record.LogOverhead+14 {
			return append(out, fmt.Sprintf("junk %x", b))
		}
		out = append(out, canonicalEntry(b[:n])...)
		b = b[n:]
	}
	return out
}

// wholeEntries counts the entries of a set that are not cut.
func wholeEntries(b []byte) (n int) {
	for ; len(b) > record.LogOverhead && record.EntrySize(b) <= len(b); n++ {
		b = b[record.EntrySize(b):]
	}
	return n
}

// firstEntries cuts a set behind so many entries; nothing is left as nothing.
func firstEntries(b []byte, n int) []byte {
	if n == 0 {
		return b
	}
	at := 0
	for range n {
		at += record.EntrySize(b[at:])
	}
	return b[:at]
}

func canonicalEntry(b []byte) []string {
	m, err := record.Verify(b)
	if err != nil {
		return []string{fmt.Sprintf("%v: %x", err, b[:min(len(b), 400)])}
	}
	if m.LogAppendTime() {
		m.MaxTimestamp = sharedTime(m.MaxTimestamp)
	}
	if m.Codec() != record.None {
		m.Size = 0 // compressors differ
	}
	if m.Magic < 2 {
		return canonicalMessage(b, &m)
	}
	head := fmt.Sprintf("%+v base time %d", m, record.Batch(b).BaseTimestamp())
	body, err := record.Decompress(m.Codec(), 2, b[record.HeaderSize:])
	if err != nil {
		return []string{head + fmt.Sprintf(" %v", err)}
	}
	return []string{head + fmt.Sprintf(" %x", body[:min(len(body), 400)])}
}

func canonicalMessage(b []byte, m *record.Meta) []string {
	be := binary.BigEndian
	head, rest := fmt.Sprintf("%+v", *m), b[18:]
	if m.Magic == 1 {
		rest = rest[8:]
	}
	if m.Codec() == record.None {
		return []string{head + fmt.Sprintf(" %x", rest[:min(len(rest), 400)])}
	}
	_, value, ok := bytes.Cut(rest, []byte{0xff, 0xff, 0xff, 0xff})
	if !ok || len(value) < 4 || int(be.Uint32(value)) != len(value)-4 {
		return []string{head + fmt.Sprintf(" malformed %x", rest)}
	}
	inner, err := record.Decompress(m.Codec(), m.Magic, value[4:])
	if err != nil {
		return []string{head + fmt.Sprintf(" %v", err)}
	}
	out := []string{head + " of"}
	for _, line := range canonicalRecords(inner) {
		out = append(out, "  "+line)
	}
	return out
}
