package producer

import (
	"fmt"
	"strings"
	"testing"

	"zkafka/kafkad/record"
)

// batches makes batches of a script, one word each: "2+" data of producer 2 in a transaction, "2="
// data outside of one, "2A" and "2C" markers, "2?" a control record of another kind.
func batches(t *testing.T, script string, base int64) (b []byte) {
	t.Helper()
	for word := range strings.FieldsSeq(script) {
		id, kind := int64(word[0]-'0'), word[1]
		var batch record.Batch
		switch kind {
		case 'A':
			batch = record.BuildMarker(record.Abort, id, 0, 1, 5)
		case 'C':
			batch = record.BuildMarker(record.Commit, id, 0, 1, 5)
		case '?':
			batch = record.BuildMarker(record.MarkerType(7), id, 0, 1, 5)
		default:
			builder := record.NewBuilder(record.None, record.Levels{})
			builder.SetProducer(id, 0, 0, kind == '+')
			builder.Add(5, nil, []byte("a"), nil)
			builder.Add(5, nil, []byte("b"), nil)
			var err error
			if batch, err = builder.Build(); err != nil {
				t.Fatal(err)
			}
		}
		base = record.Set{Batch: batch}.Assign(base, 0, record.NoTimestamp) + 1
		b = append(b, batch...)
	}
	return b
}

// apply feeds batches to the state one after the other and lists the transactions they aborted.
func apply(t *testing.T, s *State, b []byte) (aborted []Completed) {
	t.Helper()
	for len(b) > 0 {
		m, err := record.ParseMeta(b)
		if err != nil {
			t.Fatal(err)
		}
		if !m.Control() {
			s.Update(FromMeta(&m))
		} else if marker, ok, err := ReadMarker(b[:m.Size], &m); err != nil {
			t.Fatal(err)
		} else if ok {
			if done, ended := s.UpdateMarker(marker); ended && done.Aborted {
				aborted = append(aborted, done)
			}
		}
		b = b[m.Size:]
	}
	return aborted
}

// TestAborts: what a set of batches will abort is known before it is appended, and the same as what
// comes out when it is.
func TestAborts(t *testing.T) {
	for _, c := range []struct{ before, then, want string }{
		{"", "1=", ""},
		{"", "1A", ""}, // nothing was open
		{"1+", "1C", ""},
		{"1+", "1A", "1:0-2 3"},
		{"1+", "1A 1A", "1:0-2 3"},
		{"1+ 2+", "1A", "1:0-4 2"},
		{"1+ 2+", "2A", "2:2-4 0"},
		{"1+ 2+ 3+", "2C 1A 3A", "1:0-7 4 3:4-8 9"},
		{"1+ 1+", "1? 1A", "1:0-5 6"},
		{"", "1+ 2= 1A 1+ 3+ 1A", "1:0-4 5 1:5-9 7"},
		{"3+", "1+ 1C 3+ 1+ 1A", "1:7-9 0"},
	} {
		var s State
		apply(t, &s, batches(t, c.before, 0))
		b := batches(t, c.then, s.End())
		list, err := s.Aborts(b)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range list {
			got = append(got, fmt.Sprintf("%d:%d-%d %d", d.ProducerID, d.FirstOffset, d.LastOffset,
				d.LastStable))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%q, %q: %s instead of %s", c.before, c.then, text, c.want)
		}
		if really := apply(t, &s, b); fmt.Sprint(really) != fmt.Sprint(list) {
			t.Errorf("%q, %q: %v was announced, %v happened", c.before, c.then, list, really)
		}
	}
	var s State
	b := batches(t, "1A", 0)
	b[len(b)-1] ^= 0x7f // more headers than there are
	if list, err := s.Aborts(b); err == nil {
		t.Errorf("malformed marker: %v", list)
	}
}

// TestOpenTransactionsInSnapshot: a snapshot tells which transactions are open, and their order.
func TestOpenTransactionsInSnapshot(t *testing.T) {
	var s, again State
	apply(t, &s, batches(t, "9+ 3+ 5+ 3A", 0))
	if err := again.Decode(s.Encode(nil), s.End()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		script string
		first  int64
		open   bool
	}{{"", 0, true}, {"9C", 4, true}, {"5A", 0, false}} {
		apply(t, &again, batches(t, step.script, again.End()))
		if first, open := again.FirstOpen(); first != step.first || open != step.open {
			t.Fatalf("after %q: %d %v", step.script, first, open)
		}
	}
}
