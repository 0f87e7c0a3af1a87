package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// MaxInflated bounds what one batch may decompress to. Clients build batches of at most a few
// megabytes; more than this is an attack or garbage.
const MaxInflated = 128 << 20

var (
	errInflated = errors.New("decompresses to more than is allowed")
	errSnappy   = errors.New("bad snappy framing")

	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Readers  = sync.Pool{New: func() any { return lz4.NewReader(nil) }}

	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxInflated))
		if err != nil {
			panic(err) // the options are constants
		}
		return d
	})
	zstdEncoders sync.Map // zstd.EncoderLevel -> *zstd.Encoder
)

// Decompress returns what src holds. magic selects the reading of lz4: clients of format v0 wrote a
// wrong header checksum. None returns src itself.
func Decompress(c Codec, magic int8, src []byte) ([]byte, error) {
	out, err := decompress(nil, c, magic, src)
	if err != nil {
		if KindOf(err) != 0 {
			return nil, err
		}
		return nil, errorf(Corrupt, "%s: %v", c, err)
	}
	return out, nil
}

// decompress appends what src holds to dst, which is empty, using its room; it returns src itself
// if there is no codec.
func decompress(dst []byte, c Codec, magic int8, src []byte) ([]byte, error) {
	switch c {
	case None:
		return src, nil
	case Gzip:
		r := gzipReaders.Get().(*gzip.Reader)
		defer gzipReaders.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return nil, err
		}
		return readAll(dst, r, len(src))
	case Snappy:
		return unsnap(dst, src)
	case LZ4:
		if magic == 0 {
			src = fixLZ4Checksum(src)
		}
		r := lz4Readers.Get().(*lz4.Reader)
		defer lz4Readers.Put(r)
		r.Reset(bytes.NewReader(src))
		return readAll(dst, r, len(src))
	case Zstd:
		if magic < 2 {
			return nil, errorf(UnsupportedCompression, "zstd in a message of format %d", magic)
		}
		return zstdDecoder().DecodeAll(src, dst)
	}
	return nil, errorf(Corrupt, "unknown codec %d", c)
}

func readAll(out []byte, r io.Reader, compressed int) ([]byte, error) {
	if cap(out) == 0 {
		out = make([]byte, 0, min(4*compressed+512, 4<<20))
	}
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if len(out) > MaxInflated {
			return nil, errInflated
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// xerialMagic starts the framing of snappy-java, which Kafka's Java clients write; librdkafka and
// others send the same or one raw block.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeader = 16
	xerialBlock  = 32 << 10
)

func unsnap(out, src []byte) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) {
		return unsnapBlock(out, src)
	}
	if len(src) < xerialHeader {
		return nil, errSnappy
	}
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			break // no length, no block: upstream takes it for the end
		}
		if bytes.HasPrefix(src, xerialMagic) && len(src) >= xerialHeader {
			src = src[xerialHeader:] // streams may be concatenated
			continue
		}
		n := int64(binary.BigEndian.Uint32(src))
		if n > int64(len(src)-4) {
			return nil, errSnappy
		}
		var err error
		if out, err = unsnapBlock(out, src[4:4+n]); err != nil {
			return nil, err
		}
		src = src[4+n:]
	}
	return out, nil
}

func unsnapBlock(out, block []byte) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	// snappy cannot do better than about 21 to 1, so a larger claim is a lie that costs memory
	if n > 64*len(block)+64 || len(out)+n > MaxInflated {
		return nil, errInflated
	}
	if cap(out)-len(out) < n {
		grown := make([]byte, len(out), max(len(out)+n, 2*cap(out)))
		copy(grown, out)
		out = grown
	}
	got, err := s2.Decode(out[len(out):len(out)+n:len(out)+n], block)
	if err != nil {
		return nil, err
	}
	return append(out, got...), nil
}

// Levels are the compression levels of a topic; zero means the default.
type Levels struct{ Gzip, LZ4, Zstd int }

// Compress appends src, compressed, to dst. magic 0 gets the wrong lz4 header checksum that its
// readers expect.
func Compress(dst []byte, c Codec, magic int8, level Levels, src []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return deflate(dst, level.Gzip, src)
	case Snappy:
		return snap(dst, src), nil
	case LZ4:
		return compressLZ4(dst, magic, level.LZ4, src)
	case Zstd:
		return zstdEncoder(level.Zstd).EncodeAll(src, dst), nil
	}
	return nil, errorf(UnsupportedCompression, "%s", c)
}

type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func deflate(dst []byte, level int, src []byte) ([]byte, error) {
	if level == 0 {
		level = gzip.DefaultCompression
	}
	a := appender{dst}
	w, err := gzip.NewWriterLevel(&a, level)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	err = w.Close()
	return a.b, err
}

func snap(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	var block []byte
	for len(src) > 0 {
		n := min(len(src), xerialBlock)
		block = s2.EncodeSnappy(block[:cap(block)], src[:n])
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(block)))
		dst = append(dst, block...)
		src = src[n:]
	}
	return dst
}

func compressLZ4(dst []byte, magic int8, level int, src []byte) ([]byte, error) {
	start := len(dst)
	a := appender{dst}
	w := lz4.NewWriter(&a)
	opts := []lz4.Option{lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false),
		lz4.ConcurrencyOption(1)}
	if level > 9 { // up to 9, the default, upstream's compressor is the fast one too
		opts = append(opts, lz4.CompressionLevelOption(lz4.Level9))
	}
	if err := w.Apply(opts...); err != nil {
		return nil, err
	}
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if magic == 0 {
		frame := a.b[start:]
		if n := lz4Descriptor(frame); n > 0 {
			frame[n] = byte(xxh32(frame[:n]) >> 8)
		}
	}
	return a.b, nil
}

func zstdEncoder(level int) *zstd.Encoder {
	l := zstd.SpeedDefault
	if level != 0 {
		l = zstd.EncoderLevelFromZstd(level)
	}
	if e, ok := zstdEncoders.Load(l); ok {
		return e.(*zstd.Encoder)
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(l), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	got, _ := zstdEncoders.LoadOrStore(l, e)
	return got.(*zstd.Encoder)
}

// lz4Descriptor returns the index of the header checksum byte of an LZ4 frame, 0 if it is none.
func lz4Descriptor(frame []byte) int {
	if len(frame) < 7 || binary.LittleEndian.Uint32(frame) != 0x184D2204 {
		return 0
	}
	n := 6
	if frame[4]&0x08 != 0 { // content size
		n += 8
	}
	if len(frame) <= n {
		return 0
	}
	return n
}

// fixLZ4Checksum returns the frame with the header checksum of the LZ4 specification. Writers of
// format v0 computed it over the magic number too (KAFKA-3160).
func fixLZ4Checksum(frame []byte) []byte {
	n := lz4Descriptor(frame)
	if n == 0 {
		return frame
	}
	right := byte(xxh32(frame[4:n]) >> 8)
	if frame[n] == right {
		return frame
	}
	fixed := bytes.Clone(frame)
	fixed[n] = right
	return fixed
}

// xxh32 is the 32-bit xxHash with seed 0, needed for the few bytes of an LZ4 frame header.
func xxh32(b []byte) uint32 {
	const p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
	n := uint32(len(b))
	var h uint32 = p5
	if len(b) >= 16 {
		v := [4]uint32{0, p2, 0, 0}
		v[0], v[3] = v[0]+p1, v[3]-p1
		v[0] += p2
		for ; len(b) >= 16; b = b[16:] {
			for i := range v {
				v[i] = bits.RotateLeft32(v[i]+binary.LittleEndian.Uint32(b[4*i:])*p2, 13) * p1
			}
		}
		h = bits.RotateLeft32(v[0], 1) + bits.RotateLeft32(v[1], 7) +
			bits.RotateLeft32(v[2], 12) + bits.RotateLeft32(v[3], 18)
	}
	h += n
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*p3, 17) * p4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*p5, 11) * p1
	}
	h = (h ^ h>>15) * p2
	h = (h ^ h>>13) * p3
	return h ^ h>>16
}
