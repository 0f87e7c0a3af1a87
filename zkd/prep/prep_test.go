package prep_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"zkafka/zkd/acl"
	"zkafka/zkd/prep"
	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
)

func newPrep(t *testing.T, tr *tree.Tree, o prep.Options) *prep.Prep {
	t.Helper()
	checker, err := acl.New(acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.Tree, o.ACL = tr, checker
	return prep.New(o)
}

// TestFlightEqualsTree prepares the same random requests against a tree to which everything is
// applied at once and against one that lags by a random number of transactions: the transactions,
// their errors and their digests must be the same, and the digests must be the tree's.
func TestFlightEqualsTree(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		near, far := tree.New(), tree.New()
		a, b := newPrep(t, near, prep.Options{}), newPrep(t, far, prep.Options{})
		var flying []*prep.Txn
		land := func(n int) {
			for ; n > 0 && len(flying) > 0; n-- {
				far.Apply(&flying[0].Txn)
				b.Applied(flying[0].Header.Zxid)
				flying = flying[1:]
			}
		}
		for step := range 2000 {
			req := randomRequest(rng, int64(step))
			var x prep.Txn
			y := new(prep.Txn)
			a.Prepare(&x, req)
			b.Prepare(y, req)
			if got, want := show(y), show(&x); got != want {
				t.Fatalf("seed %d step %d: %+v\nin flight: %s\napplied:   %s", seed, step,
					req.Body, got, want)
			}
			near.Apply(&x.Txn)
			a.Applied(x.Header.Zxid)
			flying = append(flying, y)
			if rng.IntN(4) == 0 {
				land(rng.IntN(len(flying) + 1))
			}
		}
		land(len(flying))
		if near.DigestMismatches() != 0 || far.DigestMismatches() != 0 {
			t.Fatalf("seed %d: %d and %d digests do not fit", seed, near.DigestMismatches(),
				far.DigestMismatches())
		}
		if near.Digest() != far.Digest() || b.InFlight() != 0 {
			t.Fatalf("seed %d: the trees differ", seed)
		}
	}
}

func show(t *prep.Txn) string {
	digest := "none"
	if t.Digest != nil {
		digest = fmt.Sprint(*t.Digest)
	}
	body := fmt.Sprintf("%+v", t.Body)
	if m, ok := t.Body.(*proto.MultiTxn); ok {
		body = ""
		for _, s := range m.Txns {
			body += fmt.Sprintf("%d %+v;", s.Type, s.Body)
		}
	}
	return fmt.Sprintf("%+v %s err=%d digest=%s", t.Header, body, t.Err, digest)
}

func randomPath(rng *rand.Rand) string {
	var b strings.Builder
	for range 1 + rng.IntN(3) {
		fmt.Fprintf(&b, "/%c", 'a'+rng.IntN(3))
	}
	return b.String()
}

func randomOp(rng *rand.Rand) (proto.Op, proto.Record) {
	path := randomPath(rng)
	data := []byte(strings.Repeat("x", rng.IntN(20)))
	version := int32(rng.IntN(4) - 1)
	switch rng.IntN(10) {
	case 0, 1, 2, 3:
		flags := []int32{0, 0, 0, 1, 2, 3}[rng.IntN(6)]
		return proto.OpCreate, &proto.CreateRequest{
			Path: path, Data: data, ACL: proto.OpenACL(), Flags: flags,
		}
	case 4, 5:
		return proto.OpDelete, &proto.DeleteRequest{Path: path, Version: version}
	case 6, 7:
		return proto.OpSetData, &proto.SetDataRequest{Path: path, Data: data, Version: version}
	case 8:
		return proto.OpCheck, &proto.CheckVersionRequest{Path: path, Version: version}
	}
	return proto.OpCreateContainer, &proto.CreateRequest{
		Path: path, Data: data, ACL: proto.OpenACL(), Flags: proto.ModeContainer,
	}
}

func randomRequest(rng *rand.Rand, now int64) *prep.Request {
	r := &prep.Request{Session: 1 + int64(rng.IntN(3)), Cxid: int32(now), TimeMillis: now}
	switch rng.IntN(12) {
	case 0:
		r.Op = proto.OpCloseSession
	case 1:
		r.Op = proto.OpSetACL
		list := proto.OpenACL()
		if rng.IntN(3) == 0 {
			list = proto.ReadACL()
		}
		r.Body = &proto.SetACLRequest{Path: randomPath(rng), ACL: list, Version: -1}
	case 2, 3:
		multi := &proto.MultiRequest{}
		for range rng.IntN(4) {
			op, body := randomOp(rng)
			multi.Ops = append(multi.Ops, proto.MultiOp{Type: op, Body: body})
		}
		r.Op, r.Body = proto.OpMulti, multi
	case 4:
		r.Op, r.Malformed = proto.OpCreate, true
	default:
		r.Op, r.Body = randomOp(rng)
		if r.Op == proto.OpCheck {
			r.Op, r.Body = proto.OpSetData, &proto.SetDataRequest{Path: "/", Version: -1}
		}
	}
	return r
}

func TestTTL(t *testing.T) {
	p := newPrep(t, tree.New(), prep.Options{ExtendedTypes: true})
	for _, c := range []struct {
		op    proto.Op
		flags int32
		ttl   int64
		want  proto.Err
	}{
		{proto.OpCreateTTL, 5, 1, 0},
		{proto.OpCreateTTL, 6, proto.MaxTTL, 0},
		{proto.OpCreateTTL, 5, 0, proto.ErrBadArguments},
		{proto.OpCreateTTL, 5, proto.MaxTTL + 1, proto.ErrBadArguments},
		{proto.OpCreateTTL, 0, -1, proto.ErrBadArguments}, // poisons Apache's log
		{proto.OpCreateTTL, 0, 5, proto.ErrBadArguments},
	} {
		var txn prep.Txn
		p.Prepare(&txn, &prep.Request{Op: c.op, Body: &proto.CreateTTLRequest{
			Path: fmt.Sprintf("/%d-%d", c.flags, c.ttl), ACL: proto.OpenACL(), Flags: c.flags,
			TTL: c.ttl,
		}})
		if txn.Err != c.want {
			t.Errorf("flags %d ttl %d: %d", c.flags, c.ttl, txn.Err)
		}
	}
	var txn prep.Txn
	p.Prepare(&txn, &prep.Request{Op: proto.OpCreate, Body: &proto.CreateRequest{
		Path: "/x", ACL: proto.OpenACL(), Flags: 5,
	}})
	if txn.Err != proto.ErrBadArguments {
		t.Errorf("a TTL node without a TTL: %d", txn.Err)
	}
}

// TestContainerFromClient: deleting containers is the server's own business.
func TestContainerFromClient(t *testing.T) {
	p := newPrep(t, tree.New(), prep.Options{})
	var txn prep.Txn
	p.Prepare(&txn, &prep.Request{Op: proto.OpMulti, Body: &proto.MultiRequest{Ops: []proto.MultiOp{
		{Type: proto.OpDeleteContainer, Body: &proto.DeleteContainerRequest{Path: "/zookeeper"}},
	}}})
	if txn.Err != proto.ErrMarshallingError {
		t.Error(show(&txn))
	}
}

// TestMultiOfCreates: what kind of znode a create in a multi makes, and what a multi cannot hold.
func TestMultiOfCreates(t *testing.T) {
	create := func(op proto.Op, flags int32) proto.MultiOp {
		return proto.MultiOp{Type: op, Body: &proto.CreateRequest{
			Path: "/x", ACL: proto.OpenACL(), Flags: flags,
		}}
	}
	ttl := func(flags int32, ttl int64) proto.MultiOp {
		return proto.MultiOp{Type: proto.OpCreateTTL, Body: &proto.CreateTTLRequest{
			Path: "/x", ACL: proto.OpenACL(), Flags: flags, TTL: ttl,
		}}
	}
	noACL := create(proto.OpCreate, 0)
	noACL.Body.(*proto.CreateRequest).ACL = nil
	for _, c := range []struct {
		op   proto.MultiOp
		want string // type of the transaction in the multi, or the error of the whole
	}{
		{create(proto.OpCreate, 0), "create"},
		{create(proto.OpCreate2, 1), "create2"},
		{create(proto.OpCreate, 4), "createContainer"},
		{create(proto.OpCreateContainer, 0), "createContainer"},
		{ttl(5, 9), "createTTL"},
		{ttl(0, 9), "create"},
		{ttl(4, 9), "createContainer"},
		{ttl(5, 0), "error"},
		{create(proto.OpCreate, 5), "KeeperErrorCode = MarshallingError"},
		{create(proto.OpCreate2, 7), "KeeperErrorCode = MarshallingError"},
		{noACL, "KeeperErrorCode = MarshallingError"},
		{proto.MultiOp{Type: proto.OpGetData, Body: &proto.GetDataRequest{Path: "/"}},
			"KeeperErrorCode = MarshallingError"},
	} {
		p := newPrep(t, tree.New(), prep.Options{ExtendedTypes: true})
		var txn prep.Txn
		p.Prepare(&txn, &prep.Request{Op: proto.OpMulti, Body: &proto.MultiRequest{
			Ops: []proto.MultiOp{c.op},
		}})
		got := txn.Err.Error()
		if multi, ok := txn.Body.(*proto.MultiTxn); ok {
			got = multi.Txns[0].Type.String()
		}
		if got != c.want {
			t.Errorf("%v %+v: %s, not %s", c.op.Type, c.op.Body, got, c.want)
		}
	}
}

func TestValidPath(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/b": true, "/...": true, "/.x": true, "/x.": true, "/é/ü": true,
		"": false, "a": false, "/a/": false, "//": false, "/a//b": false, "/.": false,
		"/a/..": false, "/a/./b": false, "/a\x00": false, "/\x01": false, "/\x7f": false,
		"/\u009f": false, "/\u00a0": true, "/\ue000": false, "/\uf900": true, "/\ufff0": false,
		"/\U0001F600": false, "/é/..": false, "/é//": false, "/\ud7ff": true,
	} {
		if got := prep.ValidPath(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

// TestLargest: what is announced as the most that a znode will hold until everything in flight is
// applied is no less than what it holds at any moment until then.
func TestLargest(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	tr := tree.New()
	p := newPrep(t, tr, prep.Options{})
	names := func(n *tree.Node) (size int) {
		for _, name := range n.Children() {
			size += 4 + len(name)
		}
		return size
	}
	for round := range 500 {
		var flying []*prep.Txn
		for step := range 30 {
			txn := new(prep.Txn)
			p.Prepare(txn, randomRequest(rng, int64(30*round+step)))
			flying = append(flying, txn)
			if rng.IntN(10) == 0 { // what is applied already counts no more
				tr.Apply(&flying[0].Txn)
				p.Applied(flying[0].Header.Zxid)
				flying = flying[1:]
			}
		}
		type most struct{ data, names int }
		announced := map[string]most{}
		for range 20 {
			path := randomPath(rng)
			data, names, _ := p.Largest(path)
			announced[path] = most{data, names}
		}
		for i := -1; i < len(flying); i++ {
			if i >= 0 {
				tr.Apply(&flying[i].Txn)
				p.Applied(flying[i].Header.Zxid)
			}
			for path, m := range announced {
				n, ok := tr.Get(path)
				if ok && (len(n.Data()) > m.data || names(n) > m.names) {
					t.Fatalf("round %d: %s has %d bytes and %d of names, announced %+v", round,
						path, len(n.Data()), names(n), m)
				}
			}
		}
		for path := range announced {
			n, ok := tr.Get(path)
			if !ok {
				continue
			}
			data, size, flying := p.Largest(path)
			if data != len(n.Data()) || size != names(n) || flying {
				t.Fatalf("round %d: %s with nothing in flight: %d and %d", round, path, data, size)
			}
		}
	}
}
