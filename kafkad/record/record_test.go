package record

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// The golden files are segments of Apache brokers, made by testdata/capture.sh: v0 and v1 by 1.0.0
// with message.format.version, v2 by 3.9.2, each holding the same lines.

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".log")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var goldenNames = []string{"v0-none", "v0-gzip", "v0-snappy", "v0-lz4", "v1-none", "v1-gzip",
	"v1-snappy", "v1-lz4", "v2-none", "v2-gzip", "v2-snappy", "v2-lz4", "v2-zstd"}

type flat struct {
	offset, time int64
	key, value   string
	headers      string
}

func flatten(t testing.TB, b []byte) []flat {
	t.Helper()
	var out []flat
	err := Each(b, func(_ *Meta, r *Record) error {
		f := flat{offset: r.Offset, time: r.Timestamp, key: string(r.Key), value: string(r.Value)}
		for _, h := range r.Headers {
			f.headers += fmt.Sprintf("%s=%q ", h.Key, h.Value)
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func line(i int) (key, value string) {
	return fmt.Sprintf("k%d", i), fmt.Sprintf("value %d %s", i, strings.Repeat("x", 3*i))
}

func TestGoldenRecords(t *testing.T) {
	for _, name := range goldenNames {
		b := golden(t, name)
		if _, err := Walk(b, func(entry []byte, _ *Meta) error {
			_, err := Verify(entry)
			return err
		}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := flatten(t, b)
		want := 8
		if strings.HasPrefix(name, "v2") {
			want = 14 // six more by the Java client
		}
		if len(got) != want {
			t.Fatalf("%s: %d records instead of %d", name, len(got), want)
		}
		for i, r := range got {
			n := i%8 + 1
			key, value := line(n)
			if r.offset != int64(i) || r.key != key || r.value != value {
				t.Errorf("%s: record %d reads %+v", name, i, r)
			}
			if hasTime := r.time > 1.7e12; hasTime != (name[:2] != "v0") {
				t.Errorf("%s: record %d has time %d", name, i, r.time)
			}
			if name[:2] == "v2" && i < 8 && r.headers != `h1="one" h2="" ` {
				t.Errorf("%s: record %d has headers %s", name, i, r.headers)
			}
		}
	}
}

func TestChecksumsNoticeEveryBit(t *testing.T) {
	for _, name := range []string{"v0-none", "v1-none", "v2-none"} {
		b := golden(t, name)
		b = b[:EntrySize(b)]
		from := 12
		if name == "v2-none" {
			from = 21
		}
		for i := from; i < len(b); i++ {
			b[i] ^= 4
			if _, err := Verify(b); err == nil {
				t.Fatalf("%s: flipped bit in byte %d is not noticed", name, i)
			}
			b[i] ^= 4
		}
	}
}

// clientSet turns a golden segment into what its producer sent: of v2 the batch with the most
// records.
func clientSet(t testing.TB, name string) []byte {
	b := golden(t, name)
	if name[1] != '2' {
		return b
	}
	var best Batch
	if _, err := Walk(b, func(entry []byte, m *Meta) error {
		if best == nil || best.Count() < m.Records {
			best = entry
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	best.SetBaseOffset(0)
	best.SetLeaderEpoch(-1)
	return best
}

func TestCheckPassesBatchesThrough(t *testing.T) {
	for _, name := range goldenNames[8:] {
		b := clientSet(t, name)
		want := bytes.Clone(b)
		set, err := Check(b, &Rules{Compression: Producer, MaxBatchBytes: 1 << 20})
		if err != nil || set.Converted || &set.Batch[0] != &b[0] || !bytes.Equal(b, want) {
			t.Fatalf("%s: converted %v, err %v", name, set.Converted, err)
		}
		if last := set.Assign(100, 7, NoTimestamp); last != 99+int64(set.Batch.Count()) {
			t.Fatalf("last offset %d", last)
		}
		if _, err := Verify(set.Batch); err != nil {
			t.Fatalf("%s: after Assign: %v", name, err)
		}
		set.Assign(100, 7, 12345)
		if _, err := Verify(set.Batch); err != nil {
			t.Fatalf("%s: after log append time: %v", name, err)
		}
		for _, r := range flatten(t, set.Batch) {
			if r.time != 12345 {
				t.Fatalf("%s: time %d", name, r.time)
			}
		}
	}
}

func TestCheckCutsTruncatedTail(t *testing.T) {
	b := clientSet(t, "v2-none")
	r := Rules{Compression: Producer}
	set, err := Check(append(bytes.Clone(b), b[:40]...), &r)
	if err != nil || len(set.Batch) != len(b) {
		t.Fatalf("%d bytes instead of %d, err %v", len(set.Batch), len(b), err)
	}
}

func TestRecompression(t *testing.T) {
	for _, name := range goldenNames[8:] {
		want := flatten(t, clientSet(t, name))
		for _, target := range []Codec{None, Gzip, Snappy, LZ4, Zstd} {
			b := clientSet(t, name)
			set, err := Check(b, &Rules{Compression: target})
			if err != nil {
				t.Fatal(err)
			}
			src := Batch(b)
			if set.Converted != (src.Codec() != target) || set.Batch.Codec() != target ||
				set.Batch.ProducerID() != src.ProducerID() ||
				set.Batch.BaseSequence() != src.BaseSequence() ||
				set.Batch.MaxTimestamp() != src.MaxTimestamp() {
				t.Fatalf("%s to %s: %x", name, target, set.Batch[:HeaderSize])
			}
			if _, err := Verify(set.Batch); err != nil {
				t.Fatal(err)
			}
			if got := flatten(t, set.Batch); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s to %s:\n%v\n%v", name, target, got, want)
			}
		}
	}
}

func TestUpConversion(t *testing.T) {
	for _, name := range goldenNames[:8] {
		b := golden(t, name)
		want := flatten(t, b)
		for len(want) > 0 { // a request has one wrapper, or any number of plain messages
			n, codec := len(b), Codec(b[17]&attrCodec)
			if name[3:] != "none" {
				n = EntrySize(b)
			}
			set, err := Check(b[:n], &Rules{Compression: Producer})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			count := int(set.Batch.Count())
			if !set.Converted || set.Batch.Magic() != 2 || set.Batch.Codec() != codec ||
				count > len(want) {
				t.Fatalf("%s: %x", name, set.Batch[:HeaderSize])
			}
			set.Batch.SetBaseOffset(want[0].offset)
			if got := flatten(t, set.Batch); fmt.Sprint(got) != fmt.Sprint(want[:count]) {
				t.Fatalf("%s:\n%v\n%v", name, got, want[:count])
			}
			b, want = b[n:], want[count:]
		}
	}
}

func TestDownConversion(t *testing.T) {
	for _, name := range goldenNames {
		for _, magic := range []int8{0, 1} {
			b := golden(t, name)
			got, err := downConvertAll(b, magic)
			if name == "v2-zstd" {
				if KindOf(err) != UnsupportedCompression {
					t.Fatalf("zstd: %v", err)
				}
				// What is before the first batch with zstd comes, that batch does not.
				got, err = DownConvert(b, magic, 0)
				if n := len(flatten(t, got)); err != nil || n == 0 || n >= len(flatten(t, b)) {
					t.Fatalf("zstd: %d records, %v", n, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s to %d: %v", name, magic, err)
			}
			if _, err := Walk(got, func(entry []byte, m *Meta) error {
				if m.Magic > magic {
					return errors.New("format too new")
				}
				_, err := Verify(entry)
				return err
			}); err != nil {
				t.Fatalf("%s to %d: %v", name, magic, err)
			}
			want := flatten(t, b)
			have := flatten(t, got)
			if len(want) != len(have) {
				t.Fatalf("%s to %d: %d records of %d", name, magic, len(have), len(want))
			}
			for i := range want {
				w, h := want[i], have[i]
				w.headers = ""
				if magic == 0 || name[:2] == "v0" {
					w.time = NoTimestamp
				}
				if w != h {
					t.Fatalf("%s to %d: record %d is %+v instead of %+v", name, magic, i, h, w)
				}
			}
		}
	}
}

// downConvertAll converts entry by entry, as the first is never cut.
func downConvertAll(b []byte, magic int8) (all []byte, err error) {
	_, err = Walk(b, func(entry []byte, m *Meta) error {
		got, err := DownConvert(entry, magic, 0)
		all = append(all, got...)
		return err
	})
	return all, err
}

// The answer to an old client is no longer than what was found for it, but for the first batch.
func TestDownConversionKeepsTheSize(t *testing.T) {
	b := golden(t, "v2-none")
	all, err := downConvertAll(b, 1)
	if err != nil || len(all) <= len(b) {
		t.Fatalf("%d bytes of %d, %v: that is no test", len(all), len(b), err)
	}
	got, err := DownConvert(b, 1, 0)
	if err != nil || !bytes.Equal(got, all[:len(b)]) {
		t.Errorf("%d bytes of %d, %v", len(got), len(b), err)
	}
	if got, err := DownConvert(b[:EntrySize(b)-1], 1, 0); len(got) != 0 || err != nil {
		t.Errorf("of a batch that is cut: %x, %v", got, err)
	}
}

func TestDownConversionDropsWhatIsBelow(t *testing.T) {
	got, err := DownConvert(golden(t, "v2-none"), 1, 5)
	if err != nil {
		t.Fatal(err)
	}
	if r := flatten(t, got); len(r) != 9 || r[0].offset != 5 {
		t.Fatalf("%+v", r)
	}
}

// Writers and readers of format v0 compute the header checksum of LZ4 frames over the magic number
// too. The golden file comes from a real one.
func TestLZ4HeaderChecksumOfV0(t *testing.T) {
	b := golden(t, "v0-lz4")
	frame := b[bytes.Index(b, []byte{0x04, 0x22, 0x4d, 0x18}):]
	n := lz4Descriptor(frame)
	if frame[n] != byte(xxh32(frame[:n])>>8) || frame[n] == byte(xxh32(frame[4:n])>>8) {
		t.Fatalf("checksum %02x, over all %02x, over the descriptor %02x", frame[n],
			byte(xxh32(frame[:n])>>8), byte(xxh32(frame[4:n])>>8))
	}
	ours, err := Compress(nil, LZ4, 0, Levels{}, []byte("hello"))
	if err != nil || ours[6] != byte(xxh32(ours[:6])>>8) {
		t.Fatalf("%x %v", ours, err)
	}
	if got, err := Decompress(LZ4, 0, ours); err != nil || string(got) != "hello" {
		t.Fatalf("%q %v", got, err)
	}
	if _, err := Decompress(LZ4, 1, ours); err == nil {
		t.Fatal("format v1 accepts the wrong checksum")
	}
}

func TestRawSnappy(t *testing.T) {
	framed := snap(nil, bytes.Repeat([]byte("abc"), 30000))
	got, err := Decompress(Snappy, 2, framed)
	if err != nil || len(got) != 90000 {
		t.Fatal(len(got), err)
	}
	raw := framed[xerialHeader+4:]
	n := int(framed[xerialHeader+2])<<8 | int(framed[xerialHeader+3])
	if got, err = Decompress(Snappy, 2, raw[:n]); err != nil || len(got) != xerialBlock {
		t.Fatal(len(got), err)
	}
}

func TestBombs(t *testing.T) {
	const part = MaxInflated / 8
	for _, c := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		small, err := Compress(nil, c, 2, Levels{}, make([]byte, part))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := Decompress(c, 2, small); err != nil || len(b) != part {
			t.Fatalf("%s: %d bytes, %v", c, len(b), err)
		}
		bomb := bytes.Repeat(small, 9) // all of them take concatenated streams
		if _, err := Decompress(c, 2, bomb); KindOf(err) != Corrupt {
			t.Errorf("%s: %d bytes inflate without limit: %v", c, len(bomb), err)
		}
	}
}

func builtSet(t testing.TB, change func(Batch)) []byte {
	b := NewBuilder(None, Levels{})
	b.SetProducer(5, 0, 0, false)
	b.Add(1000, []byte("k"), []byte("v"), nil)
	b.Add(2000, nil, []byte("v"), []Header{{"h", nil}})
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(batch)
		batch.FixCRC()
	}
	return batch
}

func TestRefusals(t *testing.T) {
	v2 := func(change func(Batch)) []byte { return builtSet(t, change) }
	version := int16(9)
	check := func(set []byte, r Rules) error {
		if err := CheckRequest(set, version); err != nil {
			return err
		}
		r.Compression = Producer
		_, err := Check(set, &r)
		return err
	}
	cases := []struct {
		name  string
		set   []byte
		rules Rules
		kind  Kind
		index []int32
	}{
		{"crc", func() []byte { b := v2(nil); b[HeaderSize+9] ^= 1; return b }(), Rules{}, Corrupt, nil},
		{"base offset", v2(func(b Batch) { b.SetBaseOffset(1) }), Rules{}, InvalidRecord, nil},
		{"control", v2(func(b Batch) { b[22] |= attrControl }), Rules{}, InvalidRecord, nil},
		{"count", v2(func(b Batch) { b[60] = 3 }), Rules{}, InvalidRecord, nil},
		{"no records", v2(func(b Batch) {
			b[60] = 0
			copy(b[23:], []byte{255, 255, 255, 255})
		}), Rules{}, InvalidRecord, nil},
		{"sequence", v2(func(b Batch) { b[53] = 0xff }), Rules{}, InvalidRecord, nil},
		{"time type", v2(func(b Batch) { b[22] |= attrLogAppendTime }),
			Rules{LogAppendTime: true}, InvalidTimestamp, []int32{0, 1}},
		{"codec", v2(func(b Batch) { b[22] |= 6 }), Rules{}, Unreadable, nil},
		{"two", append(v2(nil), v2(nil)...), Rules{}, InvalidRecord, nil},
		{"empty", nil, Rules{}, InvalidRecord, nil},
		{"old format", golden(t, "v1-none"), Rules{}, InvalidRecord, nil},
		{"large", v2(nil), Rules{MaxBatchBytes: 50}, TooLarge, nil},
		{"set", v2(nil), Rules{MaxSetBytes: 50}, SetTooLarge, nil},
		{"zstd", clientSet(t, "v2-zstd"), Rules{}, UnsupportedCompression, nil},
		{"key", v2(nil), Rules{Compacted: true}, InvalidRecord, []int32{1}},
		{"too old", v2(nil), Rules{NowMs: 5500, BeforeMaxMs: 4000}, InvalidTimestamp, []int32{0}},
		{"too new", v2(nil), Rules{NowMs: 0, AfterMaxMs: 500}, InvalidTimestamp, []int32{0, 1}},
		{"record", v2(func(b Batch) { b[HeaderSize] = 2 }), Rules{}, InvalidRecord, nil},
		{"rest", func() []byte {
			b := append(v2(nil), 0)
			b[11]++
			Batch(b).FixCRC()
			return b
		}(), Rules{}, InvalidRecord, nil},
	}
	for _, c := range cases {
		if version = 9; c.name == "zstd" {
			version = 6
		}
		err := check(c.set, c.rules)
		if KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %v", c.name, err, c.kind)
			continue
		}
		var e *Error
		errors.As(err, &e)
		var got []int32
		for _, r := range e.Records {
			got = append(got, r.Index)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.index) {
			t.Errorf("%s: records %v, want %v", c.name, got, c.index)
		}
	}
	if set, err := Check(nil, &Rules{}); err != nil || set.Batch != nil {
		t.Errorf("empty set before v3: %v", err)
	}
	if _, err := Check(v2(nil), &Rules{LogAppendTime: true, NowMs: 5500,
		BeforeMaxMs: 1}); err != nil {
		t.Errorf("log append time looks at the client's: %v", err)
	}
}

func TestMarker(t *testing.T) {
	ours := BuildMarker(Commit, 1, 2, 3, 1000)
	kind, epoch, err := ours.Marker()
	if kind != Commit || epoch != 3 || err != nil {
		t.Fatal(kind, epoch, err)
	}
	b := golden(t, "txn")
	theirs := Batch(b[EntrySize(b):])
	kind, epoch, err = theirs.Marker()
	if kind != Commit || err != nil {
		t.Fatal(kind, epoch, err)
	}
	rebuilt := BuildMarker(kind, theirs.ProducerID(), theirs.ProducerEpoch(), epoch,
		theirs.BaseTimestamp())
	Set{Batch: rebuilt}.Assign(theirs.BaseOffset(), theirs.LeaderEpoch(), NoTimestamp)
	if !bytes.Equal(rebuilt, theirs) {
		t.Fatalf("marker differs from Apache's\n%x\n%x", []byte(rebuilt), []byte(theirs))
	}
}

func TestBuilderMatchesApache(t *testing.T) {
	b := golden(t, "v2-none")
	for len(b) > 0 {
		theirs := Batch(b[:EntrySize(b)])
		b = b[len(theirs):]
		m, err := ParseMeta(theirs)
		if err != nil {
			t.Fatal(err)
		}
		out := NewBuilder(None, Levels{})
		out.SetProducer(m.ProducerID, m.Epoch, m.BaseSequence, m.Transactional())
		if err := theirs.each(&m, func(_ *Meta, r *Record) error {
			out.Add(r.Timestamp, r.Key, r.Value, r.Headers)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		ours, err := out.Build()
		if err != nil {
			t.Fatal(err)
		}
		Set{Batch: ours}.Assign(m.BaseOffset, m.LeaderEpoch, NoTimestamp)
		if !bytes.Equal(ours, theirs) {
			t.Fatalf("batch differs from Apache's\n%x\n%x", []byte(ours), []byte(theirs))
		}
	}
}

func TestAddSequence(t *testing.T) {
	for _, c := range [][3]int32{{0, 0, 0}, {5, 3, 8}, {math.MaxInt32, 0, math.MaxInt32},
		{math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 3, 1}} {
		if got := AddSequence(c[0], c[1]); got != c[2] {
			t.Errorf("%d + %d = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, name := range goldenNames {
		f.Add(golden(f, name), int16(2))
		f.Add(clientSet(f, name), int16(9))
	}
	f.Fuzz(func(t *testing.T, b []byte, version int16) {
		for _, r := range []Rules{
			{Compression: Producer},
			{Compression: LZ4, Compacted: true, MaxBatchBytes: 1 << 20},
		} {
			err := CheckRequest(b, version)
			var set Set
			if err == nil {
				set, err = Check(bytes.Clone(b), &r)
			}
			if err != nil {
				if KindOf(err) == 0 {
					t.Fatalf("error without kind: %v", err)
				}
				continue
			}
			if set.Batch == nil {
				continue
			}
			set.Assign(1000, 1, NoTimestamp)
			if _, err := Verify(set.Batch); err != nil {
				t.Fatalf("accepted, but: %v", err)
			}
			n := int32(0)
			err = Each(set.Batch, func(*Meta, *Record) error { n++; return nil })
			if err != nil || n != set.Batch.Count() {
				t.Fatalf("accepted, but reads as %d records of %d: %v", n, set.Batch.Count(), err)
			}
		}
	})
}

func FuzzRecords(f *testing.F) {
	for _, name := range goldenNames {
		f.Add(golden(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = Each(b, func(*Meta, *Record) error { return nil })
		for _, magic := range []int8{0, 1} {
			out, err := DownConvert(b, magic, 0)
			if err != nil {
				continue
			}
			if _, err := Walk(out, func(_ []byte, m *Meta) error {
				if m.Magic > magic {
					return errors.New("too new")
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzDecompress(f *testing.F) {
	for c := Gzip; c <= Zstd; c++ {
		b, err := Compress(nil, c, 2, Levels{}, []byte("some words, some words, some words"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(c), int8(2), b)
		f.Add(uint8(c), int8(0), b)
	}
	f.Fuzz(func(t *testing.T, c uint8, magic int8, b []byte) {
		out, err := Decompress(Codec(c), magic, b)
		if err == nil && len(out) > MaxInflated && c != 0 {
			t.Fatalf("%d bytes", len(out))
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	for _, records := range []int{16, 1000} {
		b.Run(fmt.Sprint(records), func(b *testing.B) {
			out := NewBuilder(None, Levels{})
			for range records {
				out.Add(1, nil, make([]byte, 1000), nil)
			}
			batch, err := out.Build()
			if err != nil {
				b.Fatal(err)
			}
			r := Rules{Compression: Producer, MaxBatchBytes: 2 << 20}
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Check(batch, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
