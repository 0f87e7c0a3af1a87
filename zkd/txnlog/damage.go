package txnlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"zkafka/zkd/adler"
)

// A file that breaks somewhere was either cut short by the power, which costs nothing, as what was
// not synced was not acknowledged, or it is damaged, and then what is behind the place counts. The
// two are told apart by what the disk can have done:
//
//   - Only one batch is not synced, at the end of the newest file.
//   - Of a batch each sector is new or old, in any combination. Old are zeros: files grow by zeros
//     and are never appended to by a later run.
//   - A batch may come in several writes, and a sector may have seen the first ones only. They end
//     behind a record, or where Apache's buffer is full, which is between the parts of one.
//
// So a torn batch breaks at a record that misses a sector: there are zeros from the beginning of
// the record, of one of its parts, or of the sector, to the end of the sector. Whole records may
// follow, in sectors that arrived. A broken record that has all its sectors, and whole records
// behind it, is damage. One with nothing whole behind it is taken for a torn one.

// sector is the least that a disk writes as a whole.
const sector = 512

// window is how much is searched at a time.
const window = 128 << 10

var zeros [2 * window]byte

// whole is a whole record.
type whole struct {
	off  int64 // 0: there is none
	zxid int64
}

// wholeBehind finds the first whole record, of a later zxid, behind the place where the file ends
// or breaks.
func (l *logFile) wholeBehind() (whole, error) {
	const head = recordHead + minTxn // what is looked at before the checksum
	buf := make([]byte, max(min(window+head, l.size-l.off), 0))
	for at := l.off + 1; at+head < l.size; at += window {
		n, err := l.readAt(buf, at)
		if err != nil {
			return whole{}, err
		}
		if bytes.Equal(buf[:n], zeros[:n]) {
			continue // as all that is allocated ahead
		}
		for i := 0; i < min(window, n-head); i++ {
			if binary.BigEndian.Uint32(buf[i:]) != 0 {
				continue // the upper half of a checksum
			}
			if binary.BigEndian.Uint32(buf[i+8:]) == 0 {
				i += skipZeros(buf[i:n])
				continue
			}
			zxid := zxidOf(buf[i+recordHead:])
			if !l.plausible(zxid) {
				continue
			}
			ok, err := l.wholeAt(at+int64(i), buf[i:i+recordHead])
			if ok || err != nil {
				return whole{at + int64(i), zxid}, err
			}
		}
	}
	return whole{}, nil
}

// skipZeros is how many places can be passed over because a record that begins there would have no
// length.
func skipZeros(b []byte) int {
	n := 0
	for n < len(b) && b[n] == 0 {
		n++
	}
	return max(n-recordHead, 0)
}

// plausible tells whether a zxid can follow the last one. Behind an election the upper half is
// higher, by one for each attempt.
func (l *logFile) plausible(zxid int64) bool {
	const manyEpochs = 1 << 16
	return zxid > l.last && zxid>>32-l.last>>32 < manyEpochs
}

func (l *logFile) wholeAt(off int64, head []byte) (bool, error) {
	length := int64(int32(binary.BigEndian.Uint32(head[8:])))
	if length < minTxn || length > MaxRecordBytes || off+recordHead+length+1 > l.size {
		return false, nil
	}
	var mark [1]byte // first, as it costs little
	if _, err := l.readAt(mark[:], off+recordHead+length); err != nil || mark[0] != endMark {
		return false, err
	}
	data := make([]byte, length)
	if _, err := l.readAt(data, off+recordHead); err != nil {
		return false, err
	}
	return uint64(adler.Checksum(data)) == binary.BigEndian.Uint64(head), nil
}

// readAt reads up to the end of the file; what would be behind it is zero.
func (l *logFile) readAt(b []byte, off int64) (int, error) {
	n, err := l.f.ReadAt(b, off)
	clear(b[n:])
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("read transaction log: %w", err)
	}
	return n, nil
}

// holed tells whether a power cut explains that the file breaks at off and has a whole record
// behind it: the broken record then misses a sector that makes a difference.
func (l *logFile) holed(next whole) (bool, error) {
	if l.torn == tearHeader {
		return l.missing(0, headerSize, 0)
	}
	record := make([]byte, next.off-l.off)
	if _, err := l.readAt(record, l.off); err != nil {
		return false, err
	}
	// The first four bytes of a record are always zero: without them it would be none the worse.
	const upperSum = 4
	from, to := int64(upperSum), int64(len(record))
	if len(record) > recordHead {
		sum := binary.BigEndian.Uint64(record)
		length := int64(int32(binary.BigEndian.Uint32(record[8:])))
		if length < 0 || length > MaxRecordBytes {
			return false, nil // a missing sector makes a length smaller, if anything
		}
		to = min(to, recordHead+length+1)
		switch {
		case wrongBits(record[recordHead:], sum) == 0:
			// With the next record as its end the record is whole, but for its length.
			from, to = 8, recordHead
		case wrongBits(record[recordHead:to], sum) == 1:
			return false, nil // whole but for a bit of the checksum
		}
	}
	parts := []int64{l.off, l.off + 8, l.off + recordHead, l.off + to - 1}
	return l.missing(l.off+from, l.off+to, parts...)
}

// wrongBits counts in what a checksum differs from that of a transaction with its end mark; many
// when there is no such transaction.
func wrongBits(data []byte, sum uint64) int {
	n := len(data) - 1
	if n < minTxn || data[n] != endMark {
		return 64
	}
	return bits.OnesCount64(uint64(adler.Checksum(data[:n])) ^ sum)
}

// missing tells whether the disk misses one of the sectors that [from, to) touches, all of it that
// is not before the first of parts, or what is behind the beginning of one of these.
func (l *logFile) missing(from, to int64, parts ...int64) (bool, error) {
	var b [sector]byte
	for at := from / sector * sector; at < to; at += sector {
		if _, err := l.readAt(b[:], at); err != nil {
			return false, err
		}
		end := len(b) // of what is not zero
		for end > 0 && b[end-1] == 0 {
			end--
		}
		if end == 0 {
			return true, nil
		}
		for _, part := range parts {
			if at+int64(end) <= part && part < min(at+sector, to) {
				return true, nil
			}
		}
	}
	return false, nil
}

// examine looks at how the newest file ends. It tells whether something is to be cut off, and what
// of it is whole, and fails with a *CorruptError when no power cut leaves such an end.
func (l *logFile) examine() (cut bool, next whole, err error) {
	next, err = l.wholeBehind()
	if err != nil {
		return false, next, err
	}
	if next.off == 0 {
		return l.torn != tearNone, next, nil
	}
	cut, err = l.holed(next)
	if err != nil || cut {
		return cut, next, err
	}
	return false, next, l.corrupt(l.followed(next))
}

// doubtful tells whether the last record, with nothing whole behind it, breaks in a way that no
// power cut explains: it may have been acknowledged.
func (l *logFile) doubtful() (bool, error) {
	switch l.torn {
	case tearLength:
		return true, nil
	case tearSum:
		holed, err := l.holed(whole{off: l.off + recordHead + int64(len(l.buf))})
		return !holed, err
	case tearNone, tearRecord, tearHeader:
	}
	return false, nil
}

func (l *logFile) followed(next whole) string {
	reason := l.reason
	if l.torn == tearNone {
		reason = "there is no record"
	}
	return fmt.Sprintf("%s, and behind it, at offset %d, a whole record follows (zxid 0x%x)",
		reason, next.off, next.zxid)
}

// passedOn judges the end of a file that is not the newest. The next one begins with a zxid. When
// it goes on where this one ends, nothing is missing, whatever the end looks like: Apache's servers
// leave a torn tail where it is and begin a new file behind it. Transactions that are missing
// between whole files are not for this function to judge.
func (l *logFile) passedOn(zxid int64) error {
	if zxid <= l.last+1 {
		return nil
	}
	next, err := l.wholeBehind()
	if err != nil {
		return err
	}
	if next.off > 0 && next.zxid < zxid {
		return l.corrupt(l.followed(next))
	}
	newEpoch := zxid>>32 != l.last>>32
	if l.torn == tearNone || l.torn == tearRecord && newEpoch {
		return nil
	}
	return l.corrupt(fmt.Sprintf("%s, and the next file goes on at zxid 0x%x", l.reason, zxid))
}
