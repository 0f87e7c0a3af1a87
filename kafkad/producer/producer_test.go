package producer

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"testing"

	"zkafka/kafkad/record"
)

func batch(epoch int16, first, last int32, base int64) Batch {
	n := int64(last) - int64(first)
	if n < 0 {
		n += math.MaxInt32 + 1
	}
	return Batch{ProducerID: 1, Epoch: epoch, FirstSequence: first, LastSequence: last,
		BaseOffset: base, LastOffset: base + n, Timestamp: 1000 + base}
}

// TestSequences is a script of batches of one producer and what each must be answered.
func TestSequences(t *testing.T) {
	const newest = math.MaxInt32
	cases := []struct {
		b    Batch
		want string
	}{
		{batch(0, 3, 5, 10), "ok"}, // unknown producers start anywhere
		{batch(0, 3, 5, 13), "dup 10"},
		{batch(0, 3, 4, 13), "fault 2"}, // overlaps, but is no duplicate
		{batch(0, 7, 7, 13), "fault 2"},
		{batch(0, 6, 6, 13), "ok"},
		{batch(0, 7, 7, 14), "ok"},
		{batch(0, 8, 8, 15), "ok"},
		{batch(0, 9, 9, 16), "ok"},
		{batch(0, 3, 5, 17), "dup 10"}, // the fifth last
		{batch(0, 10, 10, 17), "ok"},
		{batch(0, 3, 5, 18), "fault 2"}, // the sixth last is forgotten
		{batch(1, 1, 1, 18), "fault 2"}, // a new epoch starts at 0
		{batch(1, 0, newest-1, 18), "ok"},
		{batch(0, 10, 10, 18), "fault 1"},
		{batch(1, newest, 1, 18+newest), "ok"},
		{batch(1, newest, 1, 21+newest), fmt.Sprintf("dup %d", 18+newest)},
		{batch(1, 2, 2, 21+newest), "ok"},
	}
	var s State
	for i, c := range cases {
		got := "ok"
		d, err := s.Check(c.b)
		if d != nil {
			got = fmt.Sprintf("dup %d", d.BaseOffset)
			if d.LastOffset-d.BaseOffset != c.b.LastOffset-c.b.BaseOffset ||
				d.Timestamp != 1000+d.BaseOffset {
				t.Errorf("step %d: %+v", i, d)
			}
		}
		if err != nil {
			got = fmt.Sprintf("fault %d", FaultOf(err))
		}
		if got != c.want {
			t.Fatalf("step %d %+v: %s instead of %s (%v)", i, c.b, got, c.want, err)
		}
		if got == "ok" {
			s.Update(c.b)
		}
	}
}

func TestSequenceWrapExactly(t *testing.T) {
	var s State
	s.Update(batch(0, math.MaxInt32-1, math.MaxInt32, 0))
	if _, err := s.Check(batch(0, 0, 0, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Check(batch(0, 1, 1, 2)); FaultOf(err) != OutOfOrder {
		t.Fatal(err)
	}
}

func TestBatchesWithoutProducer(t *testing.T) {
	var s State
	b := Batch{ProducerID: record.NoProducerID, Epoch: -1, FirstSequence: -1, LastSequence: -1,
		BaseOffset: 4, LastOffset: 6}
	if d, err := s.Check(b); d != nil || err != nil {
		t.Fatal(d, err)
	}
	s.Update(b)
	if s.Len() != 0 || s.End() != 7 {
		t.Fatal(s.Len(), s.End())
	}
}

func TestTransactions(t *testing.T) {
	var s State
	open := batch(0, 0, 1, 10)
	open.Transactional = true
	s.Update(open)
	if o, ok := s.FirstUnstable(); !ok || o != 10 {
		t.Fatal(o, ok)
	}
	if _, err := s.Check(batch(0, 2, 2, 12)); FaultOf(err) != InvalidTxnState {
		t.Fatal(err)
	}
	if s.Expire(1<<60, 1) != 0 {
		t.Fatal("a producer with an open transaction expired")
	}
	if err := s.CheckMarker(1, -1, 0); FaultOf(err) != Fenced {
		t.Fatal(err)
	}
	if err := s.CheckMarker(1, 0, 5); err != nil {
		t.Fatal(err)
	}
	done, ok := s.UpdateMarker(Marker{ProducerID: 1, CoordinatorEpoch: 5, Offset: 12, Aborted: true})
	if !ok || done != (Completed{1, 10, 12, 13, true}) {
		t.Fatal(done, ok)
	}
	if o, ok := s.FirstUnstable(); !ok || o != 10 {
		t.Fatal("stable before the marker is replicated", o, ok)
	}
	s.Replicated(12)
	if _, ok := s.FirstUnstable(); !ok {
		t.Fatal("stable at the marker")
	}
	s.Replicated(13)
	if o, ok := s.FirstUnstable(); ok {
		t.Fatal(o)
	}
	if err := s.CheckMarker(1, 0, 4); FaultOf(err) != CoordinatorFenced {
		t.Fatal(err)
	}
}

func TestExpire(t *testing.T) {
	var s State
	s.Update(batch(0, 0, 0, 0)) // at 1000
	if s.Expire(1500, 501) != 0 || s.Expire(1500, 500) != 1 || s.Len() != 0 {
		t.Fatal(s.Len())
	}
}

// The golden snapshots were written by a 3.9.2 broker: kafkad/record/testdata/capture.sh.
func TestGoldenSnapshots(t *testing.T) {
	for name, want := range map[string]int{"seven": 6, "txn": 1} {
		b, err := os.ReadFile("testdata/" + name + ".snapshot")
		if err != nil {
			t.Fatal(err)
		}
		var s State
		if err := s.Decode(b, 7); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.Len() != want || s.End() != 7 {
			t.Fatalf("%s: %d producers, end %d", name, s.Len(), s.End())
		}
		for i, p := range s.Producers() {
			if p.Epoch != 0 || p.LastTimestamp < 1.7e12 || p.TxnFirstOffset != -1 ||
				p.LastSequence != map[string]int32{"seven": 0, "txn": 1}[name] {
				t.Errorf("%s: producer %d is %+v", name, i, p)
			}
		}
		// Apache orders the entries by its hash map, we by id.
		var again State
		if err := again.Decode(s.Encode(nil), 7); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(again.Producers()) != fmt.Sprint(s.Producers()) {
			t.Errorf("%s does not survive", name)
		}
		if name == "txn" && !bytes.Equal(s.Encode(nil), b) {
			t.Errorf("txn encodes differently\n%x\n%x", s.Encode(nil), b)
		}
		b[len(b)-3] ^= 1
		if err := s.Decode(b, 7); !errors.Is(err, ErrCorruptSnapshot) || s.Len() != 0 {
			t.Errorf("%s: damage is not noticed: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var s State
	s.Update(batch(3, 4, 5, 6))
	f.Add(s.Encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s State
		if s.Decode(b, 1) != nil {
			return
		}
		var again State
		if err := again.Decode(s.Encode(nil), 1); err != nil {
			t.Fatal(err)
		}
	})
}
