package host_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"zkafka/zkd/disk"
	"zkafka/zkd/host"
	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
)

// counting is a conn that counts replies, and notes how many another had when its own first came.
type counting struct {
	*conn
	replies, seen atomic.Int64
	other         *counting
}

func (c *counting) Deliver(frames []byte) []byte {
	for b := frames; len(b) > 4; c.replies.Add(1) {
		b = b[4+int(b[2])<<8+int(b[3]):] // none is longer than that
	}
	if c.other != nil {
		c.seen.CompareAndSwap(0, 1+c.other.replies.Load())
	}
	return c.conn.Deliver(frames)
}

func attachCounting(t *testing.T, h *host.Host, other *counting) *counting {
	t.Helper()
	c := &counting{conn: newConn(t)}
	c.link = h.Attach(c, host.Peer{IP: "127.0.0.1", Addr: "127.0.0.1:1"})
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	c.other = other
	return c
}

// TestLaboriousRequests: a connection whose requests take long does not keep others waiting for all
// of them.
func TestLaboriousRequests(t *testing.T) {
	h := open(t, disk.NewMem(), host.Options{})
	defer closeHost(t, h)
	busy := attachCounting(t, h, nil)
	if err := busy.create("/d", nil); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		var req proto.MultiRequest
		for j := range 1000 {
			req.Ops = append(req.Ops, proto.MultiOp{
				Type: proto.OpCreate, Body: &proto.CreateRequest{
					Path: fmt.Sprintf("/d/%d-%d", i, j), ACL: proto.OpenACL(),
				},
			})
		}
		if _, err := busy.call(proto.OpMulti, &req); err != nil {
			t.Fatal(err)
		}
	}
	others := []*counting{attachCounting(t, h, busy), attachCounting(t, h, busy)}
	const requests = 2000
	before := busy.replies.Load()
	var b []byte
	for range requests {
		b = busy.request(b, proto.OpGetAllChildrenNumber,
			&proto.GetAllChildrenNumberRequest{Path: "/d"})
	}
	held, release := make(chan struct{}), make(chan struct{})
	viewed := make(chan error)
	go func() {
		viewed <- h.View(context.Background(), func(*replica.Machine) {
			close(held)
			<-release // until all have sent
		})
	}()
	<-held
	busy.sendFrames(b)
	for _, c := range others {
		c.sendFrames(c.request(nil, proto.OpPing, nil))
	}
	close(release)
	if err := <-viewed; err != nil {
		t.Fatal(err)
	}
	for range requests {
		if r, err := busy.reply(); err != nil || r.Int32() != 40_000 {
			t.Fatal(err)
		}
	}
	for i, c := range others {
		if _, err := c.reply(); err != nil {
			t.Fatal(err)
		}
		if n := c.seen.Load() - 1 - before; n > requests/2 {
			t.Errorf("client %d waited for %d requests of another", i, n)
		}
	}
}
