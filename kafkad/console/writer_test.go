package console

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The sizes are those that the producer of 3.9.2 names when it refuses such records.
func TestSerializedSize(t *testing.T) {
	x := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	for _, c := range []struct {
		rec  kgo.Record
		want int
	}{
		{kgo.Record{Value: x(300_000)}, 300_087},
		{kgo.Record{Value: x(63)}, 148},
		{kgo.Record{Value: x(64)}, 150},
		{kgo.Record{}, 85},
		{kgo.Record{Key: x(100), Value: []byte{}}, 186},
		{kgo.Record{Value: x(1), Headers: []kgo.RecordHeader{{Key: "ab", Value: x(5)}, {Key: "c"}}}, 98},
	} {
		if got := serializedSize(&c.rec); got != c.want {
			t.Errorf("key of %d, value of %d bytes: %d, want %d", len(c.rec.Key), len(c.rec.Value), got,
				c.want)
		}
	}
}
