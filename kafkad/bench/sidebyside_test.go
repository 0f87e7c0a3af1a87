//go:build bench

package bench

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	records = flag.Int("records", 2_000_000, "records of a produce or consume run")
	rounds  = flag.Int("rounds", 3, "measured runs, of which the median counts")
	warmups = flag.Int("warmups", 2, "runs before them; a JVM needs two")
	only    = flag.String("only", "", "measure only ours or only apache")
)

const (
	partitions = 6
	recordSize = 1024
	manyParts  = 1000
	perSecond  = 2000
)

// contender is a pair of servers: a ZooKeeper and a broker on it.
type contender struct {
	name          string
	zooKeeper     func(conf string) *exec.Cmd
	broker        func(conf string) *exec.Cmd
	dir           string
	zkAddr, kafka string
}

// row is one line of the table. Bar is the largest ours/Apache ratio that is good enough when less
// is better, and the smallest when more is better.
type row struct {
	name, unit string
	more       bool // more is better
	bar        float64
}

var rows = []row{
	{"produce acks=1", "k records/s", true, 1},
	{"produce CPU", "s/GB", false, 1},
	{"consume", "k records/s", true, 1},
	{"consume CPU", "s/GB", false, 1},
	{"ack p50", "ms", false, 1}, {"ack p99", "ms", false, 1}, {"ack p99.9", "ms", false, 1},
	{"end to end p50", "ms", false, 1}, {"end to end p99", "ms", false, 1},
	{"end to end p99.9", "ms", false, 1},
	{"memory after load", "MB", false, 1.0 / 3},
	{"start-up, empty", "s", false, 0.2},
	{"start-up, 1,000 partitions", "s", false, 0.2},
}

// TestSideBySide measures kafkad on zkd and Apache Kafka on Apache ZooKeeper, one after the other,
// and prints a table. It needs bin/zkd and bin/kafkad (make build), a JDK and Maven.
func TestSideBySide(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	peer := filepath.Join(root, ".ci/peers/peer")
	bin := filepath.Join(root, "bin")
	if b := os.Getenv("ZKAFKA_BIN"); b != "" {
		bin = b
	}
	ours := &contender{
		name:      "ours",
		zooKeeper: func(c string) *exec.Cmd { return exec.Command(bin+"/zkd", "serve", "--config", c) },
		broker:    func(c string) *exec.Cmd { return exec.Command(bin+"/kafkad", "serve", "--config", c) },
	}
	// The heap that upstream's own start script gives a broker.
	apache := &contender{
		name:      "apache",
		zooKeeper: func(c string) *exec.Cmd { return exec.Command(peer, "zk", "zookeeper-3.9.4", c) },
		broker: func(c string) *exec.Cmd {
			cmd := exec.Command(peer, "kafka", "kafka-3.9.2", c)
			cmd.Env = append(os.Environ(), "PEER_JVM=-Xmx1G -Xms1G -XX:+UseG1GC -XX:MaxGCPauseMillis=20")
			return cmd
		},
	}
	results := map[string]map[string]float64{}
	for _, c := range []*contender{ours, apache} {
		if *only == "" || *only == c.name {
			results[c.name] = c.measure(t)
		}
	}
	for _, name := range print(results) {
		t.Errorf("%s: not good enough", name)
	}
}

// print writes the table to standard output, where make shows it, and returns what misses its bar.
func print(results map[string]map[string]float64) (missed []string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\trow\tours\tApache\tratio\tbar\t\t\n")
	for _, r := range rows {
		a, b := results["ours"][r.name], results["apache"][r.name]
		verdict, bar := "", fmt.Sprintf("≤ %.2f", r.bar)
		if r.more {
			bar = fmt.Sprintf("≥ %.2f", r.bar)
		}
		if a != 0 && b != 0 {
			verdict = "met"
			if ratio := a / b; r.more && ratio < r.bar || !r.more && ratio > r.bar {
				verdict = "MISSED"
				missed = append(missed, r.name)
			}
		}
		fmt.Fprintf(w, "\t%s, %s\t%.3f\t%.3f\t%.2f\t%s\t%s\t\n", r.name, r.unit, a, b, a/b, bar, verdict)
	}
	w.Flush()
	return missed
}

func (c *contender) measure(t *testing.T) map[string]float64 {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	c.dir = t.TempDir()
	c.zkAddr, c.kafka = freeAddr(t), freeAddr(t)
	c.configure(t)
	zk := start(t, c.zooKeeper(filepath.Join(c.dir, "zoo.cfg")))
	defer stop(t, zk)
	awaitPort(t, c.zkAddr)
	out := map[string]float64{}

	broker, took := c.startBroker(ctx, t, "__no_such_topic", 0)
	out["start-up, empty"] = took.Seconds()
	c.throughput(ctx, t, broker.Process.Pid, out)
	c.latency(ctx, t, out)
	rss, err := RSS(broker.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	out["memory after load"] = float64(rss) / 1e6

	many := Load{Brokers: []string{c.kafka}, Topic: "many", Partitions: manyParts}
	if err := CreateTopic(ctx, many); err != nil {
		t.Fatal(err)
	}
	var starts []float64
	for range *rounds {
		stop(t, broker)
		broker, took = c.startBroker(ctx, t, many.Topic, manyParts)
		starts = append(starts, took.Seconds())
	}
	stop(t, broker)
	out["start-up, 1,000 partitions"] = median(starts)
	return out
}

// configure writes the files of both servers, in the form that both understand.
func (c *contender) configure(t *testing.T) {
	zkHost, zkPort, _ := net.SplitHostPort(c.zkAddr)
	zoo := fmt.Sprintf("tickTime=2000\ndataDir=%s/zk\nclientPort=%s\nclientPortAddress=%s\n"+
		"admin.enableServer=false\n", c.dir, zkPort, zkHost)
	kafka := fmt.Sprintf("broker.id=0\nlisteners=PLAINTEXT://%s\nzookeeper.connect=%s\n"+
		"log.dirs=%s/kafka\noffsets.topic.replication.factor=1\n"+
		"transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n",
		c.kafka, c.zkAddr, c.dir)
	for name, text := range map[string]string{"zoo.cfg": zoo, "server.properties": kafka} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"zk", "kafka"} {
		if err := os.MkdirAll(filepath.Join(c.dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// startBroker starts the broker and measures until it answers Metadata with leaders for all
// partitions of the topic.
func (c *contender) startBroker(ctx context.Context, t *testing.T, topic string, n int) (
	*exec.Cmd, time.Duration,
) {
	began := time.Now()
	cmd := start(t, c.broker(filepath.Join(c.dir, "server.properties")))
	wait, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := AwaitLeaders(wait, Load{Brokers: []string{c.kafka}, Topic: topic, Partitions: n}); err != nil {
		t.Fatal(err)
	}
	return cmd, time.Since(began)
}

func (c *contender) throughput(ctx context.Context, t *testing.T, pid int, out map[string]float64) {
	samples := map[string][]float64{}
	for i := range *warmups + *rounds {
		l := Load{
			Brokers: []string{c.kafka}, Topic: fmt.Sprintf("load-%d", i), Partitions: partitions,
			Records: *records, Size: recordSize,
		}
		if err := CreateTopic(ctx, l); err != nil {
			t.Fatal(err)
		}
		c.touchMemory(t, int64(l.Records)*int64(l.Size)*5/4)
		rate, cpu := timed(ctx, t, pid, l, Produce)
		samples["produce acks=1"] = append(samples["produce acks=1"], rate)
		samples["produce CPU"] = append(samples["produce CPU"], cpu)
		rate, cpu = timed(ctx, t, pid, l, Consume)
		samples["consume"] = append(samples["consume"], rate)
		samples["consume CPU"] = append(samples["consume CPU"], cpu)
		t.Logf("%s run %d: %.0f %.3f %.0f %.3f", c.name, i, last(samples["produce acks=1"]),
			last(samples["produce CPU"]), rate, cpu)
		if err := DeleteTopic(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range samples {
		out[name] = median(s[*warmups:])
	}
}

// touchMemory writes and removes a file of the size of a run. In a virtual machine that reports
// free pages, memory that was free for seconds belongs to the host, and whoever writes it first
// pays three times the price of the copy: that must not fall to whichever server happens to run
// then.
func (c *contender) touchMemory(t *testing.T, bytes int64) {
	name := filepath.Join(c.dir, "touch")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	defer f.Close()
	chunk := make([]byte, 1<<20)
	for n := int64(0); n < bytes; n += int64(len(chunk)) {
		if _, err := f.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
}

func timed(ctx context.Context, t *testing.T, pid int, l Load,
	run func(context.Context, Load) (Throughput, error),
) (thousandsPerSecond, cpuPerGB float64) {
	before, err := CPU(pid)
	if err != nil {
		t.Fatal(err)
	}
	r, err := run(ctx, l)
	if err != nil {
		t.Fatal(err)
	}
	after, err := CPU(pid)
	if err != nil {
		t.Fatal(err)
	}
	return r.PerSecond() / 1000, (after - before).Seconds() / r.GB()
}

func (c *contender) latency(ctx context.Context, t *testing.T, out map[string]float64) {
	l := Load{Brokers: []string{c.kafka}, Topic: "latency", Partitions: partitions, Size: recordSize}
	if err := CreateTopic(ctx, l); err != nil {
		t.Fatal(err)
	}
	samples := map[string][]float64{}
	for i := range 1 + *rounds {
		r, err := MeasureLatency(ctx, l, perSecond, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s latency %d: %+v", c.name, i, r)
		for name, p := range map[string]Percentiles{"ack": r.Ack, "end to end": r.EndToEnd} {
			for suffix, d := range map[string]time.Duration{
				" p50": p.P50, " p99": p.P99, " p99.9": p.P999,
			} {
				samples[name+suffix] = append(samples[name+suffix], d.Seconds()*1000)
			}
		}
	}
	for name, s := range samples {
		out[name] = median(s[1:])
	}
}

func median(s []float64) float64 {
	s = slices.Clone(s)
	slices.Sort(s)
	return s[len(s)/2]
}

func last(s []float64) float64 { return s[len(s)-1] }

func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func awaitPort(t *testing.T, addr string) {
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		<-time.After(pollInterval)
	}
	t.Fatalf("nothing listens on %s", addr)
}

func start(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	var log strings.Builder
	cmd.Stderr, cmd.Stdout = &log, &log
	// A server of a test that dies must die too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%v said:\n%s", cmd.Args, log.String())
		}
	})
	return cmd
}

// stop ends a server the way a service manager does.
func stop(t *testing.T, cmd *exec.Cmd) {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return // stopped before
	}
	err := cmd.Wait()
	// A JVM reports the signal as its exit status.
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 143 {
		t.Errorf("%v: %v", cmd.Args, err)
	}
}
