package index

import "encoding/binary"

// Log is the key prefix of one partition's log.
//
//	┌─────────────┬──┬───────────┬─────────────┬──────┬────────────────────────────────────────┐
//	│ topic       │ 0│ partition │ base offset │ kind │                                        │
//	│ UTF-8       │  │ u32       │ u64         │      │                                        │
//	└─────────────┴──┴───────────┴─────────────┼──────┼────────────────────────────────────────┤
//	                                  segment  │ 'c'  │ u64 first offset             → chunk   │
//	                                           │ 's'  │                              → summary │
//	                                           │ 't'  │ u64 time, u64 first offset   → empty   │
//	                                           └──────┴────────────────────────────────────────┘
//
// All numbers are big-endian; times have their sign bit flipped so that they sort. The version of
// this key space stands under the single byte 0, which no topic starts with.
type Log []byte

const (
	kindChunk   = 'c'
	kindSummary = 's'
	kindTime    = 't'

	version = "1"
)

var versionKey = []byte{0}

// LogOf makes the prefix of a partition.
func LogOf(topic string, partition int32) Log {
	k := make([]byte, 0, len(topic)+5)
	k = append(k, topic...)
	k = append(k, 0)
	return binary.BigEndian.AppendUint32(k, uint32(partition))
}

func (l Log) segment(base int64) []byte {
	k := make([]byte, 0, len(l)+8+1+16)
	k = append(k, l...)
	return binary.BigEndian.AppendUint64(k, uint64(base))
}

func (l Log) chunk(base, first int64) []byte {
	return binary.BigEndian.AppendUint64(append(l.segment(base), kindChunk), uint64(first))
}

func (l Log) summary(base int64) []byte { return append(l.segment(base), kindSummary) }

func (l Log) time(base, ts, first int64) []byte {
	k := append(l.segment(base), kindTime)
	k = binary.BigEndian.AppendUint64(k, uint64(ts)^1<<63)
	return binary.BigEndian.AppendUint64(k, uint64(first))
}

// after is the smallest key above all that start with the prefix; the prefix never is all 0xff,
// since it starts with a topic's name or the kind ends it.
func after(prefix []byte) []byte {
	k := append([]byte(nil), prefix...)
	for i := len(k) - 1; i >= 0; i-- {
		k[i]++
		if k[i] != 0 {
			return k[:i+1]
		}
	}
	return k
}

// Entry says that the batch at Position ends with Offset, and that no record up to it has a
// timestamp above MaxTimestamp. All three never fall within a segment.
type Entry struct {
	Offset       int64
	Position     int64
	MaxTimestamp int64
}

// chunk values: u8 format 1, uvarint position of the entry before the chunk (0 if none), uvarint
// count, then per entry the differences to the one before: uvarint offset, uvarint position, varint
// time. The first offset is relative to the segment's base.
const chunkFormat = 1

func encodeChunk(dst []byte, base, before int64, entries []Entry) []byte {
	dst = append(dst, chunkFormat)
	dst = binary.AppendUvarint(dst, uint64(before))
	dst = binary.AppendUvarint(dst, uint64(len(entries)))
	last := Entry{Offset: base, Position: before}
	for _, e := range entries {
		dst = binary.AppendUvarint(dst, uint64(e.Offset-last.Offset))
		dst = binary.AppendUvarint(dst, uint64(e.Position-last.Position))
		dst = binary.AppendVarint(dst, e.MaxTimestamp-last.MaxTimestamp)
		last = e
	}
	return dst
}

func decodeChunk(b []byte, base int64) (before int64, entries []Entry, ok bool) {
	if len(b) < 3 || b[0] != chunkFormat {
		return 0, nil, false
	}
	d := decoder{b: b[1:]}
	before = int64(d.uvarint())
	if n := d.uvarint(); !d.bad && n <= uint64(len(d.b)) {
		entries = make([]Entry, 0, n)
	}
	_, ok = walkChunk(b, base, func(e Entry) bool {
		entries = append(entries, e)
		return true
	})
	return before, entries, ok && len(entries) > 0
}

// walkChunk calls fn for each entry until fn returns false, which more tells; ok is false if the
// chunk is malformed.
func walkChunk(b []byte, base int64, fn func(Entry) bool) (more, ok bool) {
	if len(b) < 3 || b[0] != chunkFormat {
		return false, false
	}
	d := decoder{b: b[1:]}
	last := Entry{Offset: base, Position: int64(d.uvarint())}
	count := d.uvarint()
	if d.bad || count > uint64(len(d.b)) {
		return false, false
	}
	for ; count > 0; count-- {
		last.Offset += int64(d.uvarint())
		last.Position += int64(d.uvarint())
		last.MaxTimestamp += d.varint()
		if d.bad {
			return false, false
		}
		if !fn(last) {
			return false, true
		}
	}
	return true, len(d.b) == 0
}

// summaryFormat 1 had no Aborted.
const summaryFormat = 2

// Summary closes the index of a segment: it covers the first Size bytes, whose last record is
// before End. It is written at roll and clean close.
type Summary struct {
	Size         int64
	Modified     int64 // the file's modification time in ns: another writer makes it differ
	End          int64
	MaxTimestamp int64
	FirstTime    int64 // highest timestamp of the first batch, for rolling by time
	Aborted      int64 // entries of the .txnindex
}

func (s *Summary) encode(dst []byte) []byte {
	dst = append(dst, summaryFormat)
	for _, v := range []int64{s.Size, s.Modified, s.End, s.MaxTimestamp, s.FirstTime, s.Aborted} {
		dst = binary.AppendVarint(dst, v)
	}
	return dst
}

func (s *Summary) decode(b []byte) bool {
	if len(b) < 1 || b[0] != summaryFormat {
		return false
	}
	d := decoder{b: b[1:]}
	for _, v := range []*int64{&s.Size, &s.Modified, &s.End, &s.MaxTimestamp, &s.FirstTime,
		&s.Aborted} {
		*v = d.varint()
	}
	return !d.bad && len(d.b) == 0
}

type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > 1<<62 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}
