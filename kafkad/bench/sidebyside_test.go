//go:build bench

package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

var (
	records = flag.Int("records", 2_000_000, "records of a produce or consume run")
	rounds  = flag.Int("rounds", 5, "measured rounds")
	warmups = flag.Int("warmups", 2, "rounds before them; a JVM needs two")
	reads   = flag.Int("reads", 9, "reads of each kind and broker in a round")
	only    = flag.String("only", "", "measure only ours or only Apache")
)

const (
	partitions = 6
	recordSize = 1024
	manyParts  = 1000
	perSecond  = 2000
)

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
	{"consume, not decoded", "k records/s", true, 1},
	{"consume, not decoded CPU", "s/GB", false, 1},
	{"ack p50", "ms", false, 1}, {"ack p99", "ms", false, 1}, {"ack p99.9", "ms", false, 1},
	{"end to end p50", "ms", false, 1}, {"end to end p99", "ms", false, 1},
	{"end to end p99.9", "ms", false, 1},
	{"memory after load", "MB", false, 1.0 / 3},
	{"start-up, empty", "s", false, 0.2},
	{"start-up, 1,000 partitions", "s", false, 0.2},
}

// TestSideBySide measures kafkad on zkd and Apache Kafka on Apache ZooKeeper, and prints a table.
// Everything is measured in turn, so that a machine whose speed drifts drifts for both: sample i of
// one is a neighbour in time of sample i of the other. It needs bin/zkd and bin/kafkad (make
// build), a JDK and Maven.
func TestSideBySide(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
	defer cancel()
	var both []*contender
	for _, c := range contenders(t) {
		if *only == "" || *only == c.name {
			both = append(both, c)
		}
	}
	if len(both) == 0 {
		t.Fatalf("-only=%s: not ours or Apache", *only)
	}
	for _, c := range both {
		c.open(ctx, t)
	}
	for i := range *warmups + *rounds {
		throughput(ctx, t, both, i)
	}
	latency(ctx, t, both)
	for _, c := range both {
		rss, err := RSS(c.pid())
		if err != nil {
			t.Fatal(err)
		}
		c.note("memory after load", float64(rss)/1e6)
	}
	startUp(ctx, t, both)
	for _, name := range print(both) {
		t.Errorf("%s: not good enough", name)
	}
}

// inTurn yields the contenders; who is first changes with i.
func inTurn(both []*contender, i int) []*contender {
	order := slices.Clone(both)
	if i%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// throughput is one round: both write a topic and read it several times.
func throughput(ctx context.Context, t *testing.T, both []*contender, round int) {
	load := func(c *contender) Load {
		return Load{
			Brokers: []string{c.kafka}, Topic: fmt.Sprintf("load-%d", round), Partitions: partitions,
			Records: *records, Size: recordSize,
		}
	}
	warm := round < *warmups
	for _, c := range inTurn(both, round) {
		l := load(c)
		if err := CreateTopic(ctx, l); err != nil {
			t.Fatal(err)
		}
		c.touchMemory(t, int64(l.Records)*int64(l.Size)*5/4)
		c.timed(ctx, t, "produce acks=1", "produce CPU", warm, l, Produce)
	}
	unix.Sync() // the reads are not to wait for the writes
	for i := range *reads {
		for _, c := range inTurn(both, i) {
			c.timed(ctx, t, "consume", "consume CPU", warm, load(c), Consume)
		}
	}
	for i := range *reads {
		for _, c := range inTurn(both, i) {
			c.timed(ctx, t, "consume, not decoded", "consume, not decoded CPU", warm, load(c), Drain)
		}
	}
	for _, c := range both {
		if err := DeleteTopic(ctx, load(c)); err != nil {
			t.Fatal(err)
		}
	}
}

// timed runs one load and notes its rate and what the broker spent, unless it was a warm-up.
func (c *contender) timed(ctx context.Context, t *testing.T, rate, cpu string, warm bool, l Load,
	run func(context.Context, Load) (Throughput, error),
) {
	before, err := CPU(c.pid())
	if err != nil {
		t.Fatal(err)
	}
	r, err := run(ctx, l)
	if err != nil {
		t.Fatalf("%s: %s: %v", c.name, rate, err)
	}
	after, err := CPU(c.pid())
	if err != nil {
		t.Fatal(err)
	}
	thousands, perGB := r.PerSecond()/1000, (after-before).Seconds()/r.GB()
	t.Logf("%s %s, %s: %.0f k/s, %.3f CPU s/GB", c.name, l.Topic, rate, thousands, perGB)
	if warm {
		return
	}
	c.note(rate, thousands)
	c.note(cpu, perGB)
}

func latency(ctx context.Context, t *testing.T, both []*contender) {
	load := func(c *contender) Load {
		return Load{
			Brokers: []string{c.kafka}, Topic: "latency", Partitions: partitions, Size: recordSize,
		}
	}
	for _, c := range both {
		if err := CreateTopic(ctx, load(c)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1 + *rounds {
		for _, c := range inTurn(both, i) {
			r, err := MeasureLatency(ctx, load(c), perSecond, 5*time.Second)
			if err != nil {
				t.Fatalf("%s: latency: %v", c.name, err)
			}
			t.Logf("%s latency %d: %+v", c.name, i, r)
			if i == 0 {
				continue
			}
			for name, p := range map[string]Percentiles{"ack": r.Ack, "end to end": r.EndToEnd} {
				c.note(name+" p50", p.P50.Seconds()*1000)
				c.note(name+" p99", p.P99.Seconds()*1000)
				c.note(name+" p99.9", p.P999.Seconds()*1000)
			}
		}
	}
}

// startUp restarts the brokers with a topic of many partitions.
func startUp(ctx context.Context, t *testing.T, both []*contender) {
	for _, c := range both {
		many := Load{Brokers: []string{c.kafka}, Topic: "many", Partitions: manyParts}
		if err := CreateTopic(ctx, many); err != nil {
			t.Fatal(err)
		}
		stop(t, c.running)
	}
	for i := range *rounds {
		for _, c := range inTurn(both, i) {
			c.note("start-up, 1,000 partitions", c.startBroker(ctx, t, "many", manyParts).Seconds())
			stop(t, c.running)
		}
	}
}

// print writes the table to standard output, where make shows it, and returns what misses its bar
// or was not measured. The columns of the servers are medians; the ratio is the median of the
// ratios of neighbouring samples, which the machine's drift touches least.
func print(both []*contender) (missed []string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(both) == 1 {
		for _, r := range rows {
			fmt.Fprintf(w, "\t%s, %s\t%.3f\t\n", r.name, r.unit, median(both[0].got[r.name]))
		}
		w.Flush()
		return nil
	}
	fmt.Fprintf(w, "\trow\tours\tApache\tratio\tbar\t\t\n")
	for _, r := range rows {
		a, b := both[0].got[r.name], both[1].got[r.name]
		ratio := median(ratios(a, b))
		bar, met := fmt.Sprintf("≤ %.2f", r.bar), ratio > 0 && ratio <= r.bar
		if r.more {
			bar, met = fmt.Sprintf("≥ %.2f", r.bar), ratio >= r.bar
		}
		verdict := "met"
		if !met {
			verdict = "MISSED"
			missed = append(missed, r.name)
		}
		fmt.Fprintf(w, "\t%s, %s\t%.3f\t%.3f\t%.2f\t%s\t%s\t\n",
			r.name, r.unit, median(a), median(b), ratio, bar, verdict)
	}
	w.Flush()
	return missed
}

// ratios divides neighbours; nothing comes back if samples are missing.
func ratios(a, b []float64) []float64 {
	if len(a) != len(b) {
		return nil
	}
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

// median is 0 for no samples.
func median(s []float64) float64 {
	if len(s) == 0 {
		return 0
	}
	s = slices.Sorted(slices.Values(s))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
