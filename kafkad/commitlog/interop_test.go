//go:build interop

package commitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// peerCommand runs an Apache release; the script brings it from Maven.
func peerCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if os.Getenv("INTEROP_GO_ONLY") != "" {
		t.Skip("INTEROP_GO_ONLY: Java or Maven is missing on this machine")
	}
	script, err := filepath.Abs("../../.ci/peers/peer")
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(script, args...)
}

// idempotent appends a batch as an idempotent producer would.
func idempotent(t *testing.T, l *Log, epoch int32, codec record.Codec, id int64, seq int32,
	values ...string) {
	t.Helper()
	b := record.NewBuilder(codec, record.Levels{})
	b.SetProducer(id, 0, seq, false)
	for _, v := range values {
		b.Add(time.Now().UnixMilli(), []byte("key"), []byte(v), []record.Header{{Key: "h", Value: nil}})
	}
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	record.Set{Batch: batch}.Assign(l.End(), epoch, record.NoTimestamp)
	if err := l.Append(batch, 0); err != nil {
		t.Fatal(err)
	}
	m, err := record.ParseMeta(batch)
	if err != nil {
		t.Fatal(err)
	}
	l.Producers().Update(producer.FromMeta(&m))
}

// TestInteropDumpLog has Apache's kafka-dump-log read our segments and snapshots.
func TestInteropDumpLog(t *testing.T) {
	path := t.TempDir()
	d := mustOpen(t, nil, path)
	c := DefaultConfig()
	c.SegmentBytes = 800
	l := mustLog(t, d, TP{"dump", 0}, c)
	n := 0
	for round := range int32(3) {
		for codec := record.None; codec <= record.Zstd; codec++ {
			long := fmt.Sprintf("value-%d-%s", n, strings.Repeat("z", 100))
			idempotent(t, l, round, codec, int64(codec), 2*round, long, fmt.Sprintf("value-%d-", n+1))
			n += 2
		}
	}
	marker := record.BuildMarker(record.Commit, 77, 1, 2, 1000)
	record.Set{Batch: marker}.Assign(l.End(), 3, record.NoTimestamp)
	if err := l.Append(marker, 0); err != nil {
		t.Fatal(err)
	}
	segments := l.Segments()
	if len(segments) < 3 {
		t.Fatalf("%d segments", len(segments))
	}
	if err := d.Close(1); err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, s := range segments {
		files = append(files, filepath.Join(path, "dump-0", fmt.Sprintf("%020d.log", s.Base)))
	}
	snapshot := filepath.Join(path, "dump-0", fmt.Sprintf("%020d.snapshot", l.End()))
	out, err := peerCommand(t, "kafka-dump-log", "kafka-3.9.2", "--print-data-log", "--files",
		strings.Join(append(files, snapshot), ",")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
	for i := range n {
		if got := strings.Count(text, fmt.Sprintf("payload: value-%d-", i)); got != 1 {
			t.Errorf("value %d is shown %d times", i, got)
		}
	}
	if got := strings.Count(text, "isvalid: true"); got != 16 {
		t.Errorf("%d valid batches instead of 16", got)
	}
	for _, want := range []string{"endTxnMarker: COMMIT", "compresscodec: zstd", "compresscodec: lz4",
		"partitionLeaderEpoch: 2", "producerId: 4 producerEpoch: 0"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, "isvalid: false") || strings.Contains(text, "xception") || t.Failed() {
		t.Fatalf("kafka-dump-log said\n%s", text)
	}
}

// apache is a ZooKeeper and a Kafka of Apache on a log directory.
type apache struct {
	t       *testing.T
	config  string
	address string
	broker  *exec.Cmd
	done    chan error // receives when the broker has ended
	out     bytes.Buffer
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func waitFor(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s", address)
}

func newApache(t *testing.T, logDir string) *apache {
	t.Helper()
	tmp := t.TempDir()
	zk, port := freePort(t), freePort(t)
	a := &apache{t: t, config: filepath.Join(tmp, "server.properties"),
		address: fmt.Sprintf("127.0.0.1:%d", port)}
	zoo := filepath.Join(tmp, "zoo.cfg")
	for name, content := range map[string]string{
		zoo: fmt.Sprintf("dataDir=%s/zk\nclientPort=%d\nclientPortAddress=127.0.0.1\n"+
			"admin.enableServer=false\n", tmp, zk),
		a.config: fmt.Sprintf("broker.id=7\nlisteners=PLAINTEXT://%s\nzookeeper.connect=127.0.0.1:%d\n"+
			"log.dirs=%s\nzookeeper.session.timeout.ms=4000\nnum.partitions=1\n"+
			"group.initial.rebalance.delay.ms=0\n", a.address, zk, logDir),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := peerCommand(t, "zk", "zookeeper-3.9.4", zoo)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, fmt.Sprintf("127.0.0.1:%d", zk))
	return a
}

// start starts the broker. After a kill its registration stands in the way until the session ends:
// Apache's broker gives up then, and is started again, as a service manager would.
func (a *apache) start() {
	a.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; {
		broker := peerCommand(a.t, "kafka", "kafka-3.9.2", a.config)
		broker.Stdout, broker.Stderr = &a.out, &a.out
		if err := broker.Start(); err != nil {
			a.t.Fatal(err)
		}
		a.t.Cleanup(func() { _ = broker.Process.Kill() })
		done := make(chan error, 1)
		go func() { done <- broker.Wait() }()
		a.broker, a.done = broker, done
		if a.listens(deadline) {
			return
		}
		if !strings.Contains(a.out.String(), "NodeExists") || time.Now().After(deadline) {
			a.t.Fatalf("the broker does not start\n%s", a.out.String())
		}
		a.out.Reset()
	}
}

// listens waits until the broker accepts connections; false if it has ended or the time is up.
func (a *apache) listens(deadline time.Time) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		if c, err := net.DialTimeout("tcp", a.address, time.Second); err == nil {
			_ = c.Close()
			return true
		}
		select {
		case <-tick.C:
		case <-a.done:
			return false
		}
	}
	return false
}

func (a *apache) stop(s os.Signal) {
	a.t.Helper()
	if err := a.broker.Process.Signal(s); err != nil {
		a.t.Fatal(err)
	}
	err := <-a.done
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		a.t.Fatal(err)
	}
	for l := range strings.Lines(a.out.String()) {
		// The broker rebuilds its own index files, and calls their absence an error.
		if strings.Contains(l, "ERROR") && !strings.Contains(l, "Could not find offset index file") {
			a.t.Fatalf("broker said\n%s", a.out.String())
		}
	}
	a.out.Reset()
}

func (a *apache) client(opts ...kgo.Opt) *kgo.Client {
	a.t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(a.address), kgo.AllowAutoTopicCreation())...)
	if err != nil {
		a.t.Fatal(err)
	}
	return cl
}

func (a *apache) produce(topic string, values ...string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := a.client()
	defer cl.Close()
	for i, v := range values {
		err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr()
		// A broker that listens may not know yet that it lives: the topic is not created then.
		for i == 0 && errors.Is(err, kerr.InvalidReplicationFactor) && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			err = cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr()
		}
		if err != nil {
			a.t.Fatalf("%v\n%s", err, a.out.String())
		}
	}
}

// expect consumes from the start and compares.
func (a *apache) expect(topic string, want []string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := a.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	for i := 0; i < len(want); {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			a.t.Fatalf("%d of %d records: %v\n%s", i, len(want), err, a.out.String())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if i < len(want) && (string(r.Value) != want[i] || r.Offset != int64(i)) {
				a.t.Fatalf("record %d is %q at offset %d instead of %q", i, r.Value, r.Offset, want[i])
			}
			i++
		})
	}
}

// TestInteropTakeTurns lets Apache's broker and us write to the same log directory in turn, with
// clean stops and with kills: each finds everything the other wrote.
func TestInteropTakeTurns(t *testing.T) {
	path := t.TempDir()
	a := newApache(t, path)
	tp := TP{"turns", 0}
	config := DefaultConfig()
	config.SegmentBytes = 3000
	var want []string
	add := func(who string, n int) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("%s %d %s", who, len(want)+i, strings.Repeat(".", 150)))
		}
		want = append(want, out...)
		return out
	}
	a.start()
	a.produce(tp.Topic, add("apache", 30)...)
	a.stop(syscall.SIGTERM)

	ours := func(clean bool, seq int32) {
		t.Helper()
		d := mustOpen(t, nil, path)
		if d.Clean() != clean || d.Meta().BrokerID != 7 {
			t.Fatal(d.Clean(), d.Meta())
		}
		var l *Log
		for _, found := range d.Existing() {
			c := config
			opened := mustLog(t, d, found, c)
			if found == tp {
				l = opened
			}
		}
		if l == nil || l.End() != int64(len(want)) || l.TopicID() == [16]byte{} {
			t.Fatalf("end is not %d: %+v", len(want), l)
		}
		for i, v := range add("ours", 30) {
			codec := record.Codec(i % 5)
			idempotent(t, l, l.LatestEpoch(), codec, 1<<40, seq+int32(i), v)
		}
		l.SetHighWatermark(l.End())
		if len(l.Segments()) < 2 {
			t.Fatal("no roll")
		}
		if clean {
			if err := d.Close(-1); err != nil {
				t.Fatal(err)
			}
			return
		}
		if err := errors.Join(l.Flush(), d.Checkpoint()); err != nil {
			t.Fatal(err)
		}
		d.Abandon()
	}
	ours(true, 0)
	a.start()
	a.expect(tp.Topic, want)
	a.produce(tp.Topic, add("apache", 10)...)
	a.stop(syscall.SIGKILL)
	ours(false, 30)
	a.start()
	a.expect(tp.Topic, want)
	a.produce(tp.Topic, add("apache", 10)...)
	a.stop(syscall.SIGTERM)
	d := mustOpen(t, nil, path)
	if l := mustLog(t, d, tp, config); !d.Clean() || l.End() != int64(len(want)) {
		t.Fatal(d.Clean(), l.End(), len(want))
	}
}
