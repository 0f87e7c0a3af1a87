package client

import (
	"bufio"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// fakeServer is a ZooKeeper server that does as the test says: the test accepts each connection and
// reads and answers its frames itself.
type fakeServer struct {
	t     *testing.T
	conns chan net.Conn
	mu    sync.Mutex
	down  bool // dialling fails
}

func newFakeServer(t *testing.T) *fakeServer {
	return &fakeServer{t: t, conns: make(chan net.Conn)}
}

// dial stands in for the network of a client.
func (s *fakeServer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	}
	ours, theirs := net.Pipe()
	select {
	case s.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *fakeServer) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// client returns a client of the fake server; the test closes it.
func (s *fakeServer) client(change ...func(*Options)) *Client {
	s.t.Helper()
	opt := Options{
		Servers: []string{"fake"}, DialContext: s.dial, SessionTimeout: 9 * time.Second,
	}
	for _, f := range change {
		f(&opt)
	}
	c, err := Dial(s.t.Context(), opt)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Abandon)
	return c
}

// fakeConn is the server's end of one connection.
type fakeConn struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader
}

// accept takes the client's next connection and reads its connect request.
func (s *fakeServer) accept() (*fakeConn, *proto.ConnectRequest) {
	s.t.Helper()
	f := &fakeConn{t: s.t}
	select {
	case f.nc = <-s.conns:
	case <-time.After(10 * time.Second):
		s.t.Fatal("the client does not connect")
	}
	f.br = bufio.NewReader(f.nc)
	req := new(proto.ConnectRequest)
	r := jute.NewReader(f.frame(), 0)
	req.Decode(r)
	if r.Err() != nil {
		s.t.Fatal(r.Err())
	}
	return f, req
}

// establish accepts a connection and grants session 7.
func (s *fakeServer) establish() *fakeConn {
	s.t.Helper()
	f, _ := s.accept()
	f.grant(7, 9000)
	return f
}

func (f *fakeConn) grant(id int64, timeoutMillis int32) {
	f.t.Helper()
	f.send(&proto.ConnectResponse{
		Timeout: timeoutMillis, SessionID: id, Passwd: []byte("0123456789abcdef"),
		HasReadOnly: true,
	})
}

func (f *fakeConn) frame() []byte {
	f.t.Helper()
	if err := f.nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		f.t.Fatal(err)
	}
	b, err := readFrame(f.br, nil, 1<<20)
	if err != nil {
		f.t.Fatalf("read the client's frame: %v", err)
	}
	return b
}

// request reads a request and checks its type; pings are skipped.
func (f *fakeConn) request(op proto.Op, body proto.Record) int32 {
	f.t.Helper()
	for {
		r := jute.NewReader(f.frame(), 0)
		var h proto.RequestHeader
		h.Decode(r)
		if h.Type == proto.OpPing && op != proto.OpPing {
			continue
		}
		if h.Type != op {
			f.t.Fatalf("the client sent %s, want %s", h.Type, op)
		}
		if body != nil {
			body.Decode(r)
		}
		if r.Err() != nil {
			f.t.Fatal(r.Err())
		}
		return h.Xid
	}
}

// send writes one frame of the records.
func (f *fakeConn) send(records ...proto.Record) {
	f.t.Helper()
	var w jute.Writer
	at := w.StartFrame()
	for _, r := range records {
		r.Encode(&w)
	}
	w.EndFrame(at)
	if _, err := f.nc.Write(w.B); err != nil {
		f.t.Fatal(err)
	}
}

// reply answers a request.
func (f *fakeConn) reply(xid int32, zxid int64, code proto.Err, body ...proto.Record) {
	f.t.Helper()
	h := &proto.ReplyHeader{Xid: xid, Zxid: zxid, Err: code}
	f.send(append([]proto.Record{h}, body...)...)
}

// event sends a watch event.
func (f *fakeConn) event(t proto.EventType, path string) {
	f.t.Helper()
	f.reply(proto.XidNotification, -1, proto.ErrOK,
		&proto.WatcherEvent{Type: t, State: proto.StateSyncConnected, Path: path})
}

// raw writes bytes as they are.
func (f *fakeConn) raw(b ...byte) {
	f.t.Helper()
	if _, err := f.nc.Write(b); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeConn) close() { f.nc.Close() }
