//go:build interop

package interop

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// TestInteropClient runs our client against our server and against Apache's oldest and newest.
func TestInteropClient(t *testing.T) {
	for _, name := range []string{"zkd", "zookeeper-3.9.4", "zookeeper-3.4.14"} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, name)
			for _, test := range []struct {
				name string
				run  func(*testing.T, *server)
			}{
				{"nodes", testNodes},
				{"errors", testErrors},
				{"watches", testWatches},
				{"multi", testMulti},
				{"acl", testACL},
				{"auth refused", testAuthRefused},
				{"chroot", testChroot},
				{"pipeline", testPipeline},
				{"ephemeral", testEphemeral},
				{"attach", testAttach},
				{"expiry", testExpiry},
				{"newer requests", testNewer},
				{"restart", testRestart}, // last: it kills the server
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, s) })
			}
		})
	}
}

func dial(t *testing.T, s *server, change ...func(*client.Options)) *client.Client {
	t.Helper()
	opt := client.Options{Servers: []string{s.addr}, SessionTimeout: 10 * time.Second}
	for _, f := range change {
		f(&opt)
	}
	c, err := client.Dial(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abandon)
	if err := c.Wait(timeout(t)); err != nil {
		t.Fatal(err)
	}
	return c
}

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func event(t *testing.T, ch <-chan client.Event) client.Event {
	t.Helper()
	select {
	case e := <-ch:
		return e
	case <-timeout(t).Done():
		t.Fatal("no event")
	}
	panic("unreachable")
}

func testNodes(t *testing.T, s *server) {
	ctx, c, acl := timeout(t), dial(t, s), proto.OpenACL()
	p, err := c.CreateRecursive(ctx, "/nodes/a/b", []byte("one"), acl, proto.ModePersistent)
	check(t, err)
	if p != "/nodes/a/b" {
		t.Errorf("created %q", p)
	}
	data, st, err := c.Get(ctx, p)
	check(t, err)
	if string(data) != "one" || st.Version != 0 || st.DataLength != 3 || st.Czxid != st.Mzxid {
		t.Errorf("got %q, %+v", data, st)
	}
	st2, err := c.Set(ctx, p, []byte("two two"), 0)
	check(t, err)
	if st2.Version != 1 || st2.DataLength != 7 || st2.Mzxid <= st.Mzxid {
		t.Errorf("after set %+v", st2)
	}
	_, err = c.Create(ctx, "/nodes/null", nil, proto.OpenACL(), proto.ModePersistent)
	check(t, err)
	_, err = c.Create(ctx, "/nodes/empty", []byte{}, proto.OpenACL(), proto.ModePersistent)
	check(t, err)
	if d, _, err := c.Get(ctx, "/nodes/null"); err != nil || d != nil {
		t.Errorf("null data came back as %v, %v", d, err)
	}
	if d, _, err := c.Get(ctx, "/nodes/empty"); err != nil || d == nil || len(d) != 0 {
		t.Errorf("empty data came back as %v, %v", d, err)
	}
	for i := range 3 {
		p, err := c.Create(ctx, "/nodes/a/s-", nil, proto.OpenACL(), proto.ModePersistentSequential)
		check(t, err)
		if want := fmt.Sprintf("/nodes/a/s-%010d", i+1); p != want {
			t.Errorf("sequential node %q, want %q", p, want)
		}
	}
	names, st, err := c.Children(ctx, "/nodes/a")
	check(t, err)
	slices.Sort(names)
	want := []string{"b", "s-0000000001", "s-0000000002", "s-0000000003"}
	if !slices.Equal(names, want) || st.NumChildren != 4 || st.Cversion != 4 {
		t.Errorf("children %v, %+v", names, st)
	}
	check(t, c.Sync(ctx, "/nodes"))
	check(t, c.DeleteRecursive(ctx, "/nodes"))
	if found, _, err := c.Exists(ctx, "/nodes"); err != nil || found {
		t.Errorf("after DeleteRecursive: found %v, %v", found, err)
	}
	check(t, c.Close(ctx))
	if _, _, err := c.Get(ctx, "/"); !errors.Is(err, client.ErrClosed) {
		t.Errorf("get on a closed client: %v", err)
	}
}

func testErrors(t *testing.T, s *server) {
	ctx, c := timeout(t), dial(t, s)
	acl := proto.OpenACL()
	_, err := c.Create(ctx, "/errors", nil, acl, proto.ModePersistent)
	check(t, err)
	_, err = c.Create(ctx, "/errors/e", nil, acl, proto.ModeEphemeral)
	check(t, err)
	for _, test := range []struct {
		op   client.Op
		want proto.Err
	}{
		{client.CreateOp("/errors", nil, acl, 0), proto.ErrNodeExists},
		{client.CreateOp("/errors/x/y", nil, acl, 0), proto.ErrNoNode},
		{client.CreateOp("/errors/e/y", nil, acl, 0), proto.ErrNoChildrenForEphemerals},
		{client.CreateOp("/errors/n", nil, []proto.ACL{}, 0), proto.ErrInvalidACL},
		{client.CreateOp("/errors/..", nil, acl, 0), proto.ErrBadArguments},
		{client.CreateOp("/errors/n", nil, acl, 77), proto.ErrBadArguments},
		{client.GetOp("/errors/n"), proto.ErrNoNode},
		{client.SetOp("/errors/n", nil, -1), proto.ErrNoNode},
		{client.SetOp("/errors", nil, 7), proto.ErrBadVersion},
		{client.DeleteOp("/errors", -1), proto.ErrNotEmpty},
		{client.DeleteOp("/errors/e", 9), proto.ErrBadVersion},
		{client.DeleteOp("/errors/n", -1), proto.ErrNoNode},
		{client.ChildrenOp("/errors/n"), proto.ErrNoNode},
		{client.GetACLOp("/errors/n"), proto.ErrNoNode},
		{client.SetACLOp("/errors", acl, 5), proto.ErrBadVersion},
	} {
		if r := c.Do(ctx, test.op); !errors.Is(r.Err, test.want) {
			t.Errorf("%+v: %v, want %v", test.op, r.Err, test.want)
		}
	}
	check(t, c.DeleteRecursive(ctx, "/errors"))
	check(t, c.Close(ctx))
}

func testWatches(t *testing.T, s *server) {
	ctx, c, other := timeout(t), dial(t, s), dial(t, s)
	found, _, created, err := c.ExistsW(ctx, "/watches")
	check(t, err)
	if found {
		t.Fatal("/watches is there already")
	}
	_, err = other.Create(ctx, "/watches", nil, proto.OpenACL(), proto.ModePersistent)
	check(t, err)
	if e := event(t, created); e.Type != proto.EventNodeCreated || e.Path != "/watches" {
		t.Errorf("got %+v", e)
	}
	_, _, data, err := c.GetW(ctx, "/watches")
	check(t, err)
	_, _, child, err := c.ChildrenW(ctx, "/watches")
	check(t, err)
	_, err = other.Create(ctx, "/watches/c", nil, proto.OpenACL(), proto.ModePersistent)
	check(t, err)
	if e := event(t, child); e.Type != proto.EventNodeChildrenChanged || e.Path != "/watches" {
		t.Errorf("got %+v", e)
	}
	_, err = other.Set(ctx, "/watches", []byte("x"), -1)
	check(t, err)
	if e := event(t, data); e.Type != proto.EventNodeDataChanged {
		t.Errorf("got %+v", e)
	}
	_, _, gone, err := c.ExistsW(ctx, "/watches/c")
	check(t, err)
	check(t, other.Delete(ctx, "/watches/c", -1))
	if e := event(t, gone); e.Type != proto.EventNodeDeleted {
		t.Errorf("got %+v", e)
	}
	// A watch that never fires ends with the session.
	_, _, never, err := c.GetW(ctx, "/watches")
	check(t, err)
	check(t, c.Close(ctx))
	if e := event(t, never); e.Type != proto.EventNone || e.State != proto.StateClosed {
		t.Errorf("got %+v", e)
	}
	check(t, other.DeleteRecursive(ctx, "/watches"))
	check(t, other.Close(ctx))
}

func testMulti(t *testing.T, s *server) {
	ctx, c := timeout(t), dial(t, s)
	acl := proto.OpenACL()
	res, err := c.Multi(ctx,
		client.CreateOp("/multi", []byte("v"), acl, proto.ModePersistent),
		client.CreateOp("/multi/s-", nil, acl, proto.ModePersistentSequential),
		client.SetOp("/multi", []byte("w"), 0),
		client.CheckOp("/multi", 1),
		client.CreateOp("/multi/gone", nil, acl, proto.ModePersistent),
		client.DeleteOp("/multi/gone", -1))
	check(t, err)
	if len(res) != 6 || res[0].Path != "/multi" || res[1].Path != "/multi/s-0000000000" ||
		res[2].Stat.Version != 1 {
		t.Errorf("results %+v", res)
	}
	res, err = c.Multi(ctx,
		client.SetOp("/multi", []byte("no"), 1),
		client.DeleteOp("/multi", 5),
		client.SetOp("/multi", []byte("no"), -1))
	if !errors.Is(err, proto.ErrBadVersion) || len(res) != 3 || res[0].Err != nil ||
		!errors.Is(res[1].Err, proto.ErrBadVersion) ||
		!errors.Is(res[2].Err, proto.ErrRuntimeInconsistency) {
		t.Errorf("failed multi: %v, %+v", err, res)
	}
	if d, _, err := c.Get(ctx, "/multi"); err != nil || string(d) != "w" {
		t.Errorf("after a failed multi: %q, %v", d, err)
	}
	if res, err := c.Multi(ctx); err != nil || len(res) != 0 {
		t.Errorf("empty multi: %v, %v", res, err)
	}
	if _, err := c.Multi(ctx, client.GetOp("/")); !errors.Is(err, proto.ErrMultiOp) {
		t.Errorf("a read in a multi: %v", err)
	}
	check(t, c.DeleteRecursive(ctx, "/multi"))
	check(t, c.Close(ctx))
}

func testACL(t *testing.T, s *server) {
	ctx, c, other := timeout(t), dial(t, s), dial(t, s)
	check(t, c.AddAuth(ctx, "digest", []byte("u:p")))
	_, err := c.Create(ctx, "/acl", []byte("s"), proto.CreatorAllACL(), proto.ModePersistent)
	check(t, err)
	acl, st, err := c.GetACL(ctx, "/acl")
	check(t, err)
	hash := sha1.Sum([]byte("u:p"))
	id := proto.ID{Scheme: "digest", ID: "u:" + base64.StdEncoding.EncodeToString(hash[:])}
	want := proto.ACL{Perms: proto.PermAll, ID: id}
	if len(acl) != 1 || acl[0] != want || st.Aversion != 0 {
		t.Errorf("ACL %+v, want %+v", acl, want)
	}
	if _, _, err := other.Get(ctx, "/acl"); !errors.Is(err, proto.ErrNoAuth) {
		t.Errorf("get by a stranger: %v", err)
	}
	st, err = c.SetACL(ctx, "/acl", append(proto.ReadACL(), acl...), 0)
	check(t, err)
	if st.Aversion != 1 {
		t.Errorf("after setACL %+v", st)
	}
	if d, _, err := other.Get(ctx, "/acl"); err != nil || string(d) != "s" {
		t.Errorf("get by a stranger who may read: %q, %v", d, err)
	}
	if _, err := other.Set(ctx, "/acl", nil, -1); !errors.Is(err, proto.ErrNoAuth) {
		t.Errorf("set by a stranger: %v", err)
	}
	_, err = other.Create(ctx, "/acl2", nil, proto.CreatorAllACL(), 0)
	if !errors.Is(err, proto.ErrInvalidACL) {
		t.Errorf("creator ACL without identity: %v", err)
	}
	check(t, c.DeleteRecursive(ctx, "/acl"))
	check(t, c.Close(ctx))
	check(t, other.Close(ctx))
}

func testAuthRefused(t *testing.T, s *server) {
	ctx, c := timeout(t), dial(t, s)
	if err := c.AddAuth(ctx, "nonsense", []byte("x")); !errors.Is(err, client.ErrAuthFailed) {
		t.Errorf("unknown scheme: %v", err)
	}
	if c.State() != client.StateAuthFailed {
		t.Errorf("state %v", c.State())
	}
	if _, _, err := c.Get(ctx, "/"); !errors.Is(err, client.ErrAuthFailed) {
		t.Errorf("get after a refused credential: %v", err)
	}
}

func testChroot(t *testing.T, s *server) {
	ctx := timeout(t)
	c := dial(t, s, func(o *client.Options) { o.Chroot = "/deep/root" })
	check(t, c.EnsureChroot(ctx))
	check(t, c.EnsureChroot(ctx))
	p, err := c.CreateRecursive(ctx, "/a/b-", nil, proto.OpenACL(), proto.ModePersistentSequential)
	check(t, err)
	if p != "/a/b-0000000000" {
		t.Errorf("created %q", p)
	}
	_, _, ch, err := c.ChildrenW(ctx, "/")
	check(t, err)
	plain := dial(t, s)
	_, err = plain.Create(ctx, "/deep/root/c", nil, proto.OpenACL(), 0)
	check(t, err)
	if e := event(t, ch); e.Path != "/" || e.Type != proto.EventNodeChildrenChanged {
		t.Errorf("got %+v", e)
	}
	res, err := c.Multi(ctx, client.CreateOp("/m", nil, proto.OpenACL(), 0))
	check(t, err)
	if res[0].Path != "/m" {
		t.Errorf("multi created %q", res[0].Path)
	}
	nodes, err := c.Subtree(ctx, "/")
	check(t, err)
	slices.Sort(nodes)
	if want := []string{"/", "/a", "/a/b-0000000000", "/c", "/m"}; !slices.Equal(nodes, want) {
		t.Errorf("subtree %v", nodes)
	}
	check(t, plain.DeleteRecursive(ctx, "/deep"))
	check(t, plain.Close(ctx))
	check(t, c.Close(ctx))
}

func testPipeline(t *testing.T, s *server) {
	ctx, c := timeout(t), dial(t, s)
	const n = 2000
	ops := make([]client.Op, 0, n+1)
	ops = append(ops, client.CreateOp("/pipe", nil, proto.OpenACL(), 0))
	for i := range n {
		p := fmt.Sprintf("/pipe/%d", i)
		ops = append(ops, client.CreateOp(p, []byte(p), proto.OpenACL(), 0))
	}
	for i, r := range c.Pipeline(ctx, ops...) {
		if r.Err != nil {
			t.Fatalf("create %d: %v", i, r.Err)
		}
	}
	for i := range n {
		ops[i] = client.GetOp(fmt.Sprintf("/pipe/%d", i))
	}
	for i, r := range c.Pipeline(ctx, ops[:n]...) {
		if r.Err != nil || string(r.Data) != fmt.Sprintf("/pipe/%d", i) {
			t.Fatalf("get %d: %q, %v", i, r.Data, r.Err)
		}
	}
	check(t, c.DeleteRecursive(ctx, "/pipe"))
	check(t, c.Close(ctx))
}

func testEphemeral(t *testing.T, s *server) {
	ctx, c, other := timeout(t), dial(t, s), dial(t, s)
	_, err := c.Create(ctx, "/eph", []byte("x"), proto.OpenACL(), proto.ModeEphemeral)
	check(t, err)
	id, _, _ := c.Session()
	found, st, gone, err := other.ExistsW(ctx, "/eph")
	check(t, err)
	if !found || st.EphemeralOwner != id {
		t.Errorf("found %v, owner %x, session %x", found, st.EphemeralOwner, id)
	}
	check(t, c.Close(ctx))
	if e := event(t, gone); e.Type != proto.EventNodeDeleted {
		t.Errorf("got %+v", e)
	}
	check(t, other.Close(ctx))
}

func testAttach(t *testing.T, s *server) {
	ctx, c := timeout(t), dial(t, s)
	_, err := c.Create(ctx, "/attach", nil, proto.OpenACL(), proto.ModeEphemeral)
	check(t, err)
	id, pw, _ := c.Session()
	c.Abandon()
	again := dial(t, s, func(o *client.Options) { o.SessionID, o.Password = id, pw })
	if got, _, _ := again.Session(); got != id {
		t.Errorf("session %x, want %x", got, id)
	}
	found, st, err := again.Exists(ctx, "/attach")
	if err != nil || !found || st.EphemeralOwner != id {
		t.Errorf("ephemeral after attaching: %v %+v %v", found, st, err)
	}
	check(t, again.Close(ctx))
	wrong, err := client.Dial(ctx, client.Options{
		Servers: []string{s.addr}, SessionID: id, Password: make([]byte, 16),
	})
	check(t, err)
	if err := wrong.Wait(ctx); !errors.Is(err, client.ErrSessionExpired) {
		t.Errorf("attach to a session that is gone: %v", err)
	}
	wrong.Abandon()
}

func testExpiry(t *testing.T, s *server) {
	ctx := timeout(t)
	c := dial(t, s, func(o *client.Options) { o.SessionTimeout = time.Second })
	_, err := c.Create(ctx, "/expiry", nil, proto.OpenACL(), proto.ModeEphemeral)
	check(t, err)
	id, pw, granted := c.Session()
	if granted != time.Second {
		t.Errorf("granted %v", granted)
	}
	other := dial(t, s)
	_, _, gone, err := other.ExistsW(ctx, "/expiry")
	check(t, err)
	c.Abandon()
	if e := event(t, gone); e.Type != proto.EventNodeDeleted {
		t.Errorf("got %+v", e)
	}
	late, err := client.Dial(ctx, client.Options{
		Servers: []string{s.addr}, SessionID: id, Password: pw,
	})
	check(t, err)
	if err := late.Wait(ctx); !errors.Is(err, client.ErrSessionExpired) {
		t.Errorf("attach to an expired session: %v", err)
	}
	late.Abandon()
	check(t, other.Close(ctx))
}

// testNewer makes requests that 3.4 does not know: it answers Unimplemented and closes.
func testNewer(t *testing.T, s *server) {
	ctx, c := timeout(t), dial(t, s)
	p, st, err := c.Create2(ctx, "/newer", []byte("abc"), proto.OpenACL(), proto.ModePersistent)
	if s.name == "zookeeper-3.4.14" {
		if !errors.Is(err, proto.ErrUnimplemented) {
			t.Errorf("create2: %v", err)
		}
		return
	}
	check(t, err)
	if p != "/newer" || st.DataLength != 3 || st.Czxid == 0 {
		t.Errorf("create2: %q, %+v", p, st)
	}
	check(t, c.Delete(ctx, "/newer", -1))
	who, err := c.WhoAmI(ctx)
	check(t, err)
	if len(who) != 1 || who[0].AuthScheme != "ip" || who[0].User != "127.0.0.1" {
		t.Errorf("whoAmI: %+v", who)
	}
	_, err = c.Create(ctx, "/newer", nil, proto.OpenACL(), proto.ModeEphemeral)
	check(t, err)
	if e, err := c.Ephemerals(ctx, "/"); err != nil || !slices.Equal(e, []string{"/newer"}) {
		t.Errorf("ephemerals %v, %v", e, err)
	}
	if n, err := c.AllChildrenNumber(ctx, "/zookeeper"); err != nil || n != 2 {
		t.Errorf("below /zookeeper: %d, %v", n, err)
	}
	check(t, c.Close(ctx))
}

// testRestart kills the server and starts it again: the session, its ephemeral and its watches live
// on, and what changed meanwhile is reported.
func testRestart(t *testing.T, s *server) {
	ctx := timeout(t)
	c := dial(t, s)
	check(t, c.AddAuth(ctx, "digest", []byte("u:p")))
	_, err := c.Create(ctx, "/restart", nil, proto.CreatorAllACL(), proto.ModePersistent)
	check(t, err)
	_, err = c.Create(ctx, "/restart/e", nil, proto.OpenACL(), proto.ModeEphemeral)
	check(t, err)
	_, _, changed, err := c.GetW(ctx, "/restart")
	check(t, err)
	_, _, created, err := c.ExistsW(ctx, "/restart/new")
	check(t, err)
	id, _, _ := c.Session()
	s.kill()
	s.start()
	other := dial(t, s)
	check(t, other.AddAuth(ctx, "digest", []byte("u:p")))
	_, err = other.Set(ctx, "/restart", []byte("x"), -1)
	check(t, err)
	_, err = other.Create(ctx, "/restart/new", nil, proto.OpenACL(), 0)
	check(t, err)
	if e := event(t, changed); e.Type != proto.EventNodeDataChanged {
		t.Errorf("got %+v", e)
	}
	if e := event(t, created); e.Type != proto.EventNodeCreated {
		t.Errorf("got %+v", e)
	}
	data, _, err := c.Get(ctx, "/restart") // needs the credential on the new connection
	if err != nil || string(data) != "x" {
		t.Errorf("after the restart: %q, %v", data, err)
	}
	found, st, err := c.Exists(ctx, "/restart/e")
	if err != nil || !found || st.EphemeralOwner != id {
		t.Errorf("ephemeral after the restart: %v %+v %v", found, st, err)
	}
	check(t, c.DeleteRecursive(ctx, "/restart"))
	check(t, c.Close(ctx))
	check(t, other.Close(ctx))
}
