package console

import (
	"bufio"
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The first lines are what the console consumer of 3.9.2 printed for the same records.
func TestFormatter(t *testing.T) {
	rec := &kgo.Record{
		Topic: "t", Partition: 1, Offset: 5, Timestamp: time.UnixMilli(123), Key: []byte("k"),
		Value: []byte("v"),
	}
	full := "print.timestamp=true,print.partition=true,print.offset=true,print.headers=true," +
		"print.key=true"
	withHeaders := *rec
	withHeaders.Headers = []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}}
	long := *rec
	long.Key, long.Value = []byte{0, 0, 0, 0, 0, 0, 1, 0}, nil
	for _, c := range []struct {
		props string
		rec   *kgo.Record
		want  string
	}{
		{full, rec, "CreateTime:123\tPartition:1\tOffset:5\tNO_HEADERS\tk\tv\n"},
		{"", rec, "v\n"},
		{"print.headers=true", &withHeaders, "a:1,b:null\tv\n"},
		{"print.key=true,key.separator=-,line.separator=;", rec, "k-v;"},
		{"print.key=true,print.value=false", rec, "k\n"},
		{"print.key=true,key.deserializer=org.apache.kafka.common.serialization.LongDeserializer," +
			"null.literal=NIL", &long, "256\tNIL\n"},
	} {
		f, err := newDefaultFormatter(pairs(t, c.props))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		if err := f.write(w, c.rec); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		if b.String() != c.want {
			t.Errorf("%s: got %q, want %q", c.props, b.String(), c.want)
		}
	}
}
