// Package prep turns requests into transactions. It checks permissions, versions and parents
// against the tree as it will be once everything that is prepared already is applied, so that
// requests can be prepared while earlier ones are still on their way to the disk.
//
// It is a pure machine owned by the replica's goroutine. Every request that it is given uses up a
// zxid: one that fails becomes an error transaction, which goes to the log like any other. The
// order of checks is upstream's; a client can tell by the code which check came first.
package prep

import (
	"slices"

	"zkafka/zkd/acl"
	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
)

// Options are the settings of a Prep.
type Options struct {
	Tree *tree.Tree
	ACL  *acl.Checker
	// LastZxid is the zxid before the first one to hand out.
	LastZxid int64
	// ExtendedTypes allows TTL nodes (zookeeper.extendedTypesEnabled).
	ExtendedTypes bool
	// DigestDisabled leaves the tree digest out of transactions (zookeeper.digest.enabled=false).
	DigestDisabled bool
}

// Prep prepares transactions.
type Prep struct {
	acl      *acl.Checker
	zxid     int64
	extended bool
	digests  bool
	flight   flight

	// Scratch for znodes that are looked up; the parent and the node of one operation.
	scratch [2]change
}

// New returns a Prep over a tree whose transactions are all applied.
func New(o Options) *Prep {
	return &Prep{
		acl:      o.ACL,
		zxid:     o.LastZxid,
		extended: o.ExtendedTypes,
		digests:  !o.DigestDisabled,
		flight: flight{
			tree:   o.Tree,
			newest: map[string]*change{},
			births: map[int64][]string{},
			digest: uint64(o.Tree.Digest()),
		},
	}
}

// Request is one request to prepare. Body and what it refers to are only borrowed.
type Request struct {
	Session    int64
	Cxid       int32
	TimeMillis int64 // since the epoch; becomes the time of the transaction
	Op         proto.Op
	// Body is the decoded request; nil with Malformed set when decoding failed, nil also for
	// closeSession. A createSession carries a *proto.CreateSessionTxn.
	Body      proto.Record
	Malformed bool
	IDs       []proto.ID // identities of the connection
}

// Txn is a transaction with room for the bodies that occur most, so that a caller that keeps and
// reuses Txn values prepares without allocating.
type Txn struct {
	proto.Txn
	// Err is what the client will be told; ErrOK for a multi, whose operations have their own.
	Err proto.Err

	digest proto.TxnDigest
	create proto.CreateTxn
	set    proto.SetDataTxn
	remove proto.DeleteTxn
	fail   proto.ErrorTxn
}

// Reset drops everything the transaction refers to.
func (t *Txn) Reset() { *t = Txn{} }

// LastZxid returns the last zxid handed out.
func (p *Prep) LastZxid() int64 { return p.zxid }

// InFlight returns the number of changes that are prepared and not applied.
func (p *Prep) InFlight() int { return len(p.flight.queue) - p.flight.head }

// Largest returns the most bytes that the data of a znode, and the names of its children in a
// reply, have in the tree or in any of the states that are on their way there.
func (p *Prep) Largest(path string) (data, names int, inFlight bool) {
	if path == "" {
		path = tree.RootPath // as reads have it
	}
	if c := p.flight.newest[path]; c != nil {
		return c.data, c.names, true
	}
	if n, ok := p.flight.tree.Get(path); ok {
		return len(n.Data()), n.NameBytes(), false
	}
	return 0, 0, false
}

// Applied tells that the tree has applied all transactions up to zxid.
func (p *Prep) Applied(zxid int64) { p.flight.applied(zxid) }

// Prepare fills t with the transaction for a request. Data in it still belongs to the request.
func (p *Prep) Prepare(t *Txn, r *Request) {
	p.zxid++
	t.Header = proto.TxnHeader{
		ClientID: r.Session, Cxid: r.Cxid, Zxid: p.zxid, Time: r.TimeMillis, Type: r.Op,
	}
	t.Digest = nil
	t.Err = proto.ErrOK
	if r.Malformed {
		p.failWith(t, proto.ErrMarshallingError)
		return
	}
	if multi, ok := r.Body.(*proto.MultiRequest); ok {
		p.prepareMulti(t, r, multi)
	} else {
		length, digest := p.flight.mark()
		body, err := p.operation(t, r, r.Op, r.Body)
		if err != proto.ErrOK {
			p.flight.undo(length, digest)
			p.failWith(t, err)
			return
		}
		t.Body = body
	}
	if p.digests {
		t.digest = proto.TxnDigest{
			Version: proto.DigestVersion,
			Digest:  int64(p.flight.digest),
		}
		t.Digest = &t.digest
	}
}

func (p *Prep) failWith(t *Txn, err proto.Err) {
	t.Err = err
	t.Header.Type = proto.OpError
	t.fail.Err = err
	t.Body = &t.fail
	t.Digest = nil
}

// prepareMulti prepares all operations, or, when one fails, a transaction that records which did
// and changes nothing: the operations before it in full, its own code, ErrRuntimeInconsistency
// behind.
func (p *Prep) prepareMulti(t *Txn, r *Request, multi *proto.MultiRequest) {
	length, digest := p.flight.mark()
	txns := make([]proto.SubTxn, 0, len(multi.Ops))
	failed := false
	for i := range multi.Ops {
		if _, ok := inMulti(&multi.Ops[i]); !ok {
			p.failWith(t, proto.ErrMarshallingError)
			return
		}
	}
	for i := range multi.Ops {
		op, _ := inMulti(&multi.Ops[i])
		if failed {
			txns = append(txns, errorTxn(proto.ErrRuntimeInconsistency))
			continue
		}
		body, err := p.operation(nil, r, op.Type, op.Body)
		if err != proto.ErrOK {
			failed = true
			p.flight.undo(length, digest)
			txns = append(txns, errorTxn(err))
			continue
		}
		txns = append(txns, proto.SubTxn{Type: op.Type, Body: body})
	}
	t.Body = &proto.MultiTxn{Txns: txns}
}

// inMulti returns what an operation means in a multi, false if it makes the whole multi malformed.
// Upstream reads the operations of a multi with the constructors of its client library, and they
// are stricter with flags and ACL than a create on its own, know no container deletion, and choose
// the kind of creation by the flags.
func inMulti(op *proto.MultiOp) (proto.MultiOp, bool) {
	switch b := op.Body.(type) {
	case *proto.CreateRequest:
		if b.ACL == nil || b.Flags < proto.ModePersistent || b.Flags > proto.ModeContainer {
			return *op, false
		}
		return createInMulti(op.Type, b), true
	case *proto.CreateTTLRequest:
		if withTTL(b.Flags) {
			return *op, true
		}
		return createInMulti(proto.OpCreate, &proto.CreateRequest{
			Path: b.Path, Data: b.Data, ACL: b.ACL, Flags: b.Flags,
		}), true
	case *proto.DeleteContainerRequest:
		return *op, false
	}
	return *op, !op.IsRead()
}

func createInMulti(op proto.Op, b *proto.CreateRequest) proto.MultiOp {
	if b.Flags == proto.ModeContainer {
		op = proto.OpCreateContainer
	}
	return proto.MultiOp{Type: op, Body: b}
}

func errorTxn(err proto.Err) proto.SubTxn {
	return proto.SubTxn{Type: proto.OpError, Body: &proto.ErrorTxn{Err: err}}
}

// operation prepares one operation. A nil t means that it is part of a multi and its body needs
// memory of its own.
func (p *Prep) operation(
	t *Txn, r *Request, op proto.Op, body proto.Record,
) (proto.TxnBody, proto.Err) {
	switch b := body.(type) {
	case *proto.CreateRequest:
		return p.create(t, r, op, b, -1)
	case *proto.CreateTTLRequest:
		return p.create(t, r, op, &proto.CreateRequest{
			Path: b.Path, Data: b.Data, ACL: b.ACL, Flags: b.Flags,
		}, b.TTL)
	case *proto.DeleteRequest:
		return p.delete(t, r, b)
	case *proto.DeleteContainerRequest:
		return p.deleteContainer(b.Path)
	case *proto.SetDataRequest:
		return p.setData(t, r, b)
	case *proto.SetACLRequest:
		return p.setACL(r, b)
	case *proto.CheckVersionRequest:
		return p.check(r, b)
	case *proto.CreateSessionTxn:
		return b, proto.ErrOK
	case *proto.ReconfigRequest:
		return nil, proto.ErrReconfigDisabled
	case nil:
		if op == proto.OpCloseSession {
			return p.closeSession(r.Session), proto.ErrOK
		}
	}
	return nil, proto.ErrUnimplemented
}

// lookup returns the znode at path, in flight or in scratch slot i.
func (p *Prep) lookup(path string, i int) (*change, bool) {
	return p.flight.get(path, &p.scratch[i])
}

// edit starts a change of a znode that lookup returned.
func (p *Prep) edit(cur *change) *change {
	if p.digests {
		cur.prefix = p.flight.prefixOf(cur)
	}
	return p.flight.put(p.zxid, cur)
}

func (p *Prep) rehash(c *change) {
	if p.digests {
		p.flight.rehash(c)
	}
}

func (p *Prep) allowed(c *change, perm int32, r *Request) bool {
	return p.acl.Allowed(c.acl, perm, r.IDs)
}

func (p *Prep) setData(t *Txn, r *Request, b *proto.SetDataRequest) (proto.TxnBody, proto.Err) {
	if !ValidPath(b.Path) {
		return nil, proto.ErrBadArguments
	}
	cur, ok := p.lookup(b.Path, 0)
	if !ok {
		return nil, proto.ErrNoNode
	}
	if !p.allowed(cur, proto.PermWrite, r) {
		return nil, proto.ErrNoAuth
	}
	if !matches(b.Version, cur.stat.Version) {
		return nil, proto.ErrBadVersion
	}
	c := p.flight.put(p.zxid, cur)
	c.stat.Version++
	c.stat.Mzxid = p.zxid
	c.stat.Mtime = r.TimeMillis
	c.data = max(c.data, len(b.Data))
	if p.digests {
		c.prefix = tree.DigestPrefix(c.path, b.Data)
		p.flight.rehash(c)
	}
	body := &proto.SetDataTxn{}
	if t != nil {
		body = &t.set
	}
	*body = proto.SetDataTxn{Path: c.path, Data: b.Data, Version: c.stat.Version}
	return body, proto.ErrOK
}

func (p *Prep) setACL(r *Request, b *proto.SetACLRequest) (proto.TxnBody, proto.Err) {
	if !ValidPath(b.Path) {
		return nil, proto.ErrBadArguments
	}
	list, ok := p.acl.Fixup(b.ACL, r.IDs)
	if !ok {
		return nil, proto.ErrInvalidACL
	}
	cur, ok := p.lookup(b.Path, 0)
	if !ok {
		return nil, proto.ErrNoNode
	}
	if !p.allowed(cur, proto.PermAdmin, r) {
		return nil, proto.ErrNoAuth
	}
	if !matches(b.Version, cur.stat.Aversion) {
		return nil, proto.ErrBadVersion
	}
	c := p.edit(cur)
	c.stat.Aversion++
	c.acl = list
	p.rehash(c)
	return &proto.SetACLTxn{Path: c.path, ACL: list, Version: c.stat.Aversion}, proto.ErrOK
}

func (p *Prep) check(r *Request, b *proto.CheckVersionRequest) (proto.TxnBody, proto.Err) {
	if !ValidPath(b.Path) {
		return nil, proto.ErrBadArguments
	}
	cur, ok := p.lookup(b.Path, 0)
	if !ok {
		return nil, proto.ErrNoNode
	}
	if !p.allowed(cur, proto.PermRead, r) {
		return nil, proto.ErrNoAuth
	}
	if !matches(b.Version, cur.stat.Version) {
		return nil, proto.ErrBadVersion
	}
	return &proto.CheckVersionTxn{Path: cur.path, Version: cur.stat.Version + 1}, proto.ErrOK
}

// closeSession lists the ephemerals that go away: those of the tree and those in flight, unless
// they are somebody else's by now.
func (p *Prep) closeSession(session int64) proto.TxnBody {
	paths := p.flight.tree.Ephemerals(session)
	if born := p.flight.births[session]; len(born) > 0 {
		paths = append(paths, born...)
		slices.Sort(paths)
		paths = slices.Compact(paths)
	}
	gone := make([]string, 0, len(paths))
	for _, path := range paths {
		cur, ok := p.lookup(path, 0)
		if !ok || cur.stat.EphemeralOwner != session {
			continue
		}
		gone = append(gone, path)
		p.unlink(cur)
	}
	return &proto.CloseSessionTxn{Paths: gone}
}

// matches says whether an expected version accepts the current one.
func matches(expected, current int32) bool {
	return expected == proto.AnyVersion || expected == current
}
