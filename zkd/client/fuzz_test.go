package client

import (
	"net"
	"testing"

	"go.uber.org/zap"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// FuzzReplies hands a client whatever a server may send, with a request of every kind on the wire:
// it must answer each request once, or give the connection up.
func FuzzReplies(f *testing.F) {
	var w jute.Writer
	(&proto.ReplyHeader{Xid: 1, Zxid: 5}).Encode(&w)
	(&proto.GetDataResponse{Data: []byte("x")}).Encode(&w)
	f.Add(w.B, []byte{byte(proto.OpGetData)})
	w.B = nil
	(&proto.ReplyHeader{Xid: -1}).Encode(&w)
	(&proto.WatcherEvent{Type: proto.EventNodeDeleted, Path: "/k/x"}).Encode(&w)
	f.Add(w.B, []byte{byte(proto.OpExists), byte(proto.OpMulti)})
	f.Fuzz(func(t *testing.T, frame, ops []byte) {
		if len(ops) > 100 {
			return
		}
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		c := &Client{
			opt:   Options{Chroot: "/k", Log: zap.NewNop()},
			slots: make(chan struct{}, len(ops)), changed: make(chan struct{}),
		}
		cn := &conn{nc: ours}
		answered := make([]int, len(ops))
		for i, code := range ops {
			c.slots <- struct{}{}
			cn.sent.push(&call{
				xid: int32(i + 1), op: Op{code: proto.Op(code), path: "/x", watch: func(Event) {}},
				fn: func(OpResult) { answered[i]++ },
			})
		}
		for range 3 {
			var h proto.ReplyHeader
			r := jute.NewReader(frame, 0)
			h.Decode(r)
			if r.Err() != nil || c.handle(cn, &h, r) != nil {
				break
			}
		}
		for k := cn.sent.pop(); k != nil; k = cn.sent.pop() {
			c.finish(k, OpResult{Err: ErrConnectionLoss})
		}
		for i, n := range answered {
			if n != 1 {
				t.Errorf("request %d was answered %d times", i, n)
			}
		}
	})
}
