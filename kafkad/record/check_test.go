package record

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// compressed makes a batch of the records of builtSet with any header.
func compressed(t *testing.T, c Codec, change func(Batch)) []byte {
	t.Helper()
	b := NewBuilder(c, Levels{})
	b.Add(1000, []byte("k"), []byte("v"), nil)
	b.Add(2000, nil, []byte("v"), nil)
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	change(batch)
	batch.FixCRC()
	return batch
}

// What a header claims of the records' times is made true, whatever the codec: the highest one,
// that they are the client's, and no attribute without a meaning beside them.
func TestCheckSettlesTimes(t *testing.T) {
	for _, c := range []Codec{None, Gzip, Snappy, LZ4, Zstd} {
		for name, change := range map[string]func(Batch){
			"too high":   func(b Batch) { binary.BigEndian.PutUint64(b[35:], 1<<40) },
			"too low":    func(b Batch) { binary.BigEndian.PutUint64(b[35:], 7) },
			"attributes": func(b Batch) { b[21], b[36] = 0x40, 1 },
		} {
			set, err := Check(compressed(t, c, change), &Rules{Compression: Producer})
			if err != nil || set.Converted {
				t.Fatalf("%s, %s: %v", c, name, err)
			}
			if got := set.Batch; got.MaxTimestamp() != 2000 || got.Attributes() != int16(c) ||
				got.CheckCRC() != nil {
				t.Errorf("%s, %s: highest time %d, attributes %x, %v", c, name, got.MaxTimestamp(),
					got.Attributes(), got.CheckCRC())
			}
		}
		// All records of a batch that claims the broker's time have that time.
		set, err := Check(compressed(t, c, func(b Batch) { b[22] |= attrLogAppendTime }),
			&Rules{Compression: Producer, BeforeMaxMs: 10, NowMs: 2005})
		if err != nil || set.Batch.LogAppendTime() {
			t.Errorf("%s: timestamp type is not the topic's: %v", c, err)
		}
	}
}

// Compressed records are looked at like others.
func TestCheckOpensCompressed(t *testing.T) {
	for _, c := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		cut := compressed(t, c, func(Batch) {})
		cut = cut[:len(cut)-9]
		binary.BigEndian.PutUint32(cut[8:], uint32(len(cut)-LogOverhead))
		Batch(cut).FixCRC()
		for name, set := range map[string][]byte{
			"cut":   cut,
			"count": compressed(t, c, func(b Batch) { b[26], b[60] = 2, 3 }),
			"codec": compressed(t, c, func(b Batch) { b[22] = 7 }),
		} {
			if _, err := Check(set, &Rules{Compression: Producer}); KindOf(err) != Unreadable &&
				KindOf(err) != InvalidRecord {
				t.Errorf("%s, %s: %v", c, name, err)
			}
		}
	}
}

// Messages of the old formats within a wrapper have checksums, formats and codecs of their own.
func TestCheckOfWrappedMessages(t *testing.T) {
	for magic := int8(0); magic <= 1; magic++ {
		for name, tc := range map[string]struct {
			change func([]byte)
			want   Kind
		}{
			"good":     {func([]byte) {}, 0},
			"checksum": {func(b []byte) { b[15] ^= 1 }, Corrupt},
			"format":   {func([]byte) {}, InvalidRecord},
			"codec":    {func(b []byte) { b[17] = 1 }, InvalidRecord},
			"nonsense": {func(b []byte) { b[17] = 7 }, Unreadable},
			"size":     {func(b []byte) { b[11] = 3 }, Corrupt},
		} {
			inner := appendLegacy(nil, magic, 0, &Record{Value: []byte("a value")})
			if name == "format" {
				inner = appendLegacy(nil, 1-magic, 0, &Record{Value: []byte("a value")})
			}
			tc.change(inner)
			value, err := Compress(nil, Gzip, magic, Levels{}, inner)
			if err != nil {
				t.Fatal(err)
			}
			set := appendLegacy(nil, magic, byte(Gzip), &Record{Value: value})
			if _, err := Check(set, &Rules{Compression: Producer}); KindOf(err) != tc.want {
				t.Errorf("format %d, %s: %v, want %v", magic, name, err, tc.want)
			}
		}
	}
}

// What the request's version asks for comes first, and some of it is the whole request's fault.
func TestCheckRequest(t *testing.T) {
	good := builtSet(t, nil)
	zstd := compressed(t, Zstd, func(Batch) {})
	strange := builtSet(t, func(b Batch) { b[22] = 6 })
	short := bytes.Clone(good[:45])
	binary.BigEndian.PutUint32(short[8:], uint32(len(short)-LogOverhead))
	for name, tc := range map[string]struct {
		set     []byte
		version int16
		want    Kind
	}{
		"good":           {good, 3, 0},
		"nothing":        {nil, 3, InvalidRecord},
		"nothing of old": {nil, 2, 0},
		"two":            {append(bytes.Clone(good), good...), 3, InvalidRecord},
		"two of old":     {append(bytes.Clone(good), good...), 2, 0},
		"cut behind":     {append(bytes.Clone(good), good[:20]...), 3, 0},
		"junk behind":    {append(bytes.Clone(good), make([]byte, 20)...), 3, Corrupt},
		"zstd":           {zstd, 6, UnsupportedCompression},
		"zstd of today":  {zstd, 7, 0},
		"codec":          {strange, 6, UnreadableRequest},
		"codec of today": {strange, 7, 0},
		"short":          {short, 9, UnreadableRequest},
	} {
		if err := CheckRequest(tc.set, tc.version); KindOf(err) != tc.want {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if err := Readable(append(bytes.Clone(good), make([]byte, 20)...), true); KindOf(err) != Corrupt {
		t.Errorf("junk behind a batch: %v", err)
	}
	if err := Readable(append(bytes.Clone(good), make([]byte, 20)...), false); err != nil {
		t.Errorf("the first entry alone: %v", err)
	}
}
