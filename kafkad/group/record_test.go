package group

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

type goldenRecord struct {
	offset int64
	Record
}

// golden reads the records that a real broker wrote.
func golden(t testing.TB) []goldenRecord {
	t.Helper()
	text, err := os.ReadFile("testdata/offsets-3.9.2.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []goldenRecord
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] == "#" {
			continue
		}
		r := goldenRecord{}
		r.offset, _ = strconv.ParseInt(f[0], 10, 64)
		if r.Key, err = hex.DecodeString(f[1]); err != nil {
			t.Fatal(err)
		}
		if f[2] != "null" {
			if r.Value, err = hex.DecodeString(f[2]); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, r)
	}
	return out
}

// Every record of the real broker decodes, and encodes to the same bytes again.
func TestGoldenRecords(t *testing.T) {
	kinds := map[KeyKind]int{}
	for _, r := range golden(t) {
		k, err := DecodeKey(r.Key)
		if err != nil {
			t.Fatalf("offset %d: %v", r.offset, err)
		}
		kinds[k.Kind]++
		key, value := EncodeGroupKey(k.Group), []byte(nil)
		switch k.Kind {
		case OffsetKey:
			key = EncodeOffsetKey(k.Group, k.TopicPartition)
			if r.Value != nil {
				o, err := DecodeOffsetValue(r.Value)
				if err != nil {
					t.Fatalf("offset %d: %v", r.offset, err)
				}
				value = EncodeOffsetValue(&o)
			}
		case GroupKey:
			if r.Value != nil {
				v, err := DecodeGroupValue(r.Value)
				if err != nil {
					t.Fatalf("offset %d: %v", r.offset, err)
				}
				value = EncodeGroupValue(&v)
			}
		}
		if !bytes.Equal(key, r.Key) || !bytes.Equal(value, r.Value) {
			t.Errorf("offset %d: encoded as\n%x %x, the broker wrote\n%x %x",
				r.offset, key, value, r.Key, r.Value)
		}
	}
	if kinds[OffsetKey] < 20 || kinds[GroupKey] < 3 {
		t.Errorf("the golden file has only %v", kinds)
	}
}

// A machine loaded from the real broker's log knows the same groups and offsets.
func TestLoadGolden(t *testing.T) {
	load := func(until int64) *Machine {
		l := NewLoader()
		for _, r := range golden(t) {
			if r.offset >= until {
				break
			}
			if err := l.Record(r.offset, false, -1, r.Record); err != nil {
				t.Fatal(err)
			}
		}
		return l.Finish(DefaultConfig(), 1)
	}
	m := load(33) // gdyn has left, gstatic has not
	want := []Overview{{"gdyn", "consumer", Empty}, {"gstatic", "consumer", Stable}}
	if got := m.List(); !reflect.DeepEqual(got, want) {
		t.Errorf("groups %v, want %v", got, want)
	}
	d := m.Describe("gstatic")
	if len(d.Members) != 1 || d.Members[0].InstanceID != "inst-1" || d.Protocol != "range" ||
		d.Members[0].ClientHost != "/127.0.0.1" {
		t.Errorf("described as %+v", d)
	}
	for _, g := range []string{"gstatic", "gdyn"} {
		var offsets []int64
		for _, o := range m.Fetch(g, nil, true) {
			offsets = append(offsets, o.Offset)
		}
		if want := []int64{1, 2, 1}; !reflect.DeepEqual(offsets, want) {
			t.Errorf("offsets of %s: %v, want %v", g, offsets, want)
		}
	}
	want = []Overview{{"gstatic", "consumer", Empty}} // its session ended, gdyn was deleted
	if got := load(1 << 40).List(); !reflect.DeepEqual(got, want) {
		t.Errorf("groups in the end %v, want %v", got, want)
	}
}

// Older and newer versions of the values read as the reference reads them.
func TestValueVersions(t *testing.T) {
	hexed := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		value string
		want  Offset
	}{
		{"0000 0000000000000007 0001 6d 0000000000000009", Offset{7, -1, "m", 9, -1}},
		{"0001 0000000000000007 0000 0000000000000009 000000000000000b", Offset{7, -1, "", 9, 11}},
		{"0002 0000000000000007 0001 6d 0000000000000009", Offset{7, -1, "m", 9, -1}},
		{"0003 0000000000000007 00000005 0001 6d 0000000000000009", Offset{7, 5, "m", 9, -1}},
		{"0004 0000000000000007 00000005 02 6d 0000000000000009 00", Offset{7, 5, "m", 9, -1}},
		{"0004 0000000000000007 00000005 02 6d 0000000000000009 01 05 02 ffff",
			Offset{7, 5, "m", 9, -1}},
	} {
		got, err := DecodeOffsetValue(hexed(c.value))
		if err != nil || got != c.want {
			t.Errorf("%s reads %+v, %v; want %+v", c.value, got, err, c.want)
		}
	}
	member := MemberValue{MemberID: "m", ClientID: "c", ClientHost: "/h",
		RebalanceTimeoutMillis: 3, SessionTimeoutMillis: 3, Subscription: []byte{1},
		Assignment: []byte{2}}
	want := GroupValue{ProtocolType: "t", Generation: 4, Protocol: "p", Leader: "m",
		StateTimestamp: -1, Members: []MemberValue{member}}
	old := "0000 0001 74 00000004 0001 70 0001 6d 00000001" +
		"0001 6d 0001 63 0002 2f68 00000003 00000001 01 00000001 02"
	if got, err := DecodeGroupValue(hexed(old)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("v0 reads %+v, %v; want %+v", got, err, want)
	}
	want.StateTimestamp = 8
	compact := "0004 02 74 00000004 02 70 02 6d 0000000000000008 02" +
		"02 6d 00 02 63 03 2f68 00000003 00000003 02 01 02 02 00 00"
	if got, err := DecodeGroupValue(hexed(compact)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("v4 reads %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "00", "0005", "ffff", "0003 00", "0004 0000000000000001"} {
		if _, err := DecodeOffsetValue(hexed(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if k, err := DecodeKey(hexed("0003 01 67")); err != nil || k.Kind != UnknownKey {
		t.Errorf("a key of a newer broker: %+v, %v", k, err)
	}
}

// Offsets of a transaction count from where they were written, once it is committed.
func TestLoadTransactions(t *testing.T) {
	l := NewLoader()
	tp := func(p int32) TopicPartition { return TopicPartition{"t", p} }
	put := func(at, value int64, p int32, txn bool, pid int64) {
		o := Offset{Offset: value, LeaderEpoch: -1, ExpireTimestamp: -1}
		rec := Record{Key: EncodeOffsetKey("g", tp(p)), Value: EncodeOffsetValue(&o)}
		if err := l.Record(at, txn, pid, rec); err != nil {
			t.Fatal(err)
		}
	}
	put(0, 10, 0, true, 1)
	put(1, 11, 0, false, -1) // later than the transaction's, which ends after it
	put(2, 12, 1, true, 1)
	put(3, 13, 2, true, 2)
	put(4, 14, 3, true, 3)
	l.Marker(1, true)
	l.Marker(2, false)
	m := l.Finish(DefaultConfig(), 1)
	var got []int64
	tps := []TopicPartition{tp(0), tp(1), tp(2), tp(3)}
	for _, o := range m.Fetch("g", tps, false) {
		got = append(got, o.Offset)
	}
	if want := []int64{11, 12, -1, -1}; !reflect.DeepEqual(got, want) {
		t.Errorf("offsets %v, want %v", got, want)
	}
	if o := m.Fetch("g", tps[3:], true)[0]; o.Err.Name() != "UNSTABLE_OFFSET_COMMIT" {
		t.Errorf("undecided offset: %v", o.Err)
	}
}

func FuzzDecode(f *testing.F) {
	for i, r := range golden(f) {
		if i < 8 {
			f.Add(r.Key, r.Value)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		l := NewLoader()
		if err := l.Record(0, false, -1, Record{Key: key, Value: value}); err != nil {
			return
		}
		// What loads must survive life: describe, a full session, an unload.
		m := l.Finish(DefaultConfig(), 1)
		m.Tick(1 << 40)
		for _, o := range m.List() {
			m.Describe(o.Group)
		}
		m.Unload()
	})
}
