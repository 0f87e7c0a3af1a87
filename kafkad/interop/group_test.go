//go:build interop

package interop

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Three consoles in one group, then one, then none, as in any introduction to Kafka: every
// partition has one reader, and LAG is right at each step. One subtest has three of Apache's
// consumers; in the other librdkafka, Apache's and ours must agree on an assignment.
func TestInteropConsumersComeAndGo(t *testing.T) {
	needForeign(t)
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk, t.TempDir(), "group.min.session.timeout.ms=1000")
	settings := []string{"auto.commit.interval.ms=200", "session.timeout.ms=3000",
		"heartbeat.interval.ms=500", "auto.offset.reset=earliest"}
	console := func(group string) []string {
		args := []string{"--bootstrap-server", addr, "--topic", group, "--consumer-property",
			"group.id=" + group}
		for _, s := range settings {
			args = append(args, "--consumer-property", s)
		}
		return args
	}
	java := func(group string) *exec.Cmd {
		return peerCommand(t, append([]string{"kafka-console-consumer", "kafka-3.9.2"},
			console(group)...)...)
	}
	native := func(group string) *exec.Cmd {
		return oursCommand(t, "kafka-console-consumer", console(group)...)
	}
	rdkafka := func(group string) *exec.Cmd {
		args := []string{"-b", addr, "-G", group, "-u", "-q"}
		for _, s := range settings {
			args = append(args, "-X", s)
		}
		return exec.Command("kcat", append(args, group)...)
	}
	t.Run("mixed", func(t *testing.T) {
		comeAndGo(t, addr, "mixed", []func(string) *exec.Cmd{rdkafka, java, native})
	})
	if testing.Short() {
		return
	}
	t.Run("apache", func(t *testing.T) {
		comeAndGo(t, addr, "apache", []func(string) *exec.Cmd{java, java, java})
	})
}

// comeAndGo plays it with the three consumers on a topic of three partitions named like the group.
func comeAndGo(t *testing.T, addr, group string, consumers []func(string) *exec.Cmd) {
	ours(t, "", "kafka-topics", "--bootstrap-server", addr, "--create", "--topic", group,
		"--partitions", "3", "--replication-factor", "1")
	var running [3]*process
	begin := func(i int) {
		running[i] = start(t, fmt.Sprintf("consumer %d", i), consumers[i](group))
	}
	begin(0)
	w := walk{t: t, addr: addr, group: group}
	w.await("the first has everything", func(g groupTable) bool { return g.consumers() == 1 })
	begin(1)
	w.await("two share", func(g groupTable) bool { return g.consumers() == 2 })
	begin(2)
	w.await("each has a partition", func(g groupTable) bool { return g.consumers() == 3 })
	w.produce(30)
	w.await("three keep up", func(g groupTable) bool { return g.consumers() == 3 && g.lag() == 0 })
	w.agree()
	var all []string
	for i, p := range running {
		got := p.messages(10)
		if len(got) != 10 {
			t.Errorf("consumer %d of 3 read %d messages, want 10", i, len(got))
		}
		all = append(all, got...)
	}
	w.each("three consumers", all, 0, 30)

	running[1].stop()                  // leaves the group
	running[2].signal(syscall.SIGKILL) // is missed
	w.await("one is left", func(g groupTable) bool { return g.consumers() == 1 })
	w.produce(30)
	w.await("one keeps up", func(g groupTable) bool { return g.consumers() == 1 && g.lag() == 0 })
	w.agree()
	w.each("the one left", running[0].messages(40)[10:], 30, 60)

	running[0].stop()
	w.await("nobody is left", func(g groupTable) bool { return g.inactive && g.lag() == 0 })
	w.produce(15)
	if g := w.describe(); g.lag() != 15 || !g.inactive {
		t.Errorf("with nobody reading: %+v, want a LAG of 15", g)
	}
	w.produce(15)
	if g := w.describe(); g.lag() != 30 || len(g.rows) != 3 {
		t.Errorf("with nobody reading: %+v, want a LAG of 30", g)
	}
	w.agree()
	begin(1)
	w.await("read up", func(g groupTable) bool { return g.consumers() == 1 && g.lag() == 0 })
	w.each("the one that came back", running[1].messages(30), 60, 90)
	running[1].stop()
}

// walk is the group that comeAndGo looks at, and how many messages its topic has.
type walk struct {
	t           *testing.T
	addr, group string
	sent        int
}

// produce adds n messages, a third to each partition.
func (w *walk) produce(n int) {
	w.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.addr),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	var records []*kgo.Record
	for range n {
		records = append(records, &kgo.Record{Topic: w.group, Partition: int32(w.sent % 3),
			Value: fmt.Appendf(nil, "message %d", w.sent)})
		w.sent++
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// each fails the test unless got is every message from..to once.
func (w *walk) each(what string, got []string, from, to int) {
	w.t.Helper()
	var want []string
	for i := from; i < to; i++ {
		want = append(want, fmt.Sprintf("message %d", i))
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		w.t.Errorf("%s: read %q, want every message from %d to %d once", what, got, from, to-1)
	}
}

func (w *walk) describe() groupTable {
	w.t.Helper()
	return readGroup(w.t, w.group, ours(w.t, "", "kafka-consumer-groups", "--bootstrap-server",
		w.addr, "--describe", "--group", w.group))
}

// await looks at the group until it is as wanted, with three partitions.
func (w *walk) await(what string, done func(groupTable) bool) {
	w.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for {
		g := w.describe()
		if len(g.rows) == 3 && done(g) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("%s: not within 60 s: %+v", what, g)
		}
	}
}

// agree fails the test unless Apache's tool shows the group as ours does.
func (w *walk) agree() {
	w.t.Helper()
	mine, theirs := w.describe(), readGroup(w.t, w.group, apache(w.t, "", "kafka-consumer-groups",
		"kafka-3.9.2", "--bootstrap-server", w.addr, "--describe", "--group", w.group))
	if fmt.Sprint(mine) != fmt.Sprint(theirs) {
		w.t.Errorf("our tool and Apache's differ:\n%v\n%v", mine, theirs)
	}
}

// groupTable is what kafka-consumer-groups --describe shows, sorted by partition.
type groupTable struct {
	// GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID
	rows     [][]string
	inactive bool
}

// readGroup reads the table and fails the test where CURRENT-OFFSET + LAG is not LOG-END-OFFSET.
func readGroup(t *testing.T, group, out string) groupTable {
	t.Helper()
	g := groupTable{inactive: strings.Contains(out, "has no active members")}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 9 || f[0] != group {
			continue
		}
		g.rows = append(g.rows, f)
		var cur, end, lag int
		n, _ := fmt.Sscan(f[3]+" "+f[4]+" "+f[5], &cur, &end, &lag)
		if n == 3 && cur+lag != end { // n is less before the first commit: "-"
			t.Errorf("CURRENT-OFFSET + LAG is not LOG-END-OFFSET in %s", line)
		}
	}
	slices.SortFunc(g.rows, func(a, b []string) int { return strings.Compare(a[2], b[2]) })
	return g
}

// lag adds up the LAG column; -1 if a partition has none yet.
func (g groupTable) lag() int {
	sum := 0
	for _, f := range g.rows {
		var lag int
		if n, _ := fmt.Sscan(f[5], &lag); n != 1 {
			return -1
		}
		sum += lag
	}
	return sum
}

// consumers counts the consumer ids.
func (g groupTable) consumers() int {
	ids := map[string]bool{}
	for _, f := range g.rows {
		if f[6] != "-" {
			ids[f[6]] = true
		}
	}
	return len(ids)
}

var messageLine = regexp.MustCompile(`(?m)^message \d+$`)

// messages waits until a consumer has printed n messages (its offsets may be committed before), and
// returns all there are.
func (p *process) messages(n int) []string {
	p.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		got := messageLine.FindAllString(p.out.String(), -1)
		if len(got) >= n {
			return got
		}
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("%s printed %d messages, want %d\n%s", p.name, len(got), n,
				tail(p.out.String(), 30))
		}
	}
}
