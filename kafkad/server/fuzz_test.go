package server_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/handler"
)

// discard takes replies and checks that spans lie where the head says.
type discard struct{ t *testing.T }

func (d discard) Write(b []byte) (int, error) { return len(b), nil }

func (d discard) WriteSpans(head []byte, spans []handler.Span) error {
	at := 0
	for _, s := range spans {
		if s.At < at || s.At > len(head) || s.Len <= 0 {
			d.t.Errorf("span %+v in a head of %d bytes", s, len(head))
		}
		at = s.At
	}
	return nil
}

// FuzzServe gives arbitrary frames to the handlers that read them by hand or touch the logs.
// Nothing a client sends may bring the broker down, and good requests must work afterwards.
func FuzzServe(f *testing.F) {
	c := &client{}
	for v := int16(0); v <= 11; v++ {
		f.Add(c.frame(produceRequest("t", 0, -1, batch("a", "b")), v)[4:])
	}
	for v := int16(0); v <= 17; v++ {
		f.Add(c.frame(fetchRequest("t", 0, 5), v)[4:])
	}
	for _, req := range []kmsg.Request{
		kmsg.NewPtrListOffsetsRequest(), kmsg.NewPtrApiVersionsRequest(),
		kmsg.NewPtrInitProducerIDRequest(), kmsg.NewPtrOffsetForLeaderEpochRequest(),
		kmsg.NewPtrDescribeLogDirsRequest(),
	} {
		f.Add(c.frame(req, 2)[4:])
	}
	mine := map[byte]bool{0: true, 1: true, 2: true, 18: true, 22: true, 23: true, 35: true}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // so that long polls end at once
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 2 || frame[0] != 0 || !mine[frame[1]] {
			return
		}
		r := newRig(t, withFS(disk.NewMem(), "/data"))
		r.lead("t", 1)
		h := &handler.Handlers{NodeID: 1, Host: r.host, Store: r}
		conn := &handler.Conn{Out: discard{t}}
		for range 2 { // the second time with the connection's memory in use
			_ = h.Serve(ctx, conn, append([]byte(nil), frame...)) // an error closes the connection
		}
		conn.Close()
		cl := r.dial()
		if p := cl.produce("t", 0, 9, 1, batch("still here")); p.ErrorCode != 0 {
			t.Errorf("produce afterwards: %+v", p)
		}
	})
}
