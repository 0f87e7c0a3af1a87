package replica

import (
	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
)

// fire tells the watchers of one change of a transaction. A watcher that may not read the znode the
// change is about, by the ACL as of the transaction, hears nothing, yet its watch is gone.
func (m *Machine) fire(ch *tree.Change) {
	m.notify = m.watches.Trigger(m.notify[:0], ch.Type, ch.Path)
	if len(m.notify) == 0 {
		return
	}
	m.countFired(ch.Type, int64(len(m.notify)))
	m.encodeEvent(ch.Type, ch.Path, ch.Zxid)
	for i, c := range m.notify {
		if m.acl.Allowed(ch.ACL, proto.PermRead, c.ids) {
			m.sendEvent(c)
		}
		m.notify[i] = nil
	}
}

func (m *Machine) countFired(event proto.EventType, n int64) {
	switch event {
	case proto.EventNodeCreated:
		m.metrics.NodeCreatedWatches.Add(n)
	case proto.EventNodeDeleted:
		m.metrics.NodeDeletedWatches.Add(n)
	case proto.EventNodeDataChanged:
		m.metrics.NodeChangedWatches.Add(n)
	case proto.EventNodeChildrenChanged:
		m.metrics.NodeChildrenWatches.Add(n)
	}
}

// encodeEvent puts the frame of an event in m.event.
func (m *Machine) encodeEvent(event proto.EventType, path string, zxid int64) {
	m.event.B = m.event.B[:0]
	at := m.event.StartFrame()
	h := proto.ReplyHeader{Xid: proto.XidNotification, Zxid: zxid}
	h.Encode(&m.event)
	e := proto.WatcherEvent{Type: event, State: proto.StateSyncConnected, Path: path}
	e.Encode(&m.event)
	m.event.EndFrame(at)
}

func (m *Machine) sendEvent(c *Conn) {
	c.out.B = append(c.out.B, m.event.B...)
	c.events += len(m.event.B)
	m.dirty(c)
	m.metrics.PacketsSent++
	m.metrics.WatchBytes += int64(len(m.event.B))
	c.stats.Sent++
}

// watchRequest handles the requests that add, look for and remove one watch.
func (m *Machine) watchRequest(c *Conn, op proto.Op) proto.Err {
	path := m.rd.String()
	kind := m.rd.Int32()
	if m.rd.Err() != nil {
		return proto.ErrMarshallingError
	}
	if op == proto.OpAddWatch {
		switch kind {
		case proto.AddWatchPersistent:
			m.watches.AddPersistent(path, c)
		case proto.AddWatchPersistentRecursive:
			m.watches.AddRecursive(path, c)
		default:
			return proto.ErrMarshallingError
		}
		c.out.Int32(int32(proto.ErrOK))
		return proto.ErrOK
	}
	if kind < proto.WatcherChildren || kind > proto.WatcherPersistentRecursive {
		return proto.ErrMarshallingError
	}
	var found bool
	if op == proto.OpCheckWatches {
		found = m.watches.Contains(path, c, kind)
	} else {
		found = m.watches.Remove(path, c, kind)
	}
	if !found {
		return proto.ErrNoWatcher
	}
	return proto.ErrOK
}

// setWatches registers the watches of a client that has reconnected and fires those whose event it
// missed while it was away. The events go out before the reply. A null list fails where its turn
// comes; upstream's lists before it have taken effect by then.
func (m *Machine) setWatches(c *Conn, op proto.Op) proto.Err {
	var req proto.SetWatches2
	if op == proto.OpSetWatches {
		var old proto.SetWatches
		old.Decode(&m.rd)
		req = proto.SetWatches2{
			RelativeZxid: old.RelativeZxid,
			DataWatches:  old.DataWatches,
			ExistWatches: old.ExistWatches,
			ChildWatches: old.ChildWatches,

			PersistentWatches: []string{}, PersistentRecursiveWatches: []string{},
		}
	} else {
		req.Decode(&m.rd)
	}
	if m.rd.Err() != nil {
		return proto.ErrMarshallingError
	}
	for _, restore := range []struct {
		list []string
		one  func(c *Conn, path string, since int64)
	}{
		{req.DataWatches, m.restoreData},
		{req.ExistWatches, m.restoreExist},
		{req.ChildWatches, m.restoreChild},
		{req.PersistentWatches, func(c *Conn, path string, _ int64) {
			m.watches.AddPersistent(path, c)
		}},
		{req.PersistentRecursiveWatches, func(c *Conn, path string, _ int64) {
			m.watches.AddRecursive(path, c)
		}},
	} {
		if restore.list == nil {
			return proto.ErrMarshallingError
		}
		for _, path := range restore.list {
			restore.one(c, path, req.RelativeZxid)
		}
	}
	return proto.ErrOK
}

func (m *Machine) restoreData(c *Conn, path string, since int64) {
	n, ok := m.find(path)
	switch {
	case !ok:
		m.missed(c, proto.EventNodeDeleted, path)
	case n.Mzxid() > since:
		m.missed(c, proto.EventNodeDataChanged, path)
	default:
		m.watches.AddData(path, c)
	}
}

func (m *Machine) restoreExist(c *Conn, path string, _ int64) {
	if _, ok := m.find(path); ok {
		m.missed(c, proto.EventNodeCreated, path)
	} else {
		m.watches.AddData(path, c)
	}
}

func (m *Machine) restoreChild(c *Conn, path string, since int64) {
	n, ok := m.find(path)
	switch {
	case !ok:
		m.missed(c, proto.EventNodeDeleted, path)
	case n.Pzxid() > since:
		m.missed(c, proto.EventNodeChildrenChanged, path)
	default:
		m.watches.AddChild(path, c)
	}
}

// missed sends an event that setWatches found out; it has no transaction.
func (m *Machine) missed(c *Conn, event proto.EventType, path string) {
	m.encodeEvent(event, path, -1)
	m.sendEvent(c)
}
