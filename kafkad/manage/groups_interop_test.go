//go:build interop

package manage

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"zkafka/kafkad/console"
	"zkafka/kafkad/tool"
)

// TestInteropConsumerGroup is what people do with three consoles: a topic made through ZooKeeper,
// lines typed into a producer, three consumers in a group, then one, then none, and always a look
// at LAG. The tools run against our own daemons; the Apache tools have a test of their own.
func TestInteropConsumerGroup(t *testing.T) {
	zk, broker := startDaemons(t)
	server := "--bootstrap-server=" + broker
	must := func(cmd *tool.Tool, in string, args ...string) string {
		t.Helper()
		code, out, errs := runWith(context.Background(), cmd, in, args...)
		if code != 0 {
			t.Fatalf("%s %v: exit code %d\n%s%s", cmd.Name, args, code, out, errs)
		}
		return out + errs
	}
	out := must(Topics(), "", "--zookeeper", zk, "--create", "--topic", "book-topic",
		"--partitions", "3", "--replication-factor", "1")
	if out != "Created topic book-topic.\n" {
		t.Errorf("create said %q", out)
	}
	describe := func() groupTable {
		_, out, errs := runWith(context.Background(), ConsumerGroups(), "", server, "--describe",
			"--group", "my-group")
		return readTable(t, out, errs)
	}
	produce := func(from, to int) {
		var in strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&in, "k%d:message %d\n", i, i)
		}
		must(console.Producer(), in.String(), "--broker-list", broker, "--topic", "book-topic",
			"--property", "parse.key=true", "--property", "key.separator=:")
	}
	produce(0, 30)

	var consumers [3]*running
	for i := range consumers {
		consumers[i] = start(t, console.Consumer(), server, "--topic", "book-topic",
			"--from-beginning", "--consumer-property", "group.id=my-group")
	}
	await(t, "each of three consumers has a partition", func() bool {
		g := describe()
		return len(g.rows) == 3 && g.consumers() == 3 && g.consistent() && g.lag() == 0
	})
	produce(30, 60)
	await(t, "the group has read everything", func() bool {
		return describe().lag() == 0 && describe().end() == 60
	})
	consumers[0].stop()
	consumers[1].stop()
	await(t, "one consumer has all partitions", func() bool {
		g := describe()
		return len(g.rows) == 3 && g.consumers() == 1 && g.consistent()
	})
	consumers[2].stop()
	var lines []string
	for _, c := range consumers {
		lines = append(lines, strings.Fields(strings.ReplaceAll(c.out.String(), "message ", ""))...)
	}
	if len(lines) != 60 || len(distinct(lines)) != 60 {
		t.Errorf("the consumers printed %d lines, %d of them different", len(lines),
			len(distinct(lines)))
	}
	produce(60, 69)
	g := describe()
	if g.lag() != 9 || !g.consistent() || g.consumers() != 0 || !g.inactive {
		t.Errorf("with nobody reading: %+v", g)
	}
	must(ConsumerGroups(), "", server, "--reset-offsets", "--group", "my-group", "--all-topics",
		"--to-earliest", "--execute")
	if g := describe(); g.lag() != 69 {
		t.Errorf("after the reset: %+v", g)
	}
	out = must(ConsumerGroups(), "", server, "--delete", "--group", "my-group")
	if out != "Deletion of requested consumer groups ('my-group') was successful.\n" {
		t.Errorf("delete said %q", out)
	}
	if out := must(ConsumerGroups(), "", server, "--describe", "--group", "my-group"); out !=
		"\nError: Consumer group 'my-group' does not exist.\n" {
		t.Errorf("describe of a deleted group said %q", out)
	}
}

func distinct(list []string) map[string]bool {
	m := map[string]bool{}
	for _, s := range list {
		m[s] = true
	}
	return m
}

// groupTable is the output of --describe.
type groupTable struct {
	rows     [][]string
	inactive bool
}

func readTable(t *testing.T, out, errs string) groupTable {
	g := groupTable{inactive: strings.Contains(errs, "has no active members.")}
	for _, line := range strings.Split(out, "\n") {
		f := strings.Fields(line)
		if len(f) == 9 && f[0] != "GROUP" {
			g.rows = append(g.rows, f)
		}
	}
	return g
}

func (g groupTable) column(i int) (sum int64) {
	for _, r := range g.rows {
		n, err := strconv.ParseInt(r[i], 10, 64)
		if err != nil {
			return -1
		}
		sum += n
	}
	return sum
}

func (g groupTable) lag() int64 { return g.column(5) }
func (g groupTable) end() int64 { return g.column(4) }

// consistent says that CURRENT-OFFSET + LAG = LOG-END-OFFSET in every row.
func (g groupTable) consistent() bool {
	for _, r := range g.rows {
		one := groupTable{rows: [][]string{r}}
		if one.column(3) < 0 || one.column(3)+one.lag() != one.end() {
			return false
		}
	}
	return true
}

func (g groupTable) consumers() int {
	ids := map[string]bool{}
	for _, r := range g.rows {
		if r[6] != missing {
			ids[r[6]] = true
		}
	}
	return len(ids)
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// safeBuffer is a buffer that a test reads while a tool writes.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// running is a tool that runs until it is stopped.
type running struct {
	cancel    context.CancelFunc
	done      chan struct{}
	out, errs safeBuffer
}

func start(t *testing.T, cmd *tool.Tool, args ...string) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		cmd.Run(ctx, tool.Env{In: strings.NewReader(""), Out: &r.out, Err: &r.errs}, args)
	}()
	t.Cleanup(r.stop)
	return r
}

func (r *running) stop() {
	r.cancel()
	<-r.done
}

func runWith(
	ctx context.Context, cmd *tool.Tool, in string, args ...string,
) (code int, out, errs string) {
	var o, e safeBuffer
	code = cmd.Run(ctx, tool.Env{In: strings.NewReader(in), Out: &o, Err: &e}, args)
	return code, o.String(), e.String()
}

// startDaemons starts zkd and kafkad from $ZKAFKA_BIN, or as built now.
func startDaemons(t *testing.T) (zk, broker string) {
	dir := t.TempDir()
	bin := os.Getenv("ZKAFKA_BIN")
	if bin == "" {
		bin = dir
		for _, d := range []string{"zkd", "kafkad"} {
			b, err := exec.Command("go", "build", "-o", filepath.Join(dir, d), "zkafka/"+d).
				CombinedOutput()
			if err != nil {
				t.Fatalf("building %s: %v\n%s", d, err, b)
			}
		}
	}
	port := func() int {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}
	zkPort, kafkaPort := port(), port()
	zk = fmt.Sprintf("127.0.0.1:%d/book-kaf", zkPort)
	broker = fmt.Sprintf("127.0.0.1:%d", kafkaPort)
	daemon(t, filepath.Join(bin, "zkd"), filepath.Join(dir, "zoo.cfg"), fmt.Sprintf(
		"tickTime=2000\ndataDir=%s/zk\nclientPort=%d\nadmin.enableServer=false\n", dir, zkPort))
	daemon(t, filepath.Join(bin, "kafkad"), filepath.Join(dir, "server.properties"), fmt.Sprintf(
		"broker.id=1\nlisteners=PLAINTEXT://%s\nlog.dirs=%s/logs\nadmin.address=\n"+
			"zookeeper.connect=%s\noffsets.topic.replication.factor=1\n"+
			"group.initial.rebalance.delay.ms=0\n", broker, dir, zk))
	await(t, "the broker is registered", func() bool {
		code, _, _ := runWith(context.Background(), BrokerApiVersions(), "",
			"--bootstrap-server", broker)
		return code == 0
	})
	return zk, broker
}

func daemon(t *testing.T, bin, file, config string) {
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out safeBuffer
	cmd := exec.Command(bin, "serve", "--config", file)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", bin, out.String())
		}
	})
}
