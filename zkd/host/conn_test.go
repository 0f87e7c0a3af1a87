package host_test

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"zkafka/zkd/host"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conn is a client connection without a socket: it submits requests and keeps what is delivered.
type conn struct {
	t    *testing.T
	link *host.Link
	xid  int32

	mu     sync.Mutex
	more   *sync.Cond
	in     []byte
	ended  bool
	bufs   int // buffers that are with the host
	unsent int
	stuck  bool // the socket takes nothing
}

func newConn(t *testing.T) *conn {
	c := &conn{t: t}
	c.more = sync.NewCond(&c.mu)
	return c
}

func attach(t *testing.T, h *host.Host) *conn {
	t.Helper()
	c := newConn(t)
	c.link = h.Attach(c, host.Peer{IP: "127.0.0.1", Addr: "127.0.0.1:1"})
	return c
}

func (c *conn) Deliver(frames []byte) []byte {
	c.mu.Lock()
	c.in = append(c.in, frames...)
	if c.stuck {
		c.unsent += len(frames)
	}
	stuck := c.stuck
	c.more.Broadcast()
	c.mu.Unlock()
	if !stuck {
		c.link.Sent()
	}
	return frames[:0]
}

func (c *conn) Unsent() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unsent
}

func (c *conn) Return([]byte) {
	c.mu.Lock()
	c.bufs--
	c.more.Broadcast()
	c.mu.Unlock()
}

func (c *conn) Finish() {
	c.mu.Lock()
	c.ended = true
	c.more.Broadcast()
	c.mu.Unlock()
}

// unstick lets the socket take everything.
func (c *conn) unstick() {
	c.mu.Lock()
	c.stuck, c.unsent = false, 0
	c.mu.Unlock()
	c.link.Sent()
}

func (c *conn) sendFrames(frames []byte) {
	c.mu.Lock()
	c.bufs++
	c.mu.Unlock()
	c.link.Submit(frames, frames, host.Nanos())
}

func frame(dst []byte, body func(w *jute.Writer)) []byte {
	w := jute.Writer{B: dst}
	at := w.StartFrame()
	body(&w)
	w.EndFrame(at)
	return w.B
}

func (c *conn) connect(timeout time.Duration) (session int64, err error) {
	c.sendFrames(frame(nil, func(w *jute.Writer) {
		req := proto.ConnectRequest{
			Timeout: int32(timeout.Milliseconds()), Passwd: make([]byte, 16), HasReadOnly: true,
		}
		req.Encode(w)
	}))
	b, err := c.recv()
	if err != nil {
		return 0, err
	}
	var resp proto.ConnectResponse
	resp.Decode(jute.NewReader(b, 0))
	return resp.SessionID, nil
}

// recv returns the next frame, io.EOF when the connection is at its end.
func (c *conn) recv() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if len(c.in) >= 4 {
			n := int(binary.BigEndian.Uint32(c.in))
			b := append([]byte(nil), c.in[4:4+n]...)
			c.in = c.in[4+n:]
			return b, nil
		}
		if c.ended {
			return nil, io.EOF
		}
		c.more.Wait()
	}
}

func (c *conn) request(dst []byte, op proto.Op, body proto.Record) []byte {
	c.xid++
	return frame(dst, func(w *jute.Writer) {
		h := proto.RequestHeader{Xid: c.xid, Type: op}
		h.Encode(w)
		if body != nil {
			body.Encode(w)
		}
	})
}

// call sends a request and returns the body of its reply.
func (c *conn) call(op proto.Op, body proto.Record) (*jute.Reader, error) {
	c.sendFrames(c.request(nil, op, body))
	return c.reply()
}

func (c *conn) reply() (*jute.Reader, error) {
	for {
		b, err := c.recv()
		if err != nil {
			return nil, err
		}
		r := jute.NewReader(b, 0)
		var h proto.ReplyHeader
		h.Decode(r)
		if h.Xid == proto.XidNotification {
			continue
		}
		return r, h.Err.Err()
	}
}

func (c *conn) create(path string, data []byte) error {
	_, err := c.call(proto.OpCreate, &proto.CreateRequest{
		Path: path, Data: data, ACL: proto.OpenACL(),
	})
	return err
}

func (c *conn) get(path string) ([]byte, error) {
	r, err := c.call(proto.OpGetData, &proto.GetDataRequest{Path: path})
	if err != nil {
		return nil, err
	}
	return r.Buffer(), nil
}

func closeHost(t *testing.T, h *host.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Error(err)
	}
}
