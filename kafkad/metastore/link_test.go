package metastore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/znode"
)

// proxy stands between a store and ZooKeeper and can cut what runs through it.
type proxy struct {
	l      net.Listener
	target string
	wg     sync.WaitGroup

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
	moved int64 // bytes from the server since the last cut
	limit int64 // cut after so many; 0 = never
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, target: target, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.set(true)
		p.wg.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil || !p.keep(in, out) {
			in.Close()
			continue
		}
		p.wg.Go(func() { p.pipe(out, in, false) })
		p.wg.Go(func() { p.pipe(in, out, true) })
	}
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.down {
			c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.down
}

func (p *proxy) pipe(dst, src net.Conn, replies bool) {
	defer dst.Close()
	defer src.Close()
	b := make([]byte, 4096)
	for {
		n, err := src.Read(b)
		if replies && p.full(int64(n)) {
			return // the reply is lost
		}
		if _, werr := dst.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *proxy) full(n int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved += n
	if p.limit == 0 || p.moved < p.limit {
		return false
	}
	p.moved, p.limit = 0, 2000+rand.Int64N(8000)
	return true
}

// set opens or closes the way.
func (p *proxy) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	if down {
		for c := range p.conns {
			c.Close()
			delete(p.conns, c)
		}
	}
}

func (p *proxy) cutAfter(limit int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved, p.limit = 0, limit
}

// splitConnect gives the address and the chroot of a connect string.
func splitConnect(connect string) (addr, chroot string) {
	addr, chroot, _ = strings.Cut(connect, "/")
	return addr, "/" + chroot
}

func TestInteropZooKeeperAway(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		addr, chroot := splitConnect(connect)
		p := startProxy(t, addr)
		b := startBroker(t, p.l.Addr().String()+chroot, nil)
		b.create(t, NewTopic{Name: "before", Partitions: 2, ReplicationFactor: 1})
		session, seen := b.Session(), b.stat.len()
		p.set(true)
		b.stat.await(t, "waiting", seen, func(s Status) bool {
			return s.Phase == WaitingForZooKeeper && strings.Contains(s.Text, "waiting for")
		})
		if b.Image().Partition("before", 0).Leader != 1 {
			t.Error("the view of the cluster was lost with the connection")
		}
		seen = b.stat.len()
		p.set(false)
		b.stat.await(t, "back", seen, func(s Status) bool { return s.Phase == Registered })
		if b.Session() != session {
			t.Error("a short absence cost the session")
		}
		b.create(t, NewTopic{Name: "after", Partitions: 1, ReplicationFactor: 1})
	})
}

// A connection that breaks again and again, replies of writes lost with it, must neither lose a
// topic nor leave memory and ZooKeeper apart.
func TestInteropBrokenConnections(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		addr, chroot := splitConnect(connect)
		p := startProxy(t, addr)
		b := startBroker(t, p.l.Addr().String()+chroot, nil)
		rounds := 12
		if testing.Short() {
			rounds = 4
		}
		var topics []NewTopic
		p.cutAfter(2000)
		for i := range rounds {
			n := NewTopic{Name: fmt.Sprintf("t%d", i), Partitions: 5, ReplicationFactor: 1}
			r := b.CreateTopics(t.Context(), []NewTopic{n}, false)[0]
			// A lost answer makes our own node look like somebody else's, as with Kafka.
			if r.failed() && r.Err != errcode.TopicAlreadyExists {
				t.Fatalf("creating %s: %v %s", n.Name, r.Err, r.Message)
			}
			topics = append(topics, n)
		}
		b.awaitLeaders(t, topics)
		p.cutAfter(0)
		direct := dial(t, connect)
		for _, n := range topics {
			for i := range n.Partitions {
				data, stat, err := direct.Get(t.Context(), znode.PathState(n.Name, i))
				if err != nil {
					t.Fatal(err)
				}
				s, err := znode.DecodeState(data, stat.Version)
				if err != nil {
					t.Fatal(err)
				}
				m := b.Image().Partition(n.Name, i)
				if m.Leader != s.Leader || m.LeaderEpoch != s.LeaderEpoch ||
					m.PartitionEpoch != s.Version {
					t.Errorf("%s-%d is %+v in memory, %s in ZooKeeper", n.Name, i, m, data)
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		b.DeleteTopics(ctx, []string{"t0"})
		err := b.Await(ctx, func(im *cluster.Image) bool { return im.Topic("t0") == nil })
		if err != nil {
			t.Error(err)
		}
	})
}
