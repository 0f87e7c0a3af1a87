package jute

import (
	"bytes"
	"math"
	"reflect"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	var w Writer
	w.Int32(-5)
	w.Int64(math.MinInt64)
	w.Bool(true)
	w.Bool(false)
	w.String("é")
	w.NullString()
	w.Buffer(nil)
	w.Buffer([]byte{})
	w.Buffer([]byte{1})
	w.Strings(nil)
	w.Strings([]string{})
	w.Strings([]string{"", "x"})
	r := NewReader(w.B, 100)
	if v := r.Int32(); v != -5 {
		t.Errorf("Int32 %d", v)
	}
	if v := r.Int64(); v != math.MinInt64 {
		t.Errorf("Int64 %d", v)
	}
	if !r.Bool() || r.Bool() {
		t.Error("Bool")
	}
	if s, ok := r.StringOrNull(); s != "é" || !ok {
		t.Errorf("String %q %v", s, ok)
	}
	if s, ok := r.StringOrNull(); s != "" || ok {
		t.Errorf("null String %q %v", s, ok)
	}
	if b := r.Buffer(); b != nil {
		t.Errorf("null Buffer %v", b)
	}
	if b := r.Buffer(); b == nil || len(b) != 0 {
		t.Errorf("empty Buffer %v", b)
	}
	if b := r.Buffer(); !bytes.Equal(b, []byte{1}) || cap(b) != 1 {
		t.Errorf("Buffer %v, capacity %d", b, cap(b))
	}
	if v := r.Strings(); v != nil {
		t.Errorf("null vector %v", v)
	}
	if v := r.Strings(); v == nil || len(v) != 0 {
		t.Errorf("empty vector %v", v)
	}
	if v := r.Strings(); !reflect.DeepEqual(v, []string{"", "x"}) {
		t.Errorf("vector %v", v)
	}
	if r.Err() != nil || r.Remaining() != 0 {
		t.Errorf("%v, %d left", r.Err(), r.Remaining())
	}
}

func TestLimits(t *testing.T) {
	for _, test := range []struct {
		name string
		in   []byte
		max  int
		read func(*Reader)
		want error
	}{
		{"length below -1", []byte{0xff, 0xff, 0xff, 0xfe}, 0, func(r *Reader) { r.Buffer() },
			&LengthError{-2}},
		{"length beyond the limit", []byte{0, 0, 0, 3, 1, 2, 3}, 2, func(r *Reader) { r.Buffer() },
			&LengthError{3}},
		{"vector beyond the limit", []byte{0, 0, 0, 3, 1, 2, 3}, 2, func(r *Reader) { r.Strings() },
			&LengthError{3}},
		{"hostile count", []byte{0x7f, 0xff, 0xff, 0xff}, 0, func(r *Reader) { r.Strings() },
			ErrTruncated},
		{"short buffer", []byte{0, 0, 0, 3, 1, 2}, 0, func(r *Reader) { _ = r.String() },
			ErrTruncated},
		{"short int", []byte{0, 0, 0}, 0, func(r *Reader) { r.Int32() }, ErrTruncated},
		{"short long", []byte{0, 0, 0, 0}, 0, func(r *Reader) { r.Int64() }, ErrTruncated},
		{"no bool", nil, 0, func(r *Reader) { r.Bool() }, ErrTruncated},
	} {
		r := NewReader(test.in, test.max)
		test.read(r)
		if got := r.Err(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
		if r.Remaining() != 0 || r.Int32() != 0 || r.Buffer() != nil || r.Err() == nil {
			t.Errorf("%s: the reader goes on after a failure", test.name)
		}
	}
}

// TestMaxLength compares with what upstream computes from its two settings.
func TestMaxLength(t *testing.T) {
	for _, test := range [][3]int{
		{DefaultMaxBuffer, 0, 2 * DefaultMaxBuffer},
		{100, 0, 1124}, {100, 10, 1124}, {100, 2000, 2100},
	} {
		if got := MaxLength(test[0], test[1]); got != test[2] {
			t.Errorf("MaxLength(%d, %d) = %d, want %d", test[0], test[1], got, test[2])
		}
	}
}

func TestBadUTF8(t *testing.T) {
	r := NewReader([]byte{0, 0, 0, 3, 'a', 0xff, 'b'}, 0)
	if s := r.String(); s != "a\uFFFDb" {
		t.Errorf("%q", s)
	}
}

func TestFrame(t *testing.T) {
	w := Writer{B: []byte{9}}
	at := w.StartFrame()
	w.Int32(1)
	w.EndFrame(at)
	if want := []byte{9, 0, 0, 0, 4, 0, 0, 0, 1}; !bytes.Equal(w.B, want) {
		t.Errorf("%v, want %v", w.B, want)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x'}, []byte{0, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, b, script []byte) {
		r := NewReader(b, 1<<20)
		total := 0
		for _, step := range script {
			switch step % 6 {
			case 0:
				r.Int32()
			case 1:
				r.Int64()
			case 2:
				r.Bool()
			case 3:
				total += len(r.Buffer())
			case 4:
				for _, s := range r.Strings() {
					total += len(s) / 3 // a bad byte becomes three
				}
			case 5:
				total += len(r.String()) / 3
			}
		}
		if total > len(b) {
			t.Errorf("read %d bytes out of %d", total, len(b))
		}
	})
}

// TestText: as many replacements as Java's String(byte[], UTF_8) makes.
func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 日 😀":              "plain é 日 😀",
		"\xff\xfe":                 "\ufffd\ufffd",
		"a\xe2\x82b":               "a\ufffdb",
		"\xe2\x82":                 "\ufffd",
		"\xc3":                     "\ufffd",
		"\xc0\x80":                 "\ufffd\ufffd",
		"\xe0\x80\x80":             "\ufffd\ufffd\ufffd",
		"\xf0\x9f\x98z":            "\ufffdz",
		"\xf4\x90\x80\x80":         "\ufffd\ufffd\ufffd\ufffd",
		"\xed\xa0\xbd\xed\xb8\x80": "\ufffd\ufffd",
	} {
		if got := Text([]byte(in)); got != want {
			t.Errorf("%x: %q, not %q", in, got, want)
		}
	}
}
