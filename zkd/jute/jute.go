// Package jute encodes and decodes the primitives of ZooKeeper's record format: big-endian
// integers, length-prefixed strings and buffers, counted vectors. It serves the client protocol,
// the quorum protocol and the files alike. Records themselves live in package proto.
//
// Nothing here is safe for concurrent use and nothing needs to be: a Writer or Reader lives for one
// frame, in the goroutine that handles it.
package jute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// DefaultMaxBuffer is upstream's default of jute.maxbuffer: the largest frame a server accepts.
const DefaultMaxBuffer = 0xfffff

// MinExtraSize is the smallest effective zookeeper.jute.maxbuffer.extrasize; lower values are
// raised.
const MinExtraSize = 1024

// ErrTruncated reports that a record ended before all of its fields were read.
var ErrTruncated = errors.New("jute: record is truncated")

// LengthError reports a string, buffer or vector whose length prefix is negative (other than -1,
// which means null) or beyond the limit.
type LengthError struct {
	Length int32
}

// Error gives the length in the words that upstream logs and operators search for.
func (e *LengthError) Error() string {
	return fmt.Sprintf("jute: Unreasonable length = %d", e.Length)
}

// MaxLength gives the limit of a single string, buffer or vector under jute.maxbuffer and
// zookeeper.jute.maxbuffer.extrasize. An extraSize of zero or less takes upstream's default, which
// is maxBuffer itself.
func MaxLength(maxBuffer, extraSize int) int {
	if extraSize <= 0 {
		extraSize = maxBuffer
	}
	return maxBuffer + max(extraSize, MinExtraSize)
}

// Writer appends encoded values to B. The zero Writer is ready for use; callers reuse B by slicing
// it to length zero.
type Writer struct {
	B []byte
}

// Int32 appends a four byte integer.
func (w *Writer) Int32(v int32) { w.B = binary.BigEndian.AppendUint32(w.B, uint32(v)) }

// Int64 appends an eight byte integer.
func (w *Writer) Int64(v int64) { w.B = binary.BigEndian.AppendUint64(w.B, uint64(v)) }

// Bool appends one byte, 1 or 0.
func (w *Writer) Bool(v bool) {
	if v {
		w.B = append(w.B, 1)
		return
	}
	w.B = append(w.B, 0)
}

// String appends a string; the empty string is written as length zero, never as null.
func (w *Writer) String(s string) {
	w.Int32(int32(len(s)))
	w.B = append(w.B, s...)
}

// NullString appends a null string.
func (w *Writer) NullString() { w.Int32(-1) }

// Buffer appends a buffer; nil is written as null, an empty non-nil slice as length zero.
func (w *Writer) Buffer(b []byte) {
	if b == nil {
		w.Int32(-1)
		return
	}
	w.Int32(int32(len(b)))
	w.B = append(w.B, b...)
}

// VectorLen appends the count that precedes the elements of a vector.
func (w *Writer) VectorLen(n int) { w.Int32(int32(n)) }

// NullVector appends a null vector.
func (w *Writer) NullVector() { w.Int32(-1) }

// Strings appends a vector of strings; nil is written as null.
func (w *Writer) Strings(v []string) {
	if v == nil {
		w.NullVector()
		return
	}
	w.VectorLen(len(v))
	for _, s := range v {
		w.String(s)
	}
}

// StartFrame appends room for the four byte length of a frame and returns its offset for EndFrame.
func (w *Writer) StartFrame() int {
	w.B = append(w.B, 0, 0, 0, 0)
	return len(w.B) - 4
}

// EndFrame fills in the length of the frame that StartFrame began at offset at.
func (w *Writer) EndFrame(at int) {
	binary.BigEndian.PutUint32(w.B[at:], uint32(len(w.B)-at-4))
}

// Reader decodes values from a byte slice. After the first failure every method returns the zero
// value and Err keeps the failure, so that a record is decoded without a check per field.
type Reader struct {
	b   []byte
	max int
	err error
}

// NewReader reads from b. A string, buffer or vector longer than maxLen fails with a LengthError;
// a maxLen of zero or less leaves the bytes of b as the only limit.
func NewReader(b []byte, maxLen int) *Reader { return &Reader{b: b, max: maxLen} }

// Reset makes r read from b with a clean error, so that one Reader serves many frames.
func (r *Reader) Reset(b []byte, maxLen int) { *r = Reader{b: b, max: maxLen} }

// Err returns the first failure, or nil.
func (r *Reader) Err() error { return r.err }

// Remaining returns the number of bytes not read yet; zero after a failure.
func (r *Reader) Remaining() int { return len(r.b) }

// Rest returns the bytes not read yet, without copying, and leaves nothing.
func (r *Reader) Rest() []byte {
	b := r.b
	r.b = nil
	return b
}

// Peek returns the bytes not read yet without consuming them.
func (r *Reader) Peek() []byte { return r.b }

// Fail records err as the reader's failure unless there is one already. Record decoders use it for
// values that no reader of primitives can judge.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
		r.b = nil
	}
}

// Int32 reads a four byte integer.
func (r *Reader) Int32() int32 {
	if len(r.b) < 4 {
		r.Fail(ErrTruncated)
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.b))
	r.b = r.b[4:]
	return v
}

// Int64 reads an eight byte integer.
func (r *Reader) Int64() int64 {
	if len(r.b) < 8 {
		r.Fail(ErrTruncated)
		return 0
	}
	v := int64(binary.BigEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

// Bool reads one byte; any value but zero is true.
func (r *Reader) Bool() bool {
	if len(r.b) < 1 {
		r.Fail(ErrTruncated)
		return false
	}
	v := r.b[0] != 0
	r.b = r.b[1:]
	return v
}

// length reads a length prefix: -1 for null (also after a failure), else 0 up to the limit.
func (r *Reader) length() int {
	n := r.Int32()
	if r.err != nil {
		return -1
	}
	if n < -1 || (r.max > 0 && int(n) > r.max) {
		r.Fail(&LengthError{Length: n})
		return -1
	}
	return int(n)
}

// Buffer reads a buffer without copying: the result is part of the slice given to NewReader, valid
// as long as that is, with no spare capacity. Null gives nil, length zero a non-nil empty slice.
func (r *Reader) Buffer() []byte {
	n := r.length()
	if n < 0 {
		return nil
	}
	if n > len(r.b) {
		r.Fail(ErrTruncated)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// String reads a string into memory of its own. Null gives the empty string. Bytes that are not
// UTF-8 become U+FFFD, as a Java reader decodes them.
func (r *Reader) String() string {
	s, _ := r.StringOrNull()
	return s
}

// StringOrNull reads a string as String does and tells null (false) from empty (true).
func (r *Reader) StringOrNull() (string, bool) {
	b := r.Buffer()
	if b == nil {
		return "", false
	}
	return Text(b), true
}

// Text returns b as a string. What is not UTF-8 becomes U+FFFD, as many of them as a Java reader
// makes: one for each sequence that breaks off and for each half of a surrogate pair.
func Text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b)+8)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = malformed(b)
		}
		out = utf8.AppendRune(out, r)
		b = b[n:]
	}
	return string(out)
}

// malformed returns the length of the broken sequence that b starts with.
func malformed(b []byte) int {
	low, high, size := byte(0x80), byte(0xbf), 1
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		size = 2
	case c == 0xe0:
		low, size = 0xa0, 3
	case c > 0xe0 && c <= 0xef:
		size = 3
	case c == 0xf0:
		low, size = 0x90, 4
	case c > 0xf0 && c < 0xf4:
		size = 4
	case c == 0xf4:
		high, size = 0x8f, 4
	}
	n := 1
	for n < min(size, len(b)) && b[n] >= low && b[n] <= high {
		low, high = 0x80, 0xbf
		n++
	}
	return n
}

// VectorLen reads the count of a vector whose elements take at least minElem bytes each: -1 for
// null and after a failure. A count that the remaining bytes cannot hold fails at once, so that
// callers may allocate n elements without fear of a hostile count.
func (r *Reader) VectorLen(minElem int) int {
	n := r.length()
	if n > 0 && n > len(r.b)/max(minElem, 1) {
		r.Fail(ErrTruncated)
		return -1
	}
	return n
}

// Strings reads a vector of strings: nil for null, non-nil for empty.
func (r *Reader) Strings() []string {
	n := r.VectorLen(4)
	if n < 0 {
		return nil
	}
	v := make([]string, n)
	for i := range v {
		v[i] = r.String()
	}
	if r.err != nil {
		return nil
	}
	return v
}
