package snapshot

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"

	"zkafka/zkd/disk"
	"zkafka/zkd/tree"
)

// Codec is how a snapshot file is compressed. Upstream's servers since 3.6 can be told to compress;
// zkd reads all of it and writes none.
type Codec uint8

// The codecs.
const (
	Plain Codec = iota
	Gzip
	Snappy
)

// String gives upstream's name.
func (c Codec) String() string {
	return [...]string{"none", "gz", "snappy"}[c]
}

// CorruptError says that a snapshot file cannot be used.
type CorruptError struct {
	File   string
	Offset int64 // in the uncompressed content
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("snapshot %s is corrupt at offset %d: %s", e.File, e.Offset, e.Reason)
}

// Read loads a snapshot file, as the disk has it. The tree awaits BeginReplay with the zxid of the
// name.
func Read(fsys disk.FS, path string, codec Codec) (*tree.Tree, error) {
	f, err := open(fsys, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r, err := decompress(f, codec)
	if err != nil {
		return nil, &CorruptError{File: path, Reason: err.Error()}
	}
	t, err := tree.Decode(r)
	if err == nil {
		return t, nil
	}
	var format *tree.FormatError
	switch {
	case errors.As(err, &format):
		return nil, &CorruptError{File: path, Offset: format.Offset, Reason: format.Reason}
	case codec != Plain:
		return nil, &CorruptError{File: path, Reason: err.Error()}
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

func decompress(r io.Reader, codec Codec) (io.Reader, error) {
	switch codec {
	case Gzip:
		return gzip.NewReader(r)
	case Snappy:
		return newXerialReader(r)
	case Plain:
	}
	return r, nil
}

// xerialMagic begins the files of snappy-java, which frames raw snappy blocks in its own way: two
// version numbers behind the magic, then a length before each block.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const maxSnappyBlock = 64 << 20

type xerialReader struct {
	r     *bufio.Reader
	in    []byte
	block []byte
	rest  []byte
}

func newXerialReader(r io.Reader) (*xerialReader, error) {
	x := &xerialReader{r: bufio.NewReader(r)}
	var head [16]byte
	if _, err := io.ReadFull(x.r, head[:]); err != nil {
		return nil, fmt.Errorf("read the header of the compression: %w", err)
	}
	if !bytes.Equal(head[:8], xerialMagic) {
		return nil, fmt.Errorf("the file begins with %x, not as snappy-java writes", head[:8])
	}
	return x, nil
}

func (x *xerialReader) Read(b []byte) (int, error) {
	for len(x.rest) == 0 {
		if err := x.nextBlock(); err != nil {
			return 0, err
		}
	}
	n := copy(b, x.rest)
	x.rest = x.rest[n:]
	return n, nil
}

func (x *xerialReader) nextBlock() error {
	var head [4]byte
	if _, err := io.ReadFull(x.r, head[:]); err != nil {
		return err // io.EOF between blocks is the end
	}
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n <= 0 || n > maxSnappyBlock {
		return fmt.Errorf("a compressed block of %d bytes", n)
	}
	if cap(x.in) < n {
		x.in = make([]byte, n)
	}
	x.in = x.in[:n]
	if _, err := io.ReadFull(x.r, x.in); err != nil {
		return err
	}
	size, err := s2.DecodedLen(x.in)
	if err != nil || size > maxSnappyBlock {
		return fmt.Errorf("a block of %d bytes: %w", size, errors.Join(err, errBlock))
	}
	if cap(x.block) < size {
		x.block = make([]byte, size)
	}
	x.rest, err = s2.Decode(x.block[:size], x.in)
	return err
}

var errBlock = errors.New("cannot be decompressed")
