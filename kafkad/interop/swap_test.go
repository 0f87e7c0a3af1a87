//go:build interop

package interop

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// swapped is one cluster whose only broker is now Apache's and now ours, on the same log directory.
type swapped struct {
	t            *testing.T
	zk, logDir   string
	broker       *process
	addr         string
	run          func(stdin, line string) string // the tools that came with the broker
	sent, gotten int                             // records written, records that group g read
}

// swapExtra makes sessions short: the next broker of another kind has to wait for the end of a dead
// one's.
const swapExtra = "zookeeper.session.timeout.ms=4000\n"

func (s *swapped) apache() {
	s.broker, s.addr = apacheKafka(s.t, "3.9.2", s.zk, s.logDir, swapExtra)
	s.run = shell(s.t, "3.9.2")
}

func (s *swapped) ours() {
	s.broker, s.addr = kafkad(s.t, s.zk, s.logDir, swapExtra)
	s.run = ourShell(s.t)
}

func (s *swapped) tool(stdin, line string) string {
	s.t.Helper()
	return s.run(stdin, line+" --bootstrap-server "+s.addr)
}

func (s *swapped) produce(n int, codec string) {
	s.t.Helper()
	var in strings.Builder
	for range n {
		fmt.Fprintf(&in, "k%d:record %d\n", s.sent%7, s.sent)
		s.sent++
	}
	s.tool(in.String(), "kafka-console-producer --topic swap --compression-codec "+codec+
		" --property parse.key=true --property key.separator=:")
}

var recordLine = regexp.MustCompile(`(?m)^record \d+$`)

// all reads the topic from its beginning: every record, whoever wrote it, once.
func (s *swapped) all(who string) {
	s.t.Helper()
	out := s.tool("", fmt.Sprintf("kafka-console-consumer --topic swap --from-beginning"+
		" --timeout-ms 30000 --max-messages %d", s.sent))
	seen := map[string]int{}
	for _, line := range recordLine.FindAllString(out, -1) {
		seen[line]++
	}
	for i := range s.sent {
		if line := fmt.Sprintf("record %d", i); seen[line] != 1 {
			s.t.Errorf("%s: %q read %d times", who, line, seen[line])
		}
	}
}

// group lets g read n more records, and looks at its LAG.
func (s *swapped) group(who string, n int) {
	s.t.Helper()
	out := s.tool("", fmt.Sprintf("kafka-console-consumer --topic swap --from-beginning --group g"+
		" --timeout-ms 30000 --max-messages %d", n))
	if got := len(recordLine.FindAllString(out, -1)); got != n {
		s.t.Errorf("%s: the group read %d records, want %d\n%s", who, got, n, tail(out, 5))
	}
	s.gotten += n
	out = s.tool("", "kafka-consumer-groups --describe --group g")
	if lag := readGroup(s.t, "g", out).lag(); lag != s.sent-s.gotten {
		s.t.Errorf("%s: LAG %d, want %d\n%s", who, lag, s.sent-s.gotten, out)
	}
}

// gone waits until the killed broker's registration has ended with its session.
func (s *swapped) gone() {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		out := ours(s.t, "", "zkCli.sh", "-server", s.zk, "ls", "/brokers/ids")
		if strings.Contains(out, "[]") {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("the dead broker is still registered: %s", out)
		}
	}
}

// Swap one broker for the other on the same log.dirs and the same ZooKeeper, in both directions,
// after a clean stop and after kill -9. Records, groups and their offsets stay.
func TestInteropSwapBrokersOnOneLogDir(t *testing.T) {
	needForeign(t)
	_, zk := zkd(t, t.TempDir())
	s := &swapped{t: t, zk: zk, logDir: t.TempDir()}
	s.apache()
	s.tool("", "kafka-topics --create --topic swap --partitions 2 --replication-factor 1")
	s.produce(100, "lz4")
	s.group("Apache", 60)
	s.broker.stop()

	s.ours()
	s.produce(100, "zstd")
	s.all("kafkad on Apache's log.dirs")
	s.group("kafkad after Apache", 140)
	s.broker.stop()

	s.apache()
	s.produce(50, "gzip")
	s.all("Apache on kafkad's log.dirs")
	s.group("Apache after kafkad", 30)
	if testing.Short() {
		return
	}
	s.broker.kill()

	s.ours()
	s.produce(50, "snappy")
	s.all("kafkad after kill -9 of Apache")
	s.group("kafkad after kill -9 of Apache", 70)
	s.broker.kill()
	s.gone()

	s.apache()
	s.produce(10, "none")
	s.all("Apache after kill -9 of kafkad")
	s.group("Apache after kill -9 of kafkad", 10)
}
