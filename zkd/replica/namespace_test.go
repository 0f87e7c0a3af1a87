package replica_test

import (
	"fmt"
	"strings"
	"testing"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
	"zkafka/zkd/tree"
)

// served is a machine with a connection whose writes are durable at once.
type served struct {
	t *testing.T
	m *replica.Machine
	c *replica.Conn
}

func serve(t *testing.T) *served {
	t.Helper()
	m, err := replica.New(replica.Options{Tree: tree.New(), Now: replica.Time{MonoNanos: 1e6}})
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, m: m, c: replica.NewConn(replica.Peer{IP: "127.0.0.1"})}
	m.Open(s.c)
	s.frame(func(w *jute.Writer) {
		req := proto.ConnectRequest{Timeout: 4000}
		req.Encode(w)
	})
	return s
}

func (s *served) frame(fill func(w *jute.Writer)) {
	var w jute.Writer
	at := w.StartFrame()
	fill(&w)
	w.EndFrame(at)
	if rest := s.m.Frames(s.c, w.B, 0); len(rest) > 0 {
		s.t.Fatalf("%d bytes are left", len(rest))
	}
	s.m.Durable(s.m.LastZxid())
}

func (s *served) ask(op proto.Op, body proto.Record) {
	s.frame(func(w *jute.Writer) {
		w.Int32(1)
		w.Int32(int32(op))
		body.Encode(w)
	})
}

func (s *served) create(path, data string) {
	s.ask(proto.OpCreate, &proto.CreateRequest{
		Path: path, Data: []byte(data), ACL: proto.OpenACL(),
	})
}

// TestNamespaces: bytes read and written below each top level znode, as Apache ZooKeeper 3.9.4
// counts them: a read is path, data or names of children, and a stat of 68 bytes; a write path and
// data. What fails, concerns the root or only permissions does not count.
func TestNamespaces(t *testing.T) {
	s := serve(t)
	s.create("/a", "hello")        // 7
	s.create("/a/b", "0123456789") // 14
	s.create("/a", "again")
	s.create("/none/b", "")
	s.ask(proto.OpSetData, &proto.SetDataRequest{Path: "/a/b", Data: []byte("123"), Version: -1}) // 7
	s.ask(proto.OpSetData, &proto.SetDataRequest{Path: "/", Data: []byte("123"), Version: -1})
	s.ask(proto.OpSetACL, &proto.SetACLRequest{Path: "/a", ACL: proto.OpenACL(), Version: -1})
	s.ask(proto.OpMulti, &proto.MultiRequest{Ops: []proto.MultiOp{
		{Type: proto.OpCreate, Body: &proto.CreateRequest{
			Path: "/a/m", Data: []byte("123"), ACL: proto.OpenACL()}}, // 7
		{Type: proto.OpDelete, Body: &proto.DeleteRequest{Path: "/a/m", Version: -1}}, // 4
	}})
	s.create("/bb/none", "")
	s.create("/bb", "")                                                                        // 3
	s.ask(proto.OpCreate, &proto.CreateRequest{Path: "/bb/e", ACL: proto.OpenACL(), Flags: 1}) // 5
	s.ask(proto.OpGetData, &proto.GetDataRequest{Path: "/a"})                                  // 75
	s.ask(proto.OpExists, &proto.ExistsRequest{Path: "/a/b"})                                  // 72
	s.ask(proto.OpExists, &proto.ExistsRequest{Path: "/a/none"})
	s.ask(proto.OpGetChildren, &proto.GetChildrenRequest{Path: "/a"})          // 71
	s.ask(proto.OpGetChildren2, &proto.GetChildrenRequest{Path: "/zookeeper"}) // 89
	s.ask(proto.OpGetChildren, &proto.GetChildrenRequest{Path: "/"})
	s.ask(proto.OpGetData, &proto.GetDataRequest{Path: ""})
	s.ask(proto.OpGetACL, &proto.GetACLRequest{Path: "/a"})
	s.ask(proto.OpMultiRead, &proto.MultiRequest{Ops: []proto.MultiOp{
		{Type: proto.OpGetData, Body: &proto.GetDataRequest{Path: "/a"}},         // 75
		{Type: proto.OpGetChildren, Body: &proto.GetChildrenRequest{Path: "/a"}}, // 71
		{Type: proto.OpGetData, Body: &proto.GetDataRequest{Path: "/none"}},
	}})
	s.frame(func(w *jute.Writer) { // the ephemeral goes with its session: 5
		w.Int32(2)
		w.Int32(int32(proto.OpCloseSession))
	})
	var got []string
	for _, n := range s.m.Status().Namespaces {
		got = append(got, fmt.Sprintf("%s read %d %d %d %d write %d %d %d %d", n.Name,
			n.Read.Count, n.Read.Sum, n.Read.Min, n.Read.Max,
			n.Write.Count, n.Write.Sum, n.Write.Min, n.Write.Max))
	}
	want := []string{
		"a read 5 364 71 75 write 5 39 4 14",
		"bb read 0 0 0 0 write 3 13 3 5",
		"zookeeper read 1 89 89 89 write 0 0 0 0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("counted\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The table of namespaces has an end, and those in it go on counting.
func TestNamespacesAreBounded(t *testing.T) {
	s := serve(t)
	for i := range 3000 {
		s.create(fmt.Sprintf("/n%d", i), "")
	}
	s.create("/n0/more", "")
	all := s.m.Status().Namespaces
	if len(all) != 1000 {
		t.Errorf("%d namespaces", len(all))
	}
	if n := all[0]; n.Name != "n0" || n.Write.Count != 2 {
		t.Errorf("%+v", n)
	}
}
