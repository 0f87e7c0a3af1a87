package metastore

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
	"zkafka/zkd/client"
)

// servers are the ZooKeeper servers to test against: ours always, Apache's with the interop tag.
var servers = map[string]func(testing.TB) string{"zkd": startZKD}

// chroots counts them, for a test may run several times beside the same server.
var chroots atomic.Int64

// onEach runs f against each server, in a chroot of its own.
func onEach(t *testing.T, f func(t *testing.T, connect string)) {
	for _, name := range slices.Sorted(mapKeys(servers)) {
		t.Run(name, func(t *testing.T) {
			own := fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), chroots.Add(1))
			f(t, address(t, name)+"/"+own+"/deep")
		})
	}
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// One server of each kind serves all tests of a run.
var (
	serverMu    sync.Mutex
	addresses   = map[string]string{}
	stopServers []func()
)

func address(t testing.TB, name string) string {
	serverMu.Lock()
	defer serverMu.Unlock()
	if addresses[name] == "" {
		addresses[name] = servers[name](t)
	}
	return addresses[name]
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range stopServers {
		stop()
	}
	os.Exit(code)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startZKD builds and starts zkd, unless ZKAFKA_BIN has it already.
func startZKD(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "metastore-zkd-")
	if err != nil {
		t.Fatal(err)
	}
	stopServers = append(stopServers, func() { os.RemoveAll(dir) })
	bin := filepath.Join(os.Getenv("ZKAFKA_BIN"), "zkd")
	if os.Getenv("ZKAFKA_BIN") == "" {
		bin = filepath.Join(dir, "zkd")
		out, err := exec.Command("go", "build", "-o", bin, "zkafka/zkd").CombinedOutput()
		if err != nil {
			t.Fatalf("building zkd: %v\n%s", err, out)
		}
	}
	port := freePort(t)
	conf := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=500\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\n"+
		"admin.enableServer=false\n", filepath.Join(dir, "data"), port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return runServer(t, exec.Command(bin, "serve", "--config", conf), dir, port)
}

func runServer(t testing.TB, cmd *exec.Cmd, dir string, port int) string {
	t.Helper()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopServers = slices.Insert(stopServers, 0, func() {
		cmd.Process.Kill()
		cmd.Wait()
		out.Close()
	})
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	c := dial(t, addr)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.Wait(ctx); err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("server did not come up: %v\n%s", err, text)
	}
	return addr
}

// dial connects a client of the test's own; connect may have a chroot.
func dial(t testing.TB, connect string) *client.Client {
	t.Helper()
	hosts, chroot, err := client.ParseServers(connect)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(context.Background(), client.Options{
		Servers: hosts, Chroot: chroot, SessionTimeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// fakeBroker does what it is told and remembers it.
type fakeBroker struct {
	mu      sync.Mutex
	leads   map[string]int32 // "topic-partition" -> leader epoch
	isNew   map[string]bool
	deleted map[string]bool
	gone    []string
	configs map[string]map[string]string
	dynamic map[string]string
	broken  map[string]bool // partitions on a failed log dir
	bell    chan struct{}
}

func newFakeBroker() *fakeBroker {
	return &fakeBroker{
		leads: map[string]int32{}, isNew: map[string]bool{}, deleted: map[string]bool{},
		configs: map[string]map[string]string{}, bell: make(chan struct{}),
	}
}

func key(topic string, index int32) string { return fmt.Sprintf("%s-%d", topic, index) }

func (b *fakeBroker) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	close(b.bell)
	b.bell = make(chan struct{})
}

func (b *fakeBroker) LeaderAndIsr(q *cluster.LeaderAndIsr) (r cluster.LeaderAndIsrResult) {
	b.change(func() {
		for _, p := range q.Partitions {
			b.leads[key(p.Topic, p.Index)] = p.LeaderEpoch
			b.isNew[key(p.Topic, p.Index)] = p.IsNew
			var code errcode.Code
			if b.broken[key(p.Topic, p.Index)] {
				code = errcode.KafkaStorageError
			}
			r.Partitions = append(r.Partitions,
				cluster.PartitionResult{Topic: p.Topic, Index: p.Index, Err: code})
		}
	})
	return r
}

func (b *fakeBroker) StopReplica(q *cluster.StopReplica) (r cluster.StopReplicaResult) {
	b.change(func() {
		for _, p := range q.Partitions {
			delete(b.leads, key(p.Topic, p.Index))
			b.deleted[key(p.Topic, p.Index)] = p.Delete
			r.Partitions = append(r.Partitions,
				cluster.PartitionResult{Topic: p.Topic, Index: p.Index})
		}
	})
	return r
}

func (b *fakeBroker) UpdateMetadata(_ *cluster.UpdateMetadata, gone []string) {
	b.change(func() { b.gone = append(b.gone, gone...) })
}

func (b *fakeBroker) TopicConfigChanged(topic string, overrides map[string]string) {
	b.change(func() { b.configs[topic] = overrides })
}

func (b *fakeBroker) BrokerConfigChanged(dynamic map[string]string) {
	b.change(func() { b.dynamic = dynamic })
}

// await blocks until ok holds, which is asked under the broker's lock after each change.
func (b *fakeBroker) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		b.mu.Lock()
		good, bell := ok(), b.bell
		b.mu.Unlock()
		if good {
			return
		}
		select {
		case <-bell:
		case <-limit.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// statuses collects OnStatus.
type statuses struct {
	mu   sync.Mutex
	list []Status
	bell chan struct{}
}

func (s *statuses) add(st Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, st)
	close(s.bell)
	s.bell = make(chan struct{})
}

// await returns the first status from the one numbered from on that ok likes.
func (s *statuses) await(t testing.TB, what string, from int, ok func(Status) bool) Status {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		s.mu.Lock()
		bell, at := s.bell, slices.IndexFunc(s.list[min(from, len(s.list)):], ok)
		var found Status
		if at >= 0 {
			found = s.list[from+at]
		}
		s.mu.Unlock()
		if at >= 0 {
			return found
		}
		select {
		case <-bell:
		case <-limit.C:
			t.Fatalf("waited in vain: %s; had %v", what, s.list)
		}
	}
}

func (s *statuses) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

// broker is a store with what is around it.
type broker struct {
	*Store
	fake *fakeBroker
	stat *statuses
}

var testRegistration = Registration{
	Endpoints: []cluster.Endpoint{{Listener: "PLAINTEXT", Host: "127.0.0.1", Port: 33095}},
	Rack:      "r1", JMXPort: -1,
}

func openBroker(t testing.TB, connect string, change func(*Options)) *broker {
	t.Helper()
	b := &broker{fake: newFakeBroker(), stat: &statuses{bell: make(chan struct{})}}
	o := Options{
		Connect: connect, SessionTimeout: 10 * time.Second, BrokerID: 1, DeleteTopicEnable: true,
		SessionFile: filepath.Join(t.TempDir(), "zookeeper.session"), MachineID: "m",
		OnStatus: b.stat.add, Log: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)),
	}
	if change != nil {
		change(&o)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Store = s
	if err := s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// startBroker opens and starts; it is closed with the test.
func startBroker(t testing.TB, connect string, change func(*Options)) *broker {
	t.Helper()
	b := openBroker(t, connect, change)
	if err := b.Start(t.Context(), testRegistration, b.fake); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.shut(t) })
	return b
}

func (b *broker) shut(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil && b.Status().Phase != Closed {
		t.Errorf("close: %v", err)
	}
}

// crash ends the process as kill -9 would: the session lives on.
func (b *broker) crash() {
	b.cancel()
	<-b.done
	b.zk().Abandon()
}

func (b *broker) create(t testing.TB, topics ...NewTopic) {
	t.Helper()
	for _, r := range b.CreateTopics(t.Context(), topics, false) {
		if r.failed() {
			t.Fatalf("creating %s: %v %s", r.Name, r.Err, r.Message)
		}
	}
	b.awaitLeaders(t, topics)
}

func (b *broker) awaitLeaders(t testing.TB, topics []NewTopic) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := b.Await(ctx, func(im *cluster.Image) bool {
		for _, n := range topics {
			topic := im.Topic(n.Name)
			if topic == nil || len(topic.Partitions) != int(n.Partitions) {
				return false
			}
			for _, p := range topic.Partitions {
				if p.Leader < 0 {
					return false
				}
			}
		}
		return true
	})
	if err != nil {
		t.Fatalf("waiting for leaders: %v", err)
	}
}

func mustGet(t testing.TB, c *client.Client, path string) []byte {
	t.Helper()
	data, _, err := c.Get(t.Context(), path)
	if err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	return data
}

func awaitNoNode(t testing.TB, c *client.Client, path string) {
	t.Helper()
	for {
		found, _, ch, err := c.ExistsW(t.Context(), path)
		if err != nil {
			t.Fatalf("watching %s: %v", path, err)
		}
		if !found {
			return
		}
		select {
		case <-ch:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s is still there", path)
		}
	}
}
