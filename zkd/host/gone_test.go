package host_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"zkafka/zkd/disk"
	"zkafka/zkd/host"
	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
)

// TestClientLeavesRequests: what a client sent before it left is carried out though it had to wait,
// and the session ends that it asked to end.
func TestClientLeavesRequests(t *testing.T) {
	h := open(t, disk.NewMem(), host.Options{GlobalOutstandingLimit: 2})
	defer closeHost(t, h)
	c := attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	const nodes = 100
	var b []byte
	for i := range nodes {
		b = c.request(b, proto.OpCreate, &proto.CreateRequest{
			Path: fmt.Sprintf("/n%d", i), ACL: proto.OpenACL(),
		})
		b = c.request(b, proto.OpGetData, &proto.GetDataRequest{Path: "/"})
	}
	b = c.request(b, proto.OpCloseSession, nil)
	c.sendFrames(b)
	c.link.Detach()
	for begin := time.Now(); ; {
		var st replica.Status
		err := h.View(context.Background(), func(m *replica.Machine) { st = m.Status() })
		if err != nil {
			t.Fatal(err)
		}
		if st.Sessions == 0 && st.Conns == 0 && st.Nodes == nodes+5 {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("%d sessions, %d connections, %d nodes", st.Sessions, st.Conns, st.Nodes)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bufs != 0 {
		t.Errorf("%d buffers did not come back", c.bufs)
	}
}
