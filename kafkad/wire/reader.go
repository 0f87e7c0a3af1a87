package wire

import (
	"encoding/binary"
	"errors"
)

// ErrShort marks bytes that end before the message does, or lengths that make no sense.
var ErrShort = errors.New("malformed message")

// Reader reads protocol primitives from the front of a byte slice. The first fault sticks: after
// it every read yields zero, and Err tells.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads from b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err returns the first fault.
func (r *Reader) Err() error { return r.err }

func (r *Reader) fail() {
	r.err, r.b = ErrShort, nil
}

func (r *Reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *Reader) int8() int8 {
	if v := r.take(1); v != nil {
		return int8(v[0])
	}
	return 0
}

func (r *Reader) int16() int16 {
	if v := r.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (r *Reader) int32() int32 {
	if v := r.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (r *Reader) int64() int64 {
	if v := r.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

func (r *Reader) uuid() (id [16]byte) {
	copy(id[:], r.take(16))
	return id
}

func (r *Reader) uvarint() uint32 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<32-1 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return uint32(v)
}

// nullableString reads a classic string; null gives nil, "" an empty slice.
func (r *Reader) nullableString() []byte {
	n := r.int16()
	if n < 0 || r.err != nil {
		return nil
	}
	return r.take(int(n))
}

// string reads a string in the given encoding; null gives nil.
func (r *Reader) string(flexible bool) []byte {
	if !flexible {
		return r.nullableString()
	}
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	return r.take(int(n) - 1)
}

// bytes reads nullable bytes; null gives nil.
func (r *Reader) bytes(flexible bool) []byte {
	if flexible {
		return r.string(true)
	}
	n := r.int32()
	if n < 0 || r.err != nil {
		return nil
	}
	return r.take(int(n))
}

// array reads the count of an array whose elements take at least min bytes, so that a false count
// cannot ask for more memory than the message could fill. Null counts as empty.
func (r *Reader) array(flexible bool, min int) int {
	var n int
	if flexible {
		n = int(r.uvarint()) - 1
	} else {
		n = int(r.int32())
	}
	if n <= 0 || r.err != nil {
		return 0
	}
	if n > len(r.b)/min {
		r.fail()
		return 0
	}
	return n
}

// SkipTags reads over a section of tagged fields.
func (r *Reader) SkipTags() { r.tags(nil) }

// tags calls field for each tagged field; nil skips all.
func (r *Reader) tags(field func(tag uint32, value Reader)) {
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		tag := r.uvarint()
		v := r.take(int(r.uvarint()))
		if field != nil && r.err == nil {
			field(tag, Reader{b: v})
		}
	}
}

func appendUvarint(b []byte, v int) []byte { return binary.AppendUvarint(b, uint64(v)) }
func appendInt16(b []byte, v int16) []byte { return binary.BigEndian.AppendUint16(b, uint16(v)) }
func appendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func appendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

func appendString(b []byte, flexible bool, s []byte) []byte {
	if flexible {
		b = appendUvarint(b, len(s)+1)
	} else {
		b = appendInt16(b, int16(len(s)))
	}
	return append(b, s...)
}

func appendNullableString(b []byte, flexible bool, s string) []byte {
	switch {
	case s != "":
		return appendString(b, flexible, []byte(s))
	case flexible:
		return append(b, 0)
	}
	return appendInt16(b, -1)
}

func appendArray(b []byte, flexible bool, n int) []byte {
	if flexible {
		return appendUvarint(b, n+1)
	}
	return appendInt32(b, int32(n))
}
