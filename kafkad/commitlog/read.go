package commitlog

import (
	"errors"
	"fmt"
	"sort"
	"time"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/index"
	"zkafka/kafkad/record"
	"zkafka/kafkad/segment"
)

// Span is a region of one segment file that holds batches: the answer to a read. It keeps the file
// open until Release. The zero Span is empty.
type Span struct {
	s     *seg
	at    int64
	n     int
	below int64 // above all offsets in it, unknownEnd where only a scan would tell
}

const unknownEnd = -1

// view is a consistent look at the log's end.
type view struct {
	segs []*seg
	end  int64
	size int64 // of the last segment
}

func (l *Log) view() view {
	for {
		turn := l.turn.Load()
		segs := *l.segs.Load()
		v := view{segs, l.end.Load(), segs[len(segs)-1].Size()}
		if turn&1 == 0 && l.turn.Load() == turn {
			return v
		}
	}
}

// segment returns the index of the segment that holds the offset.
func (v *view) segment(offset int64) int {
	i := sort.Search(len(v.segs), func(i int) bool { return v.segs[i].Base > offset })
	return max(i-1, 0)
}

// after is the offset after the last one that segment i can hold.
func (v *view) after(i int) int64 {
	if i == len(v.segs)-1 {
		return v.end
	}
	return v.segs[i+1].Base
}

// limit is the number of bytes of the segment that may be read.
func (v *view) limit(i int) int64 {
	if i == len(v.segs)-1 {
		return v.size
	}
	return v.segs[i].Size()
}

// Read finds the batches from the one that holds the offset (so it may begin before it) up to
// maxBytes and below upTo (high watermark, last stable offset or End). A first batch that is larger
// than maxBytes comes whole with minOne, and not at all without. The region ends at a batch if the
// index knows one below maxBytes; otherwise the last batch may be cut, as Kafka does. An offset
// between upTo and End yields an empty span, outside Start..End ErrOutOfRange.
func (l *Log) Read(offset int64, maxBytes int, upTo int64, minOne bool) (Span, error) {
	for {
		if l.closed.Load() {
			return Span{}, l.usable()
		}
		v := l.view()
		if offset < l.start.Load() || offset > v.end {
			return Span{}, ErrOutOfRange
		}
		if offset >= upTo || offset == v.end || maxBytes <= 0 && !minOne {
			return Span{}, nil
		}
		span, retry, err := l.readFrom(&v, offset, maxBytes, upTo, minOne)
		if !retry {
			return span, err
		}
	}
}

// readFrom does the reading; retry says that a segment went away meanwhile.
func (l *Log) readFrom(v *view, offset int64, maxBytes int, upTo int64,
	minOne bool) (span Span, retry bool, err error) {
	for i := v.segment(offset); i < len(v.segs); i++ {
		s := v.segs[i]
		if s.Base >= upTo {
			return Span{}, false, nil
		}
		if !s.Acquire() {
			return Span{}, true, nil
		}
		span, err := l.region(v, i, offset, maxBytes, upTo, minOne)
		if err == nil && span.n > 0 {
			return span, false, nil
		}
		if err := errors.Join(err, s.Release()); err != nil {
			return Span{}, false, l.readError(s, err)
		}
		if span.n < 0 { // the batch reaches above upTo
			return Span{}, false, nil
		}
		// nothing at or above the offset here: compaction left a gap before the next segment
	}
	return Span{}, false, nil
}

func (l *Log) readError(s *seg, err error) error {
	var corrupt *segment.CorruptError
	if errors.As(err, &corrupt) {
		return fmt.Errorf("log %s: %w", l.tp, err)
	}
	return storage("read "+s.Path(), err)
}

// region finds where to read in segment i: n is 0 if it has nothing at or above the offset, -1 if
// what it has is not below upTo, or does not fit.
func (l *Log) region(v *view, i int, offset int64, maxBytes int, upTo int64,
	minOne bool) (Span, error) {
	s, limit := v.segs[i], v.limit(i)
	at, m, edge, ok, err := l.locate(s, offset, int64(maxBytes), limit)
	if err != nil || !ok {
		return Span{}, err
	}
	below := v.after(i)
	switch {
	case upTo >= below:
	case m.LastOffset >= upTo:
		return Span{n: -1}, nil
	default:
		below = upTo
		stop, _, _, found, err := l.locate(s, upTo, 0, limit)
		if err != nil {
			return Span{}, err
		}
		if found {
			limit = stop
		}
	}
	room, first := limit-at, int64(m.Size)
	switch {
	case room <= int64(maxBytes):
		return Span{s, at, int(room), below}, nil
	case int64(maxBytes) < first && !minOne:
		return Span{n: -1}, nil
	case int64(maxBytes) <= first:
		return Span{s, at, int(first), m.LastOffset + 1}, nil
	}
	if e := s.tail.Edge(at + int64(maxBytes)); e.Position > edge.Position {
		edge = e
	}
	if edge.Position < at+first {
		return Span{s, at, maxBytes, unknownEnd}, nil
	}
	// The entry names the last offset of the batch that no longer belongs to the region.
	span := Span{s, at, int(edge.Position - at), min(below, max(edge.Offset, m.LastOffset+1))}
	return span, span.extend(edge.Position, at+int64(maxBytes), limit, below)
}

// extend adds the batches between an edge that the index knows and the end of the room: a small
// limit would be used by half otherwise.
func (s *Span) extend(edge, room, limit, below int64) error {
	if room-edge < record.HeaderSize {
		return nil
	}
	return s.s.Scan(edge, limit, func(at int64, m *record.Meta) bool {
		end := at + int64(m.Size)
		if end > room {
			return false
		}
		s.n, s.below = int(end-s.at), min(below, m.LastOffset+1)
		return true
	})
}

// locate finds the first batch of the segment whose last offset is at or above the given one. edge
// is the entry of a batch at most room bytes behind it, zero if the index knows none.
func (l *Log) locate(s *seg, offset, room, limit int64) (at int64, m record.Meta, edge index.Entry,
	ok bool, err error) {
	e, edge, ok, err := l.floor(s, offset, room)
	if err != nil {
		return 0, m, edge, false, err
	}
	if !ok || e.Position >= limit { // nothing, or beyond what may be seen
		at, m, ok, err = s.Find(0, limit, offset)
		return at, m, edge, ok, err
	}
	at, m, ok, err = s.Find(e.Position, limit, e.Offset)
	switch {
	case err == nil && ok && at == e.Position && m.LastOffset == e.Offset:
		if m.LastOffset < offset {
			at, m, ok, err = s.Find(at+int64(m.Size), limit, offset)
		}
		return at, m, edge, ok, err
	case err != nil && !isCorrupt(err):
		return 0, m, edge, false, err
	}
	// The entry is not about these bytes: another writer was here. Do without the index.
	if err := l.reindex(s); err != nil {
		return 0, m, edge, false, err
	}
	at, m, ok, err = s.Find(0, limit, offset)
	return at, m, index.Entry{}, ok, err
}

func isCorrupt(err error) bool {
	var corrupt *segment.CorruptError
	return errors.As(err, &corrupt)
}

// floor returns the last index entry at or before the offset, and as edge the last entry at most
// room bytes behind that, zero if none.
func (l *Log) floor(s *seg, offset, room int64) (e, edge index.Entry, ok bool, err error) {
	if e, edge, ok = s.tail.Locate(offset, room); ok {
		return e, edge, true, nil
	}
	if offset > s.Base && s.Size() > l.config.Load().IndexIntervalBytes {
		if err := l.ensure(s); err != nil {
			return e, edge, false, err
		}
		e, edge, ok, err = l.dir.index.Locate(l.key, s.Base, offset, room)
		if errors.Is(err, index.ErrDamaged) {
			return index.Entry{}, index.Entry{}, false, l.reindex(s)
		}
		if err != nil {
			return e, edge, false, err
		}
	}
	if late := s.tail.Edge(e.Position + room); late.Position > edge.Position {
		edge = late
	}
	return e, edge, ok, nil
}

// Len is the number of bytes.
func (s Span) Len() int { return s.n }

// Region is the file, the position and the number of bytes, for sendfile by file descriptor; nil, 0
// and 0 of an empty span.
func (s Span) Region() (f disk.File, at int64, n int) {
	if s.n == 0 {
		return nil, 0, 0
	}
	f, err := s.s.File() // open since Read looked into it
	if err != nil {
		return nil, 0, 0
	}
	return f, s.at, s.n
}

// AppendTo appends the bytes to dst.
func (s Span) AppendTo(dst []byte) ([]byte, error) {
	if s.n == 0 {
		return dst, nil
	}
	have := len(dst)
	if cap(dst)-have < s.n {
		dst = append(make([]byte, 0, have+s.n), dst...)
	}
	dst = dst[:have+s.n]
	if err := s.s.ReadAt(dst[have:], s.at); err != nil {
		return dst[:have], storage("read "+s.s.Path(), err)
	}
	return dst, nil
}

// Release lets the file go; it must be called once for every Span that Read returned.
func (s Span) Release() {
	if s.s != nil {
		_ = s.s.Release() // only closes a file that was read
	}
}

// SegmentInfo is one segment for ListOffsets v0.
type SegmentInfo struct {
	Base     int64
	Size     int64
	Modified time.Time
}

// Segments returns the segments, oldest first.
func (l *Log) Segments() []SegmentInfo {
	segs := *l.segs.Load()
	out := make([]SegmentInfo, 0, len(segs))
	for _, s := range segs {
		i := SegmentInfo{Base: s.Base, Size: s.Size()}
		if info, err := l.fs.Stat(s.Path()); err == nil {
			i.Modified = info.ModTime()
		}
		out = append(out, i)
	}
	return out
}
