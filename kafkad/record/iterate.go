package record

import (
	"encoding/binary"
	"math"
)

// Walk calls fn for every whole entry in b, in order, until fn fails or the bytes end. A truncated
// last entry is left out. It returns the number of bytes walked. Checksums are not looked at.
func Walk(b []byte, fn func(entry []byte, m *Meta) error) (int, error) {
	n := 0
	for len(b)-n >= LogOverhead+6 {
		size := EntrySize(b[n:])
		if size > len(b)-n {
			break
		}
		if size < minSizeV0 {
			return n, errorf(Corrupt, "entry of %d bytes", size)
		}
		m, err := ParseMeta(b[n : n+size])
		if err != nil {
			return n, err
		}
		if err := fn(b[n:n+size:n+size], &m); err != nil {
			return n, err
		}
		n += size
	}
	return n, nil
}

// Each calls fn for every record of every whole entry in b, of any format and codec. The record is
// reused; what it points to is valid until fn returns. Control batches come too: see Meta.Control.
func Each(b []byte, fn func(m *Meta, r *Record) error) error {
	_, err := Walk(b, func(entry []byte, m *Meta) error { return EachOf(entry, m, fn) })
	return err
}

// EachOf does it for one entry whose header is already known.
func EachOf(entry []byte, m *Meta, fn func(m *Meta, r *Record) error) error {
	if m.Magic < 2 {
		return eachLegacy(entry, m, fn)
	}
	return Batch(entry).each(m, fn)
}

func (b Batch) each(m *Meta, fn func(m *Meta, r *Record) error) error {
	body, err := Decompress(b.Codec(), 2, b[HeaderSize:])
	if err != nil {
		return err
	}
	var r Record
	base, baseTime := b.BaseOffset(), b.BaseTimestamp()
	for i := int32(0); i < b.Count(); i++ {
		var offsetDelta int32
		var timeDelta int64
		body, err = r.decode(body, &offsetDelta, &timeDelta)
		if err != nil {
			return err
		}
		r.Offset = base + int64(offsetDelta)
		r.Timestamp = baseTime + timeDelta
		if b.LogAppendTime() {
			r.Timestamp = b.MaxTimestamp()
		}
		if err := fn(m, &r); err != nil {
			return err
		}
	}
	if len(body) != 0 {
		return errorf(InvalidRecord, "%d bytes after the last record", len(body))
	}
	return nil
}

func varint32(b []byte) (v int32, n int) {
	l, n := binary.Varint(b)
	if n <= 0 || l > math.MaxInt32 || l < math.MinInt32 {
		return 0, 0
	}
	return int32(l), n
}

// field reads a length-prefixed byte string; a length below 0 is nil.
func field(b []byte) (v, rest []byte, ok bool) {
	l, n := varint32(b)
	if n == 0 || int(l) > len(b)-n {
		return nil, nil, false
	}
	if l < 0 {
		return nil, b[n:], true
	}
	end := n + int(l)
	return b[n:end:end], b[end:], true
}

// decode reads one v2 record from the front of b and returns the rest. r.Headers is reused.
func (r *Record) decode(b []byte, offsetDelta *int32, timeDelta *int64) ([]byte, error) {
	size, n := varint32(b)
	if n == 0 || size < 0 || int(size) > len(b)-n {
		return nil, errorf(InvalidRecord, "record of %d bytes, %d left", size, len(b)-n)
	}
	rest := b[n+int(size):]
	b = b[n : n+int(size)]
	if len(b) < 1 {
		return nil, errorf(InvalidRecord, "empty record")
	}
	b = b[1:] // attributes: unused
	td, n := binary.Varint(b)
	if n <= 0 {
		return nil, errorf(InvalidRecord, "bad timestamp delta")
	}
	b = b[n:]
	od, n := varint32(b)
	if n == 0 {
		return nil, errorf(InvalidRecord, "bad offset delta")
	}
	b = b[n:]
	*timeDelta, *offsetDelta = td, od
	var ok bool
	if r.Key, b, ok = field(b); !ok {
		return nil, errorf(InvalidRecord, "bad key length")
	}
	if r.Value, b, ok = field(b); !ok {
		return nil, errorf(InvalidRecord, "bad value length")
	}
	if err := r.decodeHeaders(b); err != nil {
		return nil, err
	}
	return rest, nil
}

func (r *Record) decodeHeaders(b []byte) error {
	count, n := varint32(b)
	if n == 0 || count < 0 || int(count) > len(b) {
		return errorf(InvalidRecord, "%d headers", count)
	}
	b = b[n:]
	r.Headers = r.Headers[:0]
	for ; count > 0; count-- {
		key, rest, ok := field(b)
		if !ok || key == nil {
			return errorf(InvalidRecord, "bad header key")
		}
		value, rest, ok := field(rest)
		if !ok {
			return errorf(InvalidRecord, "bad header value")
		}
		r.Headers = append(r.Headers, Header{string(key), value})
		b = rest
	}
	if len(b) != 0 {
		return errorf(InvalidRecord, "%d bytes after the headers", len(b))
	}
	return nil
}

// MarkerType is the type of a control record.
type MarkerType int16

// The control records of ZooKeeper mode.
const (
	Abort  MarkerType = 0
	Commit MarkerType = 1
)

// Marker reads the record of a control batch.
func (b Batch) Marker() (t MarkerType, coordinatorEpoch int32, err error) {
	m, err := ParseMeta(b)
	if err != nil {
		return 0, 0, err
	}
	coordinatorEpoch = -1
	found := false
	err = b.each(&m, func(_ *Meta, r *Record) error {
		if len(r.Key) < 4 {
			return errorf(InvalidRecord, "control key of %d bytes", len(r.Key))
		}
		t, found = MarkerType(binary.BigEndian.Uint16(r.Key[2:])), true
		if len(r.Value) >= 6 {
			coordinatorEpoch = int32(binary.BigEndian.Uint32(r.Value[2:]))
		}
		return nil
	})
	if err == nil && !found {
		err = errorf(InvalidRecord, "control batch without record")
	}
	return t, coordinatorEpoch, err
}
