// Package adler computes Adler-32 (RFC 1950, section 8), the checksum of transaction logs and
// snapshots. It takes eight bytes at a time in the lanes of a word, which is about twice as fast as
// hash/adler32: every byte of a log or a snapshot passes here when it is written and when it is
// read.
package adler

import "encoding/binary"

const (
	mod = 65521

	// words is how many words are summed before the lanes are added up. The fullest lane then
	// holds 255 x (0 + 1 + ... + 21), which fits in its 16 bits.
	words = 22
	block = 8 * words

	// chunk is how many bytes are summed before the sums are reduced: far less than 64 bits hold.
	chunk = 256 * block

	// lanes are the even bytes of a word.
	lanes = 0x00ff00ff00ff00ff
)

// New is the checksum of nothing.
const New uint32 = 1

// Checksum returns the checksum of p.
func Checksum(p []byte) uint32 { return Update(New, p) }

// Update returns the checksum of what sum is the checksum of, followed by p.
func Update(sum uint32, p []byte) uint32 {
	a, b := uint64(sum&0xffff), uint64(sum>>16)
	for len(p) > 0 {
		part := p[:min(len(p), chunk)]
		p = p[len(part):]
		for len(part) >= 8 {
			n := min(len(part)&^7, block)
			a, b = addWords(a, b, part[:n])
			part = part[n:]
		}
		for _, x := range part {
			a += uint64(x)
			b += a
		}
		a, b = a%mod, b%mod
	}
	return uint32(b<<16 | a)
}

// addWords adds up to a block of words to the sums a, of the bytes, and b, of all values that a
// passes through. In b the bytes of a word count eight times for each later word, and besides by
// their place in their own word: 8 for the first to 1 for the last.
func addWords(a, b uint64, p []byte) (uint64, uint64) {
	b += uint64(len(p)) * a
	var even, odd, evenBefore, oddBefore uint64
	for ; len(p) >= 16; p = p[16:] {
		x, y := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
		xEven, xOdd := x&lanes, x>>8&lanes
		evenBefore += 2*even + xEven
		oddBefore += 2*odd + xOdd
		even += xEven + y&lanes
		odd += xOdd + y>>8&lanes
	}
	if len(p) >= 8 {
		x := binary.LittleEndian.Uint64(p)
		evenBefore += even
		oddBefore += odd
		even += x & lanes
		odd += x >> 8 & lanes
	}
	e0, e1, e2, e3 := split(even)
	o0, o1, o2, o3 := split(odd)
	b += 8*(sum(evenBefore)+sum(oddBefore)) +
		8*e0 + 7*o0 + 6*e1 + 5*o1 + 4*e2 + 3*o2 + 2*e3 + o3
	a += e0 + e1 + e2 + e3 + o0 + o1 + o2 + o3
	return a, b
}

// split returns the lanes, the first byte's first.
func split(v uint64) (l0, l1, l2, l3 uint64) {
	return v & 0xffff, v >> 16 & 0xffff, v >> 32 & 0xffff, v >> 48
}

func sum(v uint64) uint64 {
	l0, l1, l2, l3 := split(v)
	return l0 + l1 + l2 + l3
}
