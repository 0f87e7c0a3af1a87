package prep

import (
	"fmt"
	"strings"

	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
)

func sequential(flags int32) bool {
	switch flags {
	case proto.ModePersistentSequential, proto.ModeEphemeralSequential,
		proto.ModePersistentSequentialWithTTL:
		return true
	}
	return false
}

func ephemeral(flags int32) bool {
	return flags == proto.ModeEphemeral || flags == proto.ModeEphemeralSequential
}

func withTTL(flags int32) bool {
	return flags == proto.ModePersistentWithTTL || flags == proto.ModePersistentSequentialWithTTL
}

// validFlags checks flags and ttl of a create. The operation is a create of any kind.
func (p *Prep) validFlags(op proto.Op, flags int32, ttl int64) proto.Err {
	if flags < proto.ModePersistent || flags > proto.ModePersistentSequentialWithTTL {
		return proto.ErrBadArguments
	}
	if withTTL(flags) {
		if !p.extended {
			return proto.ErrUnimplemented
		}
		if ttl <= 0 || ttl > proto.MaxTTL {
			return proto.ErrBadArguments
		}
		return proto.ErrOK
	}
	// Upstream accepts createTTL with other flags and a ttl of -1, logs a transaction that it
	// cannot apply, and never starts again.
	if op == proto.OpCreateTTL {
		return proto.ErrBadArguments
	}
	return proto.ErrOK
}

func (p *Prep) create(
	t *Txn, r *Request, op proto.Op, b *proto.CreateRequest, ttl int64,
) (proto.TxnBody, proto.Err) {
	if err := p.validFlags(op, b.Flags, ttl); err != proto.ErrOK {
		return nil, err
	}
	slash := strings.LastIndexByte(b.Path, '/')
	if slash < 0 || strings.IndexByte(b.Path, 0) >= 0 {
		return nil, proto.ErrBadArguments
	}
	list, ok := p.acl.Fixup(b.ACL, r.IDs)
	if !ok {
		return nil, proto.ErrInvalidACL
	}
	parent, ok := p.lookup(parentPath(b.Path, slash), 0)
	if !ok {
		return nil, proto.ErrNoNode
	}
	if !p.allowed(parent, proto.PermCreate, r) {
		return nil, proto.ErrNoAuth
	}
	path := b.Path
	if sequential(b.Flags) {
		path = fmt.Sprintf("%s%010d", b.Path, parent.stat.Cversion)
	}
	if !ValidPath(path) {
		return nil, proto.ErrBadArguments
	}
	if _, exists := p.lookup(path, 1); exists {
		return nil, proto.ErrNodeExists
	}
	if tree.KindOf(parent.stat.EphemeralOwner) == tree.Ephemeral {
		return nil, proto.ErrNoChildrenForEphemerals
	}
	if !sequential(b.Flags) {
		path = strings.Clone(path)
	}
	cversion := parent.stat.Cversion + 1
	pc := p.edit(parent)
	pc.children++
	pc.names += 4 + len(path) - slash - 1
	if cversion > pc.stat.Cversion {
		pc.stat.Cversion = cversion
		pc.stat.Pzxid = p.zxid
	}
	p.rehash(pc)
	owner := ownerOf(op, b.Flags, r.Session, ttl)
	p.add(path, b.Data, list, owner, r.TimeMillis)
	return createBody(t, op, &proto.CreateTxn{
		Path: path, Data: b.Data, ACL: list, Ephemeral: ephemeral(b.Flags),
		ParentCVersion: cversion,
	}, ttl), proto.ErrOK
}

// ownerOf returns the stored owner of a new znode. The kind follows from the transaction that will
// be logged: flag 4 on a plain create makes no container, any flag on createContainer does.
func ownerOf(op proto.Op, flags int32, session, ttl int64) int64 {
	switch {
	case op == proto.OpCreateContainer:
		return tree.ContainerOwner
	case op == proto.OpCreateTTL:
		return tree.TTLOwner(ttl)
	case ephemeral(flags):
		return session
	}
	return 0
}

func createBody(t *Txn, op proto.Op, c *proto.CreateTxn, ttl int64) proto.TxnBody {
	switch op {
	case proto.OpCreateContainer:
		return &proto.CreateContainerTxn{
			Path: c.Path, Data: c.Data, ACL: c.ACL, ParentCVersion: c.ParentCVersion,
		}
	case proto.OpCreateTTL:
		return &proto.CreateTTLTxn{
			Path: c.Path, Data: c.Data, ACL: c.ACL, ParentCVersion: c.ParentCVersion, TTL: ttl,
		}
	}
	body := &proto.CreateTxn{}
	if t != nil {
		body = &t.create
	}
	*body = *c
	return body
}

// add puts a new znode in flight.
func (p *Prep) add(path string, data []byte, list []proto.ACL, owner, timeMillis int64) {
	fresh := &p.scratch[1]
	*fresh = change{
		path:   path,
		exists: true,
		acl:    list,
		data:   len(data),
		stat: proto.StatPersisted{
			Czxid: p.zxid, Mzxid: p.zxid, Pzxid: p.zxid,
			Ctime: timeMillis, Mtime: timeMillis, EphemeralOwner: owner,
		},
	}
	if p.digests {
		fresh.prefix = tree.DigestPrefix(path, data)
	}
	c := p.flight.put(p.zxid, fresh)
	p.flight.born(c)
	p.rehash(c)
}

func (p *Prep) delete(t *Txn, r *Request, b *proto.DeleteRequest) (proto.TxnBody, proto.Err) {
	slash := strings.LastIndexByte(b.Path, '/')
	if slash < 0 || strings.IndexByte(b.Path, 0) >= 0 || protected(b.Path) {
		return nil, proto.ErrBadArguments
	}
	parent, ok := p.lookup(parentPath(b.Path, slash), 0)
	if !ok {
		return nil, proto.ErrNoNode
	}
	if !p.allowed(parent, proto.PermDelete, r) {
		return nil, proto.ErrNoAuth
	}
	cur, ok := p.lookup(b.Path, 1)
	if !ok {
		return nil, proto.ErrNoNode
	}
	if !matches(b.Version, cur.stat.Version) {
		return nil, proto.ErrBadVersion
	}
	if cur.children > 0 {
		return nil, proto.ErrNotEmpty
	}
	path := cur.path
	p.unlink(cur)
	body := &proto.DeleteTxn{}
	if t != nil {
		body = &t.remove
	}
	body.Path = path
	return body, proto.ErrOK
}

// deleteContainer prepares the server's own deletion of an empty container or an expired TTL node.
func (p *Prep) deleteContainer(path string) (proto.TxnBody, proto.Err) {
	if strings.LastIndexByte(path, '/') < 0 || protected(path) {
		return nil, proto.ErrBadArguments
	}
	cur, ok := p.lookup(path, 1)
	switch {
	case !ok:
		return nil, proto.ErrNoNode
	case cur.children > 0:
		return nil, proto.ErrNotEmpty
	case tree.KindOf(cur.stat.EphemeralOwner) == tree.Ephemeral:
		return nil, proto.ErrBadVersion
	}
	path = cur.path
	p.unlink(cur)
	return &proto.DeleteTxn{Path: path}, proto.ErrOK
}

// unlink puts the deletion of a znode and what it does to its parent in flight.
func (p *Prep) unlink(cur *change) {
	slash := strings.LastIndexByte(cur.path, '/')
	gone := p.edit(cur)
	gone.exists = false
	p.rehash(gone)
	parent, ok := p.lookup(parentPath(gone.path, slash), 0)
	if !ok {
		return
	}
	pc := p.edit(parent)
	pc.children--
	pc.stat.Pzxid = p.zxid
	p.rehash(pc)
}
