package record

// DownConvert rewrites entries for a client that knows formats up to the given magic (0 or 1), as
// Fetch before v4 needs: entries of that format or older pass, control batches are dropped, headers
// and producer ids are lost, offsets stay. Uncompressed records below from are left out. The error
// is an *Error, of kind UnsupportedCompression for zstd.
func DownConvert(b []byte, magic int8, from int64) ([]byte, error) {
	out := make([]byte, 0, len(b))
	_, err := Walk(b, func(entry []byte, m *Meta) error {
		if m.Magic <= magic {
			out = append(out, entry...)
			return nil
		}
		if m.Control() {
			return nil
		}
		if m.Codec() == Zstd {
			return errorf(UnsupportedCompression, "zstd cannot be converted to format %d", magic)
		}
		var err error
		out, err = downConvert(out, entry, m, magic, from)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
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

// rebuild makes one v2 batch of all records in the set, with consecutive offsets.
func rebuild(b []byte, target Codec, r *Rules) (Batch, error) {
	levels := Levels{Gzip: r.GzipLevel, LZ4: r.LZ4Level, Zstd: r.ZstdLevel}
	out := NewBuilder(target, levels)
	first := true
	err := Each(b, func(m *Meta, rec *Record) error {
		if first && m.ProducerID >= 0 {
			out.SetProducer(m.ProducerID, m.Epoch, m.BaseSequence, m.Transactional())
		}
		first = false
		out.Add(rec.Timestamp, rec.Key, rec.Value, rec.Headers)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if out.Len() == 0 {
		return nil, errorf(InvalidRecord, "no record in the set")
	}
	return out.Build()
}
