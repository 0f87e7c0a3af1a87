package tree

import (
	"cmp"
	"encoding/binary"
	"slices"

	"zkafka/zkd/proto"
)

// openACLID stands for world:anyone:cdrwa in snapshots and is not in the table.
const openACLID int64 = -1

var openACL = proto.OpenACL()

// aclTable shares equal ACLs between nodes, with the ids that snapshots use. Ids ascend and are
// never used again while the process lives; after a load they go on behind the largest one seen.
type aclTable struct {
	byKey   map[string]*aclEntry
	byID    map[int64]*aclEntry
	lastID  int64
	missing int // nodes that refer to an id which the snapshot did not bring

	key []byte // scratch
}

type aclEntry struct {
	id   int64
	refs int
	list []proto.ACL
	key  string
	lost bool // placeholder of an id that the snapshot did not bring
}

func (a *aclTable) init() {
	a.byKey = make(map[string]*aclEntry)
	a.byID = make(map[int64]*aclEntry)
	a.lastID = 0
}

// acquire returns the entry of a list and counts one more user. A nil list is the open ACL.
func (a *aclTable) acquire(list []proto.ACL) *aclEntry {
	if list == nil {
		return nil
	}
	a.key = appendACLKey(a.key[:0], list)
	e := a.byKey[string(a.key)]
	if e == nil {
		a.lastID++
		e = a.add(a.lastID, slices.Clone(list))
	}
	e.refs++
	return e
}

func (a *aclTable) release(e *aclEntry) {
	if e == nil {
		return
	}
	e.refs--
	if e.lost {
		a.missing--
		return
	}
	if e.refs == 0 {
		a.drop(e)
	}
}

// add enters a list under an id. An equal list under an older id keeps serving its users.
func (a *aclTable) add(id int64, list []proto.ACL) *aclEntry {
	a.key = appendACLKey(a.key[:0], list)
	e := &aclEntry{id: id, list: list, key: string(a.key)}
	a.byKey[e.key] = e
	a.byID[id] = e
	a.lastID = max(a.lastID, id)
	return e
}

func (a *aclTable) drop(e *aclEntry) {
	if a.byKey[e.key] == e {
		delete(a.byKey, e.key)
	}
	delete(a.byID, e.id)
}

// byRef resolves the id of a node that is loaded from a snapshot. The node of an unknown id was
// created while the snapshot was taken; replay of the log will tell its ACL.
func (a *aclTable) byRef(id int64) *aclEntry {
	if id == openACLID {
		return nil
	}
	e := a.byID[id]
	if e == nil {
		e = &aclEntry{id: id, lost: true}
		a.lastID = max(a.lastID, id)
	}
	if e.lost {
		a.missing++
	}
	e.refs++
	return e
}

// purge forgets entries without users, which loading a snapshot may leave.
func (a *aclTable) purge() {
	for _, e := range a.sorted() {
		if e.refs == 0 {
			a.drop(e)
		}
	}
}

func (a *aclTable) sorted() []*aclEntry {
	entries := make([]*aclEntry, 0, len(a.byID))
	for _, e := range a.byID {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(x, y *aclEntry) int { return cmp.Compare(x.id, y.id) })
	return entries
}

func appendACLKey(b []byte, list []proto.ACL) []byte {
	for i := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(list[i].Perms))
		b = binary.AppendUvarint(b, uint64(len(list[i].ID.Scheme)))
		b = append(b, list[i].ID.Scheme...)
		b = binary.AppendUvarint(b, uint64(len(list[i].ID.ID)))
		b = append(b, list[i].ID.ID...)
	}
	return b
}

// MissingACLs is the number of nodes whose ACL the loaded snapshot did not bring and replay has not
// told yet. After replay it must be 0, else the snapshot or the log is damaged.
func (t *Tree) MissingACLs() int { return t.acls.missing }
