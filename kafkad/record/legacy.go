package record

import (
	"encoding/binary"
	"fmt"
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

// decodeLegacy reads one whole message. Bytes behind the value belong to nobody, and are let be as
// upstream lets them.
func (r *Record) decodeLegacy(b []byte, m *Meta) error {
	r.Offset, r.Timestamp, r.Headers = m.BaseOffset, m.MaxTimestamp, nil
	b = b[18:]
	if m.Magic != 0 {
		b = b[8:]
	}
	var ok bool
	if r.Key, b, ok = legacyField(b); !ok {
		return errorf(Unreadable, "bad key length in message %d", m.BaseOffset)
	}
	if r.Value, _, ok = legacyField(b); !ok {
		return errorf(Unreadable, "bad value length in message %d", m.BaseOffset)
	}
	return nil
}

func legacyField(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	l := int32(binary.BigEndian.Uint32(b))
	b = b[4:]
	if int(l) > len(b) {
		return nil, nil, false
	}
	if l < 0 {
		return nil, b, true
	}
	return b[:l:l], b[l:], true
}

// legacyChecksum compares a message with its checksum.
func legacyChecksum(b []byte) error {
	if got, want := crc32.ChecksumIEEE(b[16:]), binary.BigEndian.Uint32(b[12:]); got != want {
		return errorf(Corrupt, "message checksum %08x, stored %08x", got, want)
	}
	return nil
}

func eachLegacy(entry []byte, m *Meta, fn func(m *Meta, r *Record) error) error {
	var r Record
	if err := r.decodeLegacy(entry, m); err != nil {
		return err
	}
	if m.Codec() == None {
		return fn(m, &r)
	}
	set, err := unwrap(m, r.Value)
	if err != nil {
		return err
	}
	shift, err := innerShift(set, m)
	if err != nil {
		return err
	}
	return eachInner(set, func(inner []byte, im *Meta) error {
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
}

// unwrap returns the set of messages in the value of a wrapper.
func unwrap(m *Meta, value []byte) ([]byte, error) {
	if value == nil {
		return nil, errorf(InvalidRecord, "compressed message %d without value", m.BaseOffset)
	}
	if m.Codec() == Zstd {
		return nil, errorf(InvalidRecord, "zstd in a message of format %d", m.Magic)
	}
	set, err := Decompress(m.Codec(), m.Magic, value)
	if err != nil {
		return nil, errorf(Unreadable, "message %d: %v", m.BaseOffset, err)
	}
	return set, nil
}

// eachInner calls fn for every whole message of a decompressed set; what is cut off at its end does
// not count, as upstream.
func eachInner(set []byte, fn func(inner []byte, im *Meta) error) error {
	for len(set) >= LogOverhead {
		size := EntrySize(set)
		if size < minSizeV0 {
			return errorf(Corrupt, "message of %d bytes in a wrapper", size-LogOverhead)
		}
		if size > len(set) {
			return nil
		}
		im, err := innerMeta(set[:size])
		if err != nil {
			return err
		}
		if err := fn(set[:size:size], &im); err != nil {
			return err
		}
		set = set[size:]
	}
	return nil
}

// innerMeta reads the header of a message in a wrapper, of whatever offset and format.
func innerMeta(b []byte) (Meta, error) {
	m := Meta{BaseOffset: int64(binary.BigEndian.Uint64(b)), Size: len(b), Magic: int8(b[16]),
		Attributes: int16(b[17]), LeaderEpoch: -1, MaxTimestamp: NoTimestamp,
		ProducerID: NoProducerID, Epoch: -1, BaseSequence: NoSequence}
	m.LastOffset = m.BaseOffset
	if m.Magic != 0 {
		if len(b) < minSizeV1 {
			return m, errorf(Unreadable, "message of %d bytes in a wrapper", len(b)-LogOverhead)
		}
		m.MaxTimestamp = int64(binary.BigEndian.Uint64(b[18:]))
	}
	return m, nil
}

// innerShift is what must be added to the offsets inside a wrapper to make them absolute. A wrapper
// with offset 0 may be of a client that never set it.
func innerShift(set []byte, m *Meta) (int64, error) {
	last, any := int64(0), false
	if err := eachInner(set, func(_ []byte, im *Meta) error {
		last, any = im.BaseOffset, true
		return nil
	}); err != nil {
		return 0, err
	}
	switch {
	case !any:
		return 0, errorf(InvalidRecord, "message %d wraps nothing", m.BaseOffset)
	case m.Magic == 0 || m.BaseOffset == 0:
		return 0, nil
	case m.BaseOffset < last:
		return 0, errorf(InvalidRecord, "message %d wraps one with offset %d", m.BaseOffset, last)
	}
	return m.BaseOffset - last, nil
}

// message checks a client's message of an old format, with what it wraps.
func (c *checker) message(entry []byte) error {
	m, err := innerMeta(entry)
	if err != nil {
		return err
	}
	var r Record
	if err := r.decodeLegacy(entry, &m); err != nil {
		return err
	}
	if m.Codec() == None {
		c.record(r.Key != nil, m.MaxTimestamp, m.BaseOffset, m.LogAppendTime())
		if c.bad == nil && c.codec == None && c.target == None && m.MaxTimestamp < NoTimestamp {
			// Upstream converts such messages one by one, before it looks at the next.
			return errorf(Unreadable, "timestamp %d", m.MaxTimestamp)
		}
		return nil
	}
	set, err := unwrap(&m, r.Value)
	if err != nil {
		return err
	}
	shift, err := innerShift(set, &m)
	if err != nil {
		return err
	}
	return eachInner(set, func(inner []byte, im *Meta) error {
		switch codec := im.Codec(); {
		case codec > Zstd:
			return errorf(Unreadable, "unknown codec %d in a wrapper", codec)
		case codec != None:
			return errorf(InvalidRecord, "inner messages must not be compressed")
		}
		if im.Magic != m.Magic {
			// Upstream's message shows the record, so that it must be one, in the layout of v1 if
			// the format is unknown.
			if err := r.decodeLegacy(inner, im); err != nil {
				return err
			}
			c.refuse(InvalidRecord, fmt.Sprintf("Record %d's magic does not match outer magic %d in "+
				"topic partition %s-%d", im.BaseOffset, m.Magic, c.rules.Topic, c.rules.Partition))
			c.index++
			return nil
		}
		if err := legacyChecksum(inner); err != nil {
			return err
		}
		if err := r.decodeLegacy(inner, im); err != nil {
			return err
		}
		if m.LogAppendTime() {
			r.Timestamp = m.MaxTimestamp
		}
		c.record(r.Key != nil, r.Timestamp, r.Offset+shift, m.LogAppendTime())
		return nil
	})
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
