package record

import (
	"encoding/binary"
	"errors"
)

// DownConvert rewrites entries for a client that knows formats up to the given magic (0 or 1), as
// Fetch before v4 needs: entries of that format or older pass, control batches are dropped, headers
// and producer ids are lost, offsets stay. Uncompressed records below from are left out. The error
// is an *Error, of kind UnsupportedCompression for zstd at the beginning; zstd behind other records
// ends them, so that a client gets those first.
//
// Messages can be larger than the batches they come from. As the client said how much it takes, the
// result is cut to the size of b, or to what came of the first batch, if that is more.
func DownConvert(b []byte, magic int8, from int64) ([]byte, error) {
	out := make([]byte, 0, len(b))
	room := 0
	n, err := Walk(b, func(entry []byte, m *Meta) error {
		var err error
		switch {
		case m.Magic <= magic:
			out = append(out, entry...)
		case m.Control():
			return nil
		case m.Codec() == Zstd && len(out) > 0:
			return errEnough
		case m.Codec() == Zstd:
			return errorf(UnsupportedCompression, "zstd cannot be converted to format %d", magic)
		default:
			out, err = downConvert(out, entry, m, magic, from)
		}
		if room == 0 && len(out) > 0 {
			room = max(len(out), len(b))
		}
		if err == nil && room > 0 && len(out) >= room {
			err = errEnough
		}
		return err
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if len(out) == 0 && n > 0 {
		return appendOverflow(out, len(b)), nil
	}
	if room > 0 {
		out = out[:min(room, len(out))]
	}
	return out, nil
}

// errEnough ends a conversion before the end of what could be converted.
var errEnough = errors.New("enough is converted")

// appendOverflow appends the beginning of a message that does not fit, for a client that could use
// nothing of what was found: nothing at all would mean the end of the log.
func appendOverflow(dst []byte, room int) []byte {
	dst = binary.BigEndian.AppendUint64(dst, 1<<64-1)
	return binary.BigEndian.AppendUint32(dst, uint32(max(room+1, HeaderSize)))
}

func downConvert(out, entry []byte, m *Meta, magic int8, from int64) ([]byte, error) {
	var flag byte
	if m.LogAppendTime() && magic == 1 {
		flag = attrLogAppendTime
	}
	codec := m.Codec()
	if codec == None {
		err := EachOf(entry, m, func(_ *Meta, r *Record) error {
			if r.Offset >= from {
				out = appendLegacy(out, magic, flag, r)
			}
			return nil
		})
		return out, err
	}
	var inner []byte
	wrapper := Record{Offset: -1, Timestamp: NoTimestamp}
	first := int64(-1)
	err := EachOf(entry, m, func(_ *Meta, r *Record) error {
		if first < 0 {
			first = r.Offset
		}
		wrapper.Offset = r.Offset
		wrapper.Timestamp = max(wrapper.Timestamp, r.Timestamp)
		if magic == 1 {
			r.Offset -= first
		}
		inner = appendLegacy(inner, magic, flag, r)
		return nil
	})
	if err != nil || wrapper.Offset < 0 {
		return out, err
	}
	wrapper.Value, err = Compress(nil, codec, magic, Levels{}, inner)
	if err != nil {
		return out, err
	}
	return appendLegacy(out, magic, flag|byte(codec), &wrapper), nil
}

// rebuild makes one v2 batch of all records in a checked set, with consecutive offsets.
func rebuild(b []byte, target Codec, r *Rules) (Batch, error) {
	levels := Levels{Gzip: r.GzipLevel, LZ4: r.LZ4Level, Zstd: r.ZstdLevel}
	out := NewBuilder(target, levels)
	if v := Batch(b); v.Magic() == 2 {
		if id := v.ProducerID(); id != NoProducerID &&
			(v.ProducerEpoch() == -1 || v.BaseSequence() < 0) {
			return nil, errorf(Unreadable, "producer %d with epoch %d and sequence %d", id,
				v.ProducerEpoch(), v.BaseSequence())
		}
		out.SetProducer(v.ProducerID(), v.ProducerEpoch(), v.BaseSequence(), v.Transactional())
	}
	add := func(_ *Meta, rec *Record) error {
		if rec.Timestamp < NoTimestamp {
			return errorf(Unreadable, "timestamp %d", rec.Timestamp)
		}
		out.Add(rec.Timestamp, rec.Key, rec.Value, rec.Headers)
		return nil
	}
	for len(b) > 0 {
		size := EntrySize(b)
		m, err := innerMeta(b[:size])
		switch {
		case err != nil:
		case m.Magic == 2:
			err = Batch(b[:size]).each(&m, add)
		default:
			err = eachLegacy(b[:size], &m, add)
		}
		if err != nil {
			return nil, err
		}
		b = b[size:]
	}
	if out.Len() == 0 {
		return nil, errorf(InvalidRecord, "no record in the set")
	}
	return out.Build()
}
