//go:build bench

package bench

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	ops     = flag.Int("ops", 100_000, "operations of a run")
	rounds  = flag.Int("rounds", 3, "measured rounds, of which the median counts")
	warmups = flag.Int("warmups", 2, "rounds before them; a JVM needs two")
	znodes  = flag.Int("znodes", 200_000, "znodes of 1 KB of the large tree")
)

// row is one line of the table. Bar is the ratio of ours to Apache's that is good enough: the
// smallest when more is better, else the largest.
type row struct {
	name, unit string
	more       bool
	bar        float64
}

var rows = []row{
	{"create", "1/s", true, 1}, {"create CPU", "s/M", false, 1},
	{"set", "1/s", true, 1}, {"set CPU", "s/M", false, 1},
	{"get", "1/s", true, 1}, {"get CPU", "s/M", false, 1},
	{"memory after load", "MB", false, 1.0 / 3},
	{"memory, large tree", "MB", false, 0.5},
	{"start-up, empty", "s", false, 0.2},
	{"start-up, large tree", "s", false, 0.5},
}

// contender is a server under measurement.
type contender struct {
	name    string
	command func(config string) *exec.Cmd
	addr    string
	config  string
	cmd     *exec.Cmd
	got     map[string][]float64
}

// TestSideBySide measures zkd and Apache ZooKeeper 3.9.4, round by round in turn, and prints a table.
// It needs bin/zkd (make build), a JDK and Maven.
func TestSideBySide(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(root, "bin")
	if b := os.Getenv("ZKAFKA_BIN"); b != "" {
		bin = b
	}
	both := []*contender{
		{name: "zkd", command: func(c string) *exec.Cmd {
			return exec.Command(filepath.Join(bin, "zkd"), "serve", "--config", c)
		}},
		{name: "apache", command: func(c string) *exec.Cmd {
			cmd := exec.Command(filepath.Join(root, ".ci/peers/peer"), "zk", "zookeeper-3.9.4", c)
			cmd.Env = append(os.Environ(), "PEER_JVM=-Xmx1000m") // zkServer.sh's own default
			return cmd
		}},
	}
	for _, c := range both {
		c.got = map[string][]float64{}
		c.configure(t)
		for range *rounds { // an empty server, started and stopped
			c.start(t, "start-up, empty")
			c.stop(t)
		}
		c.start(t, "")
	}
	for round := range *warmups + *rounds {
		for _, c := range both {
			c.round(t, round)
		}
	}
	for _, c := range both {
		mem, err := Memory(c.cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		c.got["memory after load"] = []float64{float64(mem) / (1 << 20)}
		c.largeTree(t)
	}
	for _, bad := range table(both[0].got, both[1].got) {
		t.Errorf("%s: not good enough", bad)
	}
}

func (c *contender) configure(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.addr = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(c.addr)
	dir := t.TempDir()
	c.config = filepath.Join(dir, "zoo.cfg")
	// Snapshots are part of the load, and with this much of it they must go away again.
	text := fmt.Sprintf("tickTime=2000\ndataDir=%s\nclientPort=%s\nadmin.enableServer=false\n"+
		"clientPortAddress=127.0.0.1\nautopurge.purgeInterval=1\n", filepath.Join(dir, "data"), port)
	if err := os.WriteFile(c.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// largeTree fills the server and ends it: what it takes in memory, and how long it takes to start
// with it.
func (c *contender) largeTree(t *testing.T) {
	_, err := Run(context.Background(), c.addr, Spec{Kind: Create, Ops: *znodes, Root: "/large", Keep: true})
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	mem, err := Memory(c.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	c.got["memory, large tree"] = []float64{float64(mem) / (1 << 20)}
	c.stop(t)
	for range *rounds {
		c.start(t, "start-up, large tree")
		c.stop(t)
	}
}

// start starts the server and notes in a row how long it takes until it serves.
func (c *contender) start(t *testing.T, row string) {
	c.cmd = c.command(c.config)
	var log bytes.Buffer
	c.cmd.Stdout, c.cmd.Stderr = &log, &log
	begin := time.Now()
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	process := c.cmd.Process
	t.Cleanup(func() { _ = process.Kill() }) // gone already unless the test failed
	for time.Since(begin) < time.Minute {
		if serves(c.addr) {
			c.got[row] = append(c.got[row], time.Since(begin).Seconds())
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("%s does not start: %s", c.name, log.String())
}

func serves(addr string) bool {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer nc.Close()
	// Before the server listens, a connection to a port that the system may give to clients can
	// turn out to be one to itself, which never answers.
	if err := nc.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := nc.Write([]byte("srvr")); err != nil {
		return false
	}
	b, _ := io.ReadAll(nc)
	return bytes.Contains(b, []byte("Mode: standalone"))
}

func (c *contender) stop(t *testing.T) {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // a JVM that was told to end says so with its status
}

func (c *contender) round(t *testing.T, round int) {
	for _, kind := range []Kind{Create, Set, Get} {
		res, err := Run(context.Background(), c.addr, Spec{
			Kind: kind, Ops: *ops, PID: c.cmd.Process.Pid,
			Root: fmt.Sprintf("/%s%d", kind, round),
		})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		fmt.Printf("%-7s round %d %-7s %8.0f/s %6.2f CPU s/M  p50 %v p99 %v\n", c.name, round, kind,
			res.Rate(), res.CPUPerMillion().Seconds(), res.P50.Round(10*time.Microsecond),
			res.P99.Round(10*time.Microsecond))
		if round < *warmups {
			continue
		}
		cpu := string(kind) + " CPU"
		c.got[string(kind)] = append(c.got[string(kind)], res.Rate())
		c.got[cpu] = append(c.got[cpu], res.CPUPerMillion().Seconds())
	}
}

// table prints medians and ratios and returns the rows that miss their bar.
func table(ours, theirs map[string][]float64) (missed []string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tzkd\tApache 3.9.4\tratio\tbar\t")
	for _, r := range rows {
		a, b := median(ours[r.name]), median(theirs[r.name])
		ratio, sign := a/b, "≤"
		good := ratio <= r.bar
		if r.more {
			sign, good = "≥", ratio >= r.bar
		}
		if !good {
			missed = append(missed, r.name)
		}
		fmt.Fprintf(w, "%s (%s)\t%.2f\t%.2f\t%.3f\t%s %.2f\t\n", r.name, r.unit, a, b, ratio, sign,
			r.bar)
	}
	w.Flush()
	return missed
}

func median(s []float64) float64 {
	if len(s) == 0 {
		return 0
	}
	s = slices.Sorted(slices.Values(s))
	return s[len(s)/2]
}
