package replica_test

import (
	"testing"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
	"zkafka/zkd/tree"
)

// rig drives a machine whose disk, clock and sockets the test holds.
type rig struct {
	t   *testing.T
	m   *replica.Machine
	now replica.Time
}

// newRig returns a machine with ticks of a second.
func newRig(t *testing.T, o replica.Options) *rig {
	t.Helper()
	r := &rig{t: t, now: replica.Time{MonoNanos: 1e12, WallMillis: 1e12}}
	o.Tree, o.Now, o.TickMillis = tree.New(), r.now, 1000
	o.ContainerCheckMillis = -1
	m, err := replica.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.m = m
	return r
}

// jump turns the clock without a tick.
func (r *rig) jump(millis int64) {
	r.now.MonoNanos += millis * 1e6
	r.now.WallMillis += millis
	r.m.SetTime(r.now)
}

// pass lets seconds pass in small steps, with the ticks that are due, and calls each after every
// step.
func (r *rig) pass(seconds int, each func()) {
	for range 4 * seconds {
		r.jump(250)
		r.tick()
		if each != nil {
			each()
		}
	}
}

func (r *rig) tick() {
	if r.m.NextTick() <= r.now.MonoNanos {
		r.m.Tick()
	}
}

// sync makes everything durable that is logged.
func (r *rig) sync() {
	for {
		batch := r.m.TakeLog(replica.LogBatch{})
		if len(batch.Recs) == 0 {
			return
		}
		r.m.Durable(batch.Recs[len(batch.Recs)-1].Zxid)
	}
}

// open makes a connection.
func (r *rig) open() *replica.Conn {
	c := replica.NewConn(replica.Peer{IP: "127.0.0.1", Addr: "127.0.0.1:1"})
	r.m.Open(c)
	return c
}

// connect makes a connection with a session.
func (r *rig) connect(timeoutMillis int32) *replica.Conn {
	r.t.Helper()
	c := r.open()
	r.send(c, framed(func(w *jute.Writer) {
		req := proto.ConnectRequest{Timeout: timeoutMillis, Passwd: make([]byte, 16)}
		req.Encode(w)
	}))
	r.sync()
	if c.Session() == 0 || len(c.Take(nil)) == 0 {
		r.t.Fatal("no session")
	}
	return c
}

// send gives the machine frames that must be taken.
func (r *rig) send(c *replica.Conn, frames []byte) {
	r.t.Helper()
	if rest := r.m.Frames(c, frames, r.now.MonoNanos); len(rest) > 0 {
		r.t.Fatalf("%d bytes have to wait", len(rest))
	}
}

func (r *rig) create(c *replica.Conn, path string, flags int32, data []byte) {
	r.t.Helper()
	r.send(c, request(proto.OpCreate, &proto.CreateRequest{
		Path: path, Data: data, ACL: proto.OpenACL(), Flags: flags,
	}))
}

func (r *rig) set(c *replica.Conn, path string, data []byte) {
	r.t.Helper()
	r.send(c, request(proto.OpSetData, &proto.SetDataRequest{Path: path, Data: data, Version: -1}))
}

// replies takes what was encoded for c and returns the errors of the replies in it.
func (r *rig) replies(c *replica.Conn) (errs []proto.Err) {
	r.t.Helper()
	for out := c.Take(nil); len(out) > 0; {
		frame := jute.NewReader(out, 0).Buffer()
		out = out[4+len(frame):]
		var h proto.ReplyHeader
		h.Decode(jute.NewReader(frame, 0))
		if h.Xid != proto.XidNotification {
			errs = append(errs, h.Err)
		}
	}
	return errs
}

func framed(body func(w *jute.Writer)) []byte {
	var w jute.Writer
	at := w.StartFrame()
	body(&w)
	w.EndFrame(at)
	return w.B
}

func request(op proto.Op, body proto.Record) []byte {
	return framed(func(w *jute.Writer) {
		h := proto.RequestHeader{Xid: 1, Type: op}
		h.Encode(w)
		if body != nil {
			body.Encode(w)
		}
	})
}

func ping() []byte { return request(proto.OpPing, nil) }

func get(path string) []byte {
	return request(proto.OpGetData, &proto.GetDataRequest{Path: path})
}

// many repeats a frame.
func many(frame []byte, n int) []byte {
	var b []byte
	for range n {
		b = append(b, frame...)
	}
	return b
}
