package replica_test

import (
	"encoding/binary"
	"testing"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
	"zkafka/zkd/tree"
)

// FuzzFrames sends arbitrary requests behind a handshake. The machine must answer or close, keep its
// accounts in order, and write a log that reads back and gives the same tree.
func FuzzFrames(f *testing.F) {
	var w jute.Writer
	for op, body := range map[proto.Op]proto.Record{
		proto.OpCreate:  &proto.CreateRequest{Path: "/a", ACL: proto.OpenACL(), Flags: 1},
		proto.OpSetData: &proto.SetDataRequest{Path: "/zookeeper", Version: -1},
		proto.OpMulti: &proto.MultiRequest{Ops: []proto.MultiOp{
			{Type: proto.OpCheck, Body: &proto.CheckVersionRequest{Path: "/"}},
			{Type: proto.OpCreateTTL, Body: &proto.CreateTTLRequest{Path: "/t", Flags: 5}},
		}},
		proto.OpSetWatches2: &proto.SetWatches2{DataWatches: []string{"/x"}, ChildWatches: []string{"/"}},
		proto.OpAuth:        &proto.AuthPacket{Scheme: "digest", Auth: []byte("a:b")},
	} {
		w.B = nil
		h := proto.RequestHeader{Xid: 1, Type: op}
		h.Encode(&w)
		body.Encode(&w)
		f.Add(w.B, []byte{0, 0, 0, 2, 0xff, 0xff, 0xff, 0xf5})
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		now := replica.Time{MonoNanos: 1e12, WallMillis: 1e12}
		m, err := replica.New(replica.Options{Tree: tree.New(), Now: now, ExtendedTypes: true})
		if err != nil {
			t.Fatal(err)
		}
		c := replica.NewConn(replica.Peer{IP: "127.0.0.1"})
		m.Open(c)
		var hello jute.Writer
		req := proto.ConnectRequest{Timeout: 10000}
		req.Encode(&hello)
		again := tree.New()
		for _, frame := range [][]byte{hello.B, first, second, second} {
			b := binary.BigEndian.AppendUint32(nil, uint32(len(frame)))
			m.Frames(c, append(b, frame...), now.MonoNanos)
			batch := m.TakeLog(replica.LogBatch{})
			at := 0
			for _, rec := range batch.Recs {
				txn, err := proto.DecodeTxn(batch.Buf[at:rec.End])
				if err != nil {
					t.Fatalf("the log has what nobody can read: %v", err)
				}
				again.Apply(txn)
				m.Durable(rec.Zxid)
				at = rec.End
			}
		}
		if a, b := m.Tree().Digest(), again.Digest(); a != b {
			t.Fatalf("the log gives another tree: %x, %x", a, b)
		}
		if n := m.Tree().DigestMismatches(); n != 0 {
			t.Fatalf("%d digests do not fit", n)
		}
		m.Closed(c)
		if st := m.Status(); st.Outstanding != 0 || st.Watches.Watches != 0 {
			t.Fatalf("left over: %+v", st)
		}
	})
}
