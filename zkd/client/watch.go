package client

import (
	"errors"

	"zkafka/zkd/proto"
)

// watches are the one-shot watches of a session, by the server's paths. A node's data and existence
// are told apart because a reconnect sets them again in different lists.
type watches struct {
	data, exist, child map[string][]func(Event)
}

// add registers the watch of a read that succeeded, or of an exists that found nothing.
func (w *watches) add(op proto.Op, path string, err error, fn func(Event)) {
	m := &w.data
	switch {
	case op == proto.OpExists && errors.Is(err, proto.ErrNoNode):
		m = &w.exist
	case err != nil:
		return
	case op == proto.OpGetChildren2:
		m = &w.child
	}
	if *m == nil {
		*m = make(map[string][]func(Event))
	}
	(*m)[path] = append((*m)[path], fn)
}

// fire removes and returns the watches that an event concerns.
func (w *watches) fire(t proto.EventType, path string) []func(Event) {
	var fns []func(Event)
	take := func(m map[string][]func(Event)) {
		if f, ok := m[path]; ok {
			fns = append(fns, f...)
			delete(m, path)
		}
	}
	switch t {
	case proto.EventNodeCreated, proto.EventNodeDataChanged:
		take(w.data)
		take(w.exist)
	case proto.EventNodeChildrenChanged:
		take(w.child)
	case proto.EventNodeDeleted:
		take(w.data)
		take(w.exist)
		take(w.child)
	}
	return fns
}

// all removes all watches and returns them by path.
func (w *watches) all() map[string][]func(Event) {
	out := make(map[string][]func(Event))
	for _, m := range []map[string][]func(Event){w.data, w.exist, w.child} {
		for p, f := range m {
			out[p] = append(out[p], f...)
		}
	}
	*w = watches{}
	return out
}

// maxSetWatches bounds the paths of one setWatches packet, in bytes: servers refuse frames of 1
// MiB.
const maxSetWatches = 128 << 10

// setAgain returns the packets that register all watches with a new server.
func (w *watches) setAgain(zxid int64) []*proto.SetWatches {
	var out []*proto.SetWatches
	var cur *proto.SetWatches
	size := 0
	add := func(m map[string][]func(Event), list func(*proto.SetWatches) *[]string) {
		for p := range m {
			if cur == nil || size+len(p)+4 > maxSetWatches {
				cur, size = newSetWatches(zxid), 0
				out = append(out, cur)
			}
			l := list(cur)
			*l = append(*l, p)
			size += len(p) + 4
		}
	}
	add(w.data, func(s *proto.SetWatches) *[]string { return &s.DataWatches })
	add(w.exist, func(s *proto.SetWatches) *[]string { return &s.ExistWatches })
	add(w.child, func(s *proto.SetWatches) *[]string { return &s.ChildWatches })
	return out
}

// newSetWatches makes a packet with empty lists: servers take null lists badly.
func newSetWatches(zxid int64) *proto.SetWatches {
	return &proto.SetWatches{
		RelativeZxid: zxid,
		DataWatches:  []string{}, ExistWatches: []string{}, ChildWatches: []string{},
	}
}

// watched gives a read op a watch that ends in a channel: one event, then closed.
func watched(op Op) (Op, <-chan Event) {
	ch := make(chan Event, 1)
	return op.Watched(func(e Event) {
		ch <- e
		close(ch)
	}), ch
}
