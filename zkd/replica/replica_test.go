package replica_test

import (
	"testing"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
	"zkafka/zkd/tree"
)

// TestSessionIDsAfterReboot: the clock that session ids are made of has started over, yet a new id
// is not one that the tree knows.
func TestSessionIDsAfterReboot(t *testing.T) {
	tr := tree.New()
	const known = 1<<56 | 12345<<16
	tr.Apply(&proto.Txn{
		Header: proto.TxnHeader{ClientID: known, Zxid: 1, Type: proto.OpCreateSession},
		Body:   &proto.CreateSessionTxn{Timeout: 4000},
	})
	m, err := replica.New(replica.Options{Tree: tr, Now: replica.Time{MonoNanos: 1e6}})
	if err != nil {
		t.Fatal(err)
	}
	c := replica.NewConn(replica.Peer{IP: "127.0.0.1"})
	m.Open(c)
	var w jute.Writer
	at := w.StartFrame()
	req := proto.ConnectRequest{Timeout: 4000}
	req.Encode(&w)
	w.EndFrame(at)
	m.Frames(c, w.B, 0)
	if c.Session() <= known {
		t.Errorf("session id 0x%x after 0x%x", c.Session(), int64(known))
	}
}

func TestHistogram(t *testing.T) {
	var h replica.Histogram
	for v := range int64(1000) {
		h.Add(v)
	}
	for _, c := range []struct {
		q    float64
		want int64
	}{{0.5, 500}, {0.9, 900}, {0.99, 990}, {0, 0}} {
		got := h.Quantile(c.q)
		if got > c.want || got < c.want*7/8 {
			t.Errorf("quantile %v is %d, not about %d", c.q, got, c.want)
		}
	}
	if h.Count != 1000 || h.Min != 0 || h.Max != 999 {
		t.Errorf("%+v", h.Summary)
	}
	var small replica.Histogram
	small.Add(5)
	small.Add(-1)
	if small.Quantile(0.99) != 5 || small.Quantile(0) != 0 {
		t.Error("small values are exact")
	}
}
