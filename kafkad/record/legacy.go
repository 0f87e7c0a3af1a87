package record

import (
	"encoding/binary"
	"hash/crc32"
)

// Messages of formats v0 and v1, the only ones before Kafka 0.11:
//
//	 0        8      12     16 17 18          (v1 only)
//	┌────────┬──────┬──────┬──┬──┬───────────┬─────────┬─────┬───────────┬───────┐
//	│ offset │ size │CRC-32│v │at│ timestamp │ key len │ key │ value len │ value │
//	│        │ -12  │of 16+│  │  │           │ or -1   │     │ or -1     │       │
//	└────────┴──────┴──────┴──┴──┴───────────┴─────────┴─────┴───────────┴───────┘
//
// A compressed set is the value of a wrapper message that carries the offset of the last inner one.
// Inner offsets are absolute in v0, counted from 0 in v1.

// decodeLegacy reads one whole message.
func (r *Record) decodeLegacy(b []byte, m *Meta) error {
	r.Offset, r.Timestamp, r.Headers = m.BaseOffset, m.MaxTimestamp, nil
	b = b[18:]
	if m.Magic == 1 {
		b = b[8:]
	}
	var ok bool
	if r.Key, b, ok = legacyField(b); !ok {
		return errorf(Corrupt, "bad key length in message %d", m.BaseOffset)
	}
	if r.Value, b, ok = legacyField(b); !ok || len(b) != 0 {
		return errorf(Corrupt, "bad value length in message %d", m.BaseOffset)
	}
	return nil
}

func legacyField(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	l := int32(binary.BigEndian.Uint32(b))
	b = b[4:]
	if l < -1 || int(l) > len(b) {
		return nil, nil, false
	}
	if l == -1 {
		return nil, b, true
	}
	return b[:l:l], b[l:], true
}

func eachLegacy(entry []byte, m *Meta, fn func(m *Meta, r *Record) error) error {
	var r Record
	if err := r.decodeLegacy(entry, m); err != nil {
		return err
	}
	if m.Codec() == None {
		return fn(m, &r)
	}
	if r.Value == nil {
		return errorf(InvalidRecord, "compressed message %d without value", m.BaseOffset)
	}
	set, err := Decompress(m.Codec(), m.Magic, r.Value)
	if err != nil {
		return err
	}
	shift, err := innerShift(set, m)
	if err != nil {
		return err
	}
	n, err := Walk(set, func(inner []byte, im *Meta) error {
		if im.Magic != m.Magic || im.Codec() != None {
			return errorf(InvalidRecord, "message %d wraps one of format %d, codec %s",
				m.BaseOffset, im.Magic, im.Codec())
		}
		if err := r.decodeLegacy(inner, im); err != nil {
			return err
		}
		r.Offset += shift
		if m.LogAppendTime() {
			r.Timestamp = m.MaxTimestamp
		}
		return fn(m, &r)
	})
	if err == nil && n != len(set) {
		err = errorf(InvalidRecord, "%d stray bytes in message %d", len(set)-n, m.BaseOffset)
	}
	return err
}

// innerShift is what must be added to the offsets inside a wrapper to make them absolute.
func innerShift(set []byte, m *Meta) (int64, error) {
	last := int64(-1)
	if _, err := Walk(set, func(_ []byte, im *Meta) error {
		last = im.BaseOffset
		return nil
	}); err != nil {
		return 0, err
	}
	if last < 0 {
		return 0, errorf(InvalidRecord, "message %d wraps nothing", m.BaseOffset)
	}
	if m.Magic == 0 {
		return 0, nil
	}
	return m.BaseOffset - last, nil
}

// appendLegacy appends one message with its checksum.
func appendLegacy(dst []byte, magic int8, attributes byte, r *Record) []byte {
	be := binary.BigEndian
	start := len(dst)
	dst = be.AppendUint64(dst, uint64(r.Offset))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, byte(magic), attributes)
	if magic == 1 {
		dst = be.AppendUint64(dst, uint64(r.Timestamp))
	}
	dst = appendLegacyField(dst, r.Key)
	dst = appendLegacyField(dst, r.Value)
	msg := dst[start:]
	be.PutUint32(msg[8:], uint32(len(msg)-LogOverhead))
	be.PutUint32(msg[12:], crc32.ChecksumIEEE(msg[16:]))
	return dst
}

func appendLegacyField(dst, v []byte) []byte {
	if v == nil {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
	return append(dst, v...)
}
