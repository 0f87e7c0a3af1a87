package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"zkafka/zkd/adler"
	"zkafka/zkd/disk"
)

// seal ends every section of a snapshot: the checksum of all bytes before it and the string "/".
const (
	sealSize = 8 + 4 + 1
	sealText = "\x00\x00\x00\x01/"
)

// verify reads a snapshot file and checks that its last seal fits everything before it, without
// building the tree.
func verify(ctx context.Context, fsys disk.FS, path string, codec Codec) error {
	f, err := open(fsys, path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	r, err := decompress(f, codec)
	if err != nil {
		return &CorruptError{File: path, Reason: err.Error()}
	}
	sum, size, end, err := sumUp(ctx, r)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && codec != Plain:
		return &CorruptError{File: path, Offset: size, Reason: err.Error()}
	case err != nil:
		return fmt.Errorf("read snapshot: %w", err)
	case len(end) < sealSize || !bytes.HasSuffix(end, []byte(sealText)):
		return &CorruptError{File: path, Offset: size, Reason: "the file ends early"}
	case binary.BigEndian.Uint64(end) != uint64(sum):
		return &CorruptError{File: path, Offset: size, Reason: "the checksum is wrong"}
	}
	return nil
}

// open opens a snapshot file so that what is read of it is on the disk: Apache's servers do not
// sync what they write.
func open(fsys disk.FS, path string) (disk.File, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	if err := disk.Settle(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("settle a snapshot before it is read: %w", err)
	}
	return f, nil
}

// sumUp reads to the end. It returns the last bytes, which may be a seal, and the checksum and
// number of those before.
func sumUp(
	ctx context.Context, r io.Reader,
) (sum uint32, size int64, end []byte, err error) {
	buf := make([]byte, 256<<10)
	sum = adler.New
	n := 0
	for {
		if err := ctx.Err(); err != nil {
			return sum, size, nil, err
		}
		m, err := r.Read(buf[n:])
		n += m
		if n > sealSize {
			sum = adler.Update(sum, buf[:n-sealSize])
			size += int64(n - sealSize)
			n = copy(buf, buf[n-sealSize:n])
		}
		if errors.Is(err, io.EOF) {
			return sum, size, buf[:n], nil
		}
		if err != nil {
			return sum, size, nil, err
		}
	}
}
