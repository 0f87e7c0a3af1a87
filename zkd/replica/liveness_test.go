package replica_test

import (
	"testing"

	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
	"zkafka/zkd/session"
)

// TestStuckClientLosesItsSession: the requests that wait because a client takes no replies are no
// sign of life, however often the host tries them again. Its session waits for the connection to be
// given up, and is over with it.
func TestStuckClientLosesItsSession(t *testing.T) {
	r := newRig(t, replica.Options{MaxUnsent: 1000})
	c := r.connect(2000)
	r.create(c, "/e", proto.ModeEphemeral, nil)
	r.sync()
	c.Take(nil)
	sent := r.now.MonoNanos
	r.m.SetUnsent(c, 5000)
	rest := r.m.Frames(c, many(ping(), 3), sent)
	if len(rest) == 0 {
		t.Fatal("a stuck connection does not have to wait")
	}
	r.pass(30, func() { rest = r.m.Frames(c, rest, sent) })
	if n := r.m.Status().Sessions; n != 1 {
		t.Fatal("the session of a connection that the server does not read has expired")
	}
	r.m.Closed(c)
	r.pass(2, r.sync)
	if st := r.m.Status(); st.Sessions != 0 || st.Ephemerals != 0 {
		t.Errorf("%d sessions and %d ephemerals outlive the connection", st.Sessions, st.Ephemerals)
	}
}

// TestEventsAreNoSign: a client that only takes watch events is silent.
func TestEventsAreNoSign(t *testing.T) {
	r := newRig(t, replica.Options{})
	c, writer := r.connect(2000), r.connect(20_000)
	r.create(writer, "/a", 0, nil)
	r.sync()
	r.send(c, request(proto.OpAddWatch, &proto.AddWatchRequest{Path: "/a"}))
	c.Take(nil)
	events := 0
	r.pass(4, func() {
		r.set(writer, "/a", nil)
		r.sync()
		if len(c.Take(nil)) > 0 {
			events++
		}
	})
	if n := r.m.Status().Sessions; n != 1 || events == 0 {
		t.Errorf("%d sessions after %d events", n, events)
	}
}

// TestBusyServerExpiresNobody: requests that have to wait for the disk or for others do not cost
// their client the session, nor does the time that their connection is not read.
func TestBusyServerExpiresNobody(t *testing.T) {
	r := newRig(t, replica.Options{OutstandingLimit: 2})
	c := r.connect(2000)
	rest := request(proto.OpSetData, &proto.SetDataRequest{Path: "/", Version: -1})
	rest = r.m.Frames(c, many(rest, 10), r.now.MonoNanos)
	if len(rest) == 0 {
		t.Fatal("the limit does not hold")
	}
	sent := r.now.MonoNanos
	r.pass(30, func() { rest = r.m.Frames(c, rest, sent) }) // the disk does nothing
	r.jump(900)                                             // shortly before a tick
	for range 10 {
		r.sync()
		rest = r.m.Frames(c, rest, sent)
	}
	if n := len(r.replies(c)); n != 10 || len(rest) > 0 {
		t.Fatalf("%d replies, %d bytes still wait", n, len(rest))
	}
	r.jump(400) // until the host reads on
	r.tick()
	r.send(c, ping())
	if n := len(r.replies(c)); n != 1 {
		t.Error("the session has expired while the server was busy")
	}
	r.pass(4, r.sync)
	if n := r.m.Status().Sessions; n != 0 {
		t.Error("the session of a silent client lives on")
	}
}

// TestGivingUpOnBusyServer: a client that got no answer from a busy server closes its connection
// and comes back. That its pings were not read meanwhile does not cost it the session.
func TestGivingUpOnBusyServer(t *testing.T) {
	for _, waits := range []bool{false, true} {
		r := newRig(t, replica.Options{OutstandingLimit: 2})
		c := r.connect(2000)
		id := c.Session()
		write := request(proto.OpSetData, &proto.SetDataRequest{Path: "/", Version: -1})
		rest := r.m.Frames(c, many(write, 10), r.now.MonoNanos)
		sent := r.now.MonoNanos
		r.pass(10, func() { rest = r.m.Frames(c, rest, sent) })
		if waits {
			r.m.Gone(c)
			for len(rest) > 0 {
				r.sync()
				rest = r.m.Frames(c, rest, sent)
			}
		}
		r.m.Closed(c)
		r.pass(1, r.sync)
		if n := r.m.Status().Sessions; n != 1 {
			t.Fatalf("requests wait %v: the session has expired", waits)
		}
		password := session.Password(id)
		again := r.open()
		hello := proto.ConnectRequest{Timeout: 2000, SessionID: id, Passwd: password[:]}
		r.send(again, framed(hello.Encode))
		r.send(again, ping())
		if n := len(r.replies(again)); n != 2 {
			t.Errorf("requests wait %v: %d replies to the client that came back", waits, n)
		}
		r.m.Closed(again)
		r.pass(4, r.sync)
		if n := r.m.Status().Sessions; n != 0 {
			t.Errorf("requests wait %v: the session of a client that left lives on", waits)
		}
	}
}

// TestArrivalCounts: what the server takes up late counts from when it arrived.
func TestArrivalCounts(t *testing.T) {
	r := newRig(t, replica.Options{})
	c := r.connect(4000)
	arrived := r.now.MonoNanos
	r.pass(3, nil)
	if rest := r.m.Frames(c, ping(), arrived); len(rest) > 0 {
		t.Fatal("a ping has to wait")
	}
	r.pass(3, r.sync)
	if n := r.m.Status().Sessions; n != 0 {
		t.Error("an old request has made the session live longer")
	}
}

// TestStandstill: a server that has stood still listens to its clients before it expires any.
func TestStandstill(t *testing.T) {
	r := newRig(t, replica.Options{})
	c, _ := r.connect(2000), r.connect(2000)
	r.jump(60_000)
	r.tick()
	if n := len(r.m.Effects().Expired); n != 0 {
		t.Fatalf("%d sessions expired of which nobody has listened to any", n)
	}
	r.pass(4, func() { r.send(c, ping()) })
	r.sync()
	if n := r.m.Status().Sessions; n != 1 {
		t.Errorf("%d sessions are left, one has a client", n)
	}
	if n := len(r.replies(c)); n != 16 {
		t.Errorf("%d replies to 16 pings", n)
	}
}

// TestSlowSessionStart: a session begins to age when its client can know of it.
func TestSlowSessionStart(t *testing.T) {
	r := newRig(t, replica.Options{})
	c := r.open()
	hello := proto.ConnectRequest{Timeout: 2000, Passwd: make([]byte, 16)}
	r.send(c, framed(hello.Encode))
	r.pass(10, nil) // the disk does nothing
	r.sync()
	r.tick()
	r.send(c, ping())
	if n := len(r.replies(c)); n != 2 {
		t.Errorf("%d replies, one of them that of the ping", n)
	}
}

// TestExpiryInSlices: sessions that expire together end a slice at a time, so that others are
// served in between, and no slice is longer because more of them wait.
func TestExpiryInSlices(t *testing.T) {
	const sessions, most = 2000, 300
	r := newRig(t, replica.Options{})
	living := r.connect(20_000)
	for range sessions {
		c := r.connect(2000)
		r.create(c, "/e-", proto.ModeEphemeralSequential, nil)
		r.sync()
	}
	turns := 0
	for r.m.Status().Sessions > 1 {
		before := r.m.LastZxid()
		r.pass(1, nil)
		for r.m.NextTick() <= r.now.MonoNanos && r.m.LastZxid() == before {
			r.m.Tick()
		}
		if n := r.m.LastZxid() - before; n > 4*most {
			t.Fatalf("%d sessions end in four ticks", n)
		}
		r.send(living, ping())
		r.sync()
		if turns++; turns > sessions {
			t.Fatalf("%d sessions are left", r.m.Status().Sessions)
		}
	}
	if st := r.m.Status(); st.Ephemerals != 0 || st.Metrics.StaleSessionsExpired != sessions {
		t.Errorf("%d ephemerals left, %d sessions expired", st.Ephemerals,
			st.Metrics.StaleSessionsExpired)
	}
	if n := len(r.replies(living)); n != turns {
		t.Errorf("the living session got %d of %d replies", n, turns)
	}
}
