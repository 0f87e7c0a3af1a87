package replica_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
)

// TestQueuedReadsAreBounded: what reads behind a write will return counts against the connection's
// limit, also when the znode becomes large only by writes that are on their way, those of another
// session and those that are undone again among them.
func TestQueuedReadsAreBounded(t *testing.T) {
	const unsent = 100_000
	big := make([]byte, 20_000)
	r := newRig(t, replica.Options{MaxUnsent: unsent})
	c, other := r.connect(20_000), r.connect(20_000)
	r.create(c, "/a", 0, nil)
	r.create(c, "/dir", 0, nil)
	r.sync()
	r.replies(c)
	name := strings.Repeat("n", 20_000)
	for what, queue := range map[string]struct {
		write func()
		read  []byte
	}{
		"data": {func() {
			r.set(other, "/a", big)
			r.set(c, "/b", nil) // fails, but not before its turn
			r.set(other, "/a", nil)
		}, get("/a")},
		"node made anew": {func() {
			r.create(c, "/new", 0, big)
			r.send(c, request(proto.OpDelete, &proto.DeleteRequest{Path: "/new", Version: -1}))
			r.create(c, "/new", 0, nil)
		}, get("/new")},
		"children": {func() { r.create(c, "/dir/"+name, 0, nil) }, request(proto.OpGetChildren,
			&proto.GetChildrenRequest{Path: "/dir"})},
		"several": {func() { r.set(c, "/a", big) }, request(proto.OpMultiRead,
			&proto.MultiRequest{Ops: []proto.MultiOp{
				{Type: proto.OpGetData, Body: &proto.GetDataRequest{Path: "/a"}},
				{Type: proto.OpGetChildren, Body: &proto.GetChildrenRequest{Path: "/dir"}},
			}})},
		"ACL": {func() {
			r.send(c, request(proto.OpSetACL, &proto.SetACLRequest{
				Path: "/a", Version: -1, ACL: []proto.ACL{
					{Perms: proto.PermAll, ID: proto.ID{Scheme: "world", ID: "anyone"}},
					{Perms: proto.PermRead, ID: proto.ID{Scheme: "digest", ID: "u:" + name}},
				},
			}))
		}, request(proto.OpGetACL, &proto.GetACLRequest{Path: "/a"})},
		"ephemerals": {func() { r.create(c, "/e"+name, proto.ModeEphemeral, nil) },
			request(proto.OpGetEphemerals, &proto.GetEphemeralsRequest{PrefixPath: "/"})},
		"requests": {func() { r.set(c, "/a", nil) }, request(proto.OpExists,
			&proto.ExistsRequest{Path: "/" + name})},
	} {
		queue.write()
		const reads = 100
		rest := r.m.Frames(c, many(queue.read, reads), r.now.MonoNanos)
		if taken := reads - len(rest)/len(queue.read); taken < 2 || taken > 8 {
			t.Errorf("%s: %d reads were queued", what, taken)
		}
		replies := 0
		for len(rest) > 0 {
			r.sync()
			out := c.Take(nil)
			if len(out) > unsent+50_000 {
				t.Fatalf("%s: %d bytes at once", what, len(out))
			}
			replies += bytes.Count(out, []byte{0, 0, 0, 1, 0, 0, 0, 0})
			rest = r.m.Frames(c, rest, r.now.MonoNanos)
		}
		r.sync()
		if out := c.Take(nil); replies == 0 || len(out) > unsent+50_000 {
			t.Errorf("%s: %d bytes in the end", what, len(out))
		}
	}
}

// TestMultiReadIsBounded: a multiRead whose answer would be too long fails as a whole.
func TestMultiReadIsBounded(t *testing.T) {
	r := newRig(t, replica.Options{MaxMultiRead: 100_000})
	c := r.connect(20_000)
	r.create(c, "/a", 0, make([]byte, 10_000))
	r.sync()
	r.replies(c)
	read := func(n int) []proto.Err {
		var req proto.MultiRequest
		for range n {
			req.Ops = append(req.Ops, proto.MultiOp{
				Type: proto.OpGetData, Body: &proto.GetDataRequest{Path: "/a"},
			})
		}
		r.send(c, request(proto.OpMultiRead, &req))
		r.send(c, ping())
		return r.replies(c)
	}
	if errs := read(9); len(errs) != 2 || errs[0] != proto.ErrOK {
		t.Errorf("what fits: %v", errs)
	}
	if errs := read(12); len(errs) != 2 || errs[0] != proto.ErrMarshallingError {
		t.Errorf("what does not fit: %v", errs)
	}
}

// TestBacklogIsBounded: writes wait while too many bytes are on their way to the disk, connections
// that wait come before those that have just sent, reads do not wait.
func TestBacklogIsBounded(t *testing.T) {
	const limit = 100_000
	r := newRig(t, replica.Options{MaxBacklog: limit})
	c, late, reader := r.connect(20_000), r.connect(20_000), r.connect(20_000)
	r.create(c, "/a", 0, nil)
	r.sync()
	r.replies(c)
	write := request(proto.OpSetData, &proto.SetDataRequest{
		Path: "/a", Data: make([]byte, 10_000), Version: -1,
	})
	rest := r.m.Frames(c, many(write, 30), r.now.MonoNanos)
	if n := len(r.m.Effects().Log.Buf); n < limit || n > limit+11_000 {
		t.Fatalf("%d bytes on their way to the disk", n)
	}
	if waits := r.m.Frames(late, write, r.now.MonoNanos); len(waits) == 0 {
		t.Error("another connection writes beyond the limit")
	}
	fresh := r.open()
	hello := proto.ConnectRequest{Timeout: 2000, Passwd: make([]byte, 16)}
	if waits := r.m.Frames(fresh, framed(hello.Encode), r.now.MonoNanos); len(waits) == 0 {
		t.Error("a session is made beyond the limit")
	}
	r.send(reader, get("/a"))
	if n := len(r.replies(reader)); n != 1 {
		t.Error("a read waits for the disk")
	}
	for len(rest) > 0 {
		r.sync()
		// Somebody who has not had to wait yet never takes the room of those who do.
		eager := r.connectEagerly(write)
		before := len(rest)
		rest = r.m.Frames(c, rest, r.now.MonoNanos)
		if len(rest) == before {
			t.Fatal("a connection that waits got nothing of the room")
		}
		r.m.Closed(eager)
	}
	if waits := r.m.Frames(late, write, r.now.MonoNanos); len(waits) > 0 {
		r.sync()
		r.send(late, write)
	}
	r.sync()
	if n := len(r.replies(c)); n != 30 {
		t.Errorf("%d of 30 replies", n)
	}
	if n := len(r.replies(late)); n != 1 {
		t.Errorf("%d replies to the late one", n)
	}
}

// connectEagerly returns a connection that sends the frame as often as it is taken.
func (r *rig) connectEagerly(frame []byte) *replica.Conn {
	c := r.connect(20_000)
	r.m.Frames(c, many(frame, 50), r.now.MonoNanos)
	return c
}

// TestEventsAreBounded: a connection that takes nothing while events gather is closed, one that is
// slow but has few of them is not, and the others hear of everything.
func TestEventsAreBounded(t *testing.T) {
	r := newRig(t, replica.Options{MaxUnsent: 1000, MaxEvents: 10_000})
	stuck, slow, quick, writer := r.connect(20_000), r.connect(20_000), r.connect(20_000),
		r.connect(20_000)
	r.create(writer, "/a", 0, nil)
	r.sync()
	watch := request(proto.OpAddWatch, &proto.AddWatchRequest{Path: "/a"})
	for _, c := range []*replica.Conn{stuck, slow, quick} {
		r.send(c, watch)
		c.Take(nil)
	}
	unsent, events := 0, 0
	for i := range 1000 {
		r.set(writer, "/a", fmt.Append(nil, i))
		r.sync()
		r.replies(writer)
		r.m.SetUnsent(stuck, unsent)
		unsent += len(stuck.Take(nil))
		if i%100 == 0 {
			slow.Take(nil)
			r.m.SetUnsent(slow, 0)
		}
		r.m.SetUnsent(slow, 5000)
		r.m.SetUnsent(quick, 0)
		if len(quick.Take(nil)) > 0 {
			events++
		}
	}
	closed := r.m.Effects().Closed
	if len(closed) != 1 || closed[0] != stuck {
		t.Errorf("%d connections were closed", len(closed))
	}
	if unsent > 12_000 || events != 1000 {
		t.Errorf("%d bytes for the stuck one, %d events for the quick one", unsent, events)
	}
}

// TestIdentitiesAreBounded: a connection cannot gather identities for ever.
func TestIdentitiesAreBounded(t *testing.T) {
	r := newRig(t, replica.Options{})
	for what, pad := range map[string]string{"many": "", "long": strings.Repeat("x", 10_000)} {
		c := r.connect(20_000)
		auths := 0
		for ; len(r.m.Effects().Closed) == 0 && auths < 3000; auths++ {
			r.send(c, request(proto.OpAuth, &proto.AuthPacket{
				Scheme: "digest", Auth: fmt.Appendf(nil, "u%d%s:p", auths, pad),
			}))
		}
		if len(r.m.Effects().Closed) == 0 {
			t.Errorf("%s: %d identities", what, auths)
		}
		errs := r.replies(c)
		if last := errs[len(errs)-1]; last != proto.ErrAuthFailed {
			t.Errorf("%s: %v in the end", what, last)
		}
		r.m.Effects().Closed = nil
	}
}
