//go:build interop

package interop

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// node is all a client can see of a node.
type node struct {
	Data []byte
	Stat proto.Stat
	ACL  []proto.ACL
}

// dump reads the whole tree, but for what differs between releases: 3.4 has no /zookeeper/config.
func dump(t *testing.T, c *client.Client) map[string]node {
	t.Helper()
	paths, err := c.Subtree(timeout(t), "/")
	check(t, err)
	out := make(map[string]node)
	for _, p := range paths {
		if p == "/zookeeper" || p == "/zookeeper/config" {
			continue
		}
		get := c.Pipeline(timeout(t), client.GetOp(p), client.GetACLOp(p))
		check(t, get[0].Err)
		check(t, get[1].Err)
		out[p] = node{Data: get[0].Data, Stat: get[0].Stat, ACL: get[1].ACL}
	}
	return out
}

// fill makes nodes of every kind, in a generation of its own.
func fill(t *testing.T, c *client.Client, generation int) {
	t.Helper()
	ctx, open := timeout(t), proto.OpenACL()
	top := fmt.Sprintf("/gen%d", generation)
	ops := []client.Op{
		client.CreateOp(top, nil, open, proto.ModePersistent),
		client.CreateOp(top+"/null", nil, open, proto.ModePersistent),
		client.CreateOp(top+"/empty", []byte{}, open, proto.ModePersistent),
		client.CreateOp(top+"/big", make([]byte, 100_000), open, proto.ModePersistent),
		client.CreateOp(top+"/é", []byte("é"), proto.ReadACL(), proto.ModePersistent),
		client.CreateOp(top+"/eph", []byte("x"), open, proto.ModeEphemeral),
		client.SetOp(top+"/null", []byte("v1"), 0),
		client.SetOp(top+"/null", []byte("v2"), 1),
		client.SetACLOp(top+"/empty", append(open, proto.ReadACL()...), 0),
		client.CreateOp(top+"/gone", nil, open, proto.ModePersistent),
		client.DeleteOp(top+"/gone", 0),
		client.MultiOp(client.CreateOp(top+"/multi", nil, open, proto.ModePersistent),
			client.SetOp(top+"/multi", []byte("m"), 0), client.CheckOp(top, -1)),
	}
	for range 20 {
		ops = append(ops,
			client.CreateOp(top+"/seq-", []byte("s"), open, proto.ModePersistentSequential))
	}
	for i, r := range c.Pipeline(ctx, ops...) {
		if r.Err != nil {
			t.Fatalf("operation %d: %v", i, r.Err)
		}
	}
	r := c.Do(ctx, client.MultiOp(client.SetOp(top, []byte("no"), -1),
		client.DeleteOp(top+"/none", -1))) // failures are in the log too
	if !errors.Is(r.Err, proto.ErrNoNode) {
		t.Fatalf("failed multi: %v", r.Err)
	}
}

// TestInteropFiles passes one data directory back and forth between zkd and Apache, stopped cleanly
// or killed. Each must show what the other has left: tree, stats, ACLs, and the session that still
// runs, with its ephemeral nodes.
func TestInteropFiles(t *testing.T) {
	for _, apache := range []string{"zookeeper-3.9.4", "zookeeper-3.4.14"} {
		t.Run(apache, func(t *testing.T) {
			foreign(t)
			s := startServer(t, "zkd", "snapCount=30")
			c := dial(t, s, func(o *client.Options) { o.SessionTimeout = 10 * time.Second })
			names := []string{apache, "zkd", apache, "zkd"}
			for generation, next := range names {
				fill(t, c, generation)
				want := dump(t, c)
				if generation%2 == 0 {
					s.stop()
				} else {
					s.kill()
				}
				s.name = next
				s.start()
				got := dump(t, c)
				if !reflect.DeepEqual(got, want) {
					compare(t, next, got, want)
				}
			}
			other := dial(t, s)
			_, _, gone, err := other.ExistsW(timeout(t), "/gen0/eph")
			check(t, err)
			check(t, c.Close(timeout(t)))
			if e := event(t, gone); e.Type != proto.EventNodeDeleted {
				t.Errorf("an ephemeral of four servers ago: %+v", e)
			}
			check(t, other.Close(timeout(t)))
		})
	}
}

func compare(t *testing.T, name string, got, want map[string]node) {
	t.Helper()
	var paths []string
	for p := range got {
		paths = append(paths, p)
	}
	for p := range want {
		if _, ok := got[p]; !ok {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	for _, p := range paths {
		if g, w := got[p], want[p]; !reflect.DeepEqual(g, w) {
			t.Errorf("%s on %s: %+v %+v (%d bytes), want %+v %+v (%d bytes)", p, name,
				g.Stat, g.ACL, len(g.Data), w.Stat, w.ACL, len(w.Data))
		}
	}
}
