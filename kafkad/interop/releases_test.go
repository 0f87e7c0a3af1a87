//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"
)

// Java clients from the oldest release we support to the newest on one topic: each reads what all
// wrote, and looks at its group with its own tool.
func TestInteropClientReleasesOnKafkad(t *testing.T) {
	needForeign(t)
	clients := []struct{ release, server, codec string }{
		{"1.0.0", "--broker-list", "lz4"},
		{"2.8.2", "--broker-list", "snappy"},
		{"4.2.0", "--bootstrap-server", "gzip"},
	}
	if testing.Short() {
		clients = clients[2:]
	}
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk, t.TempDir(), "")
	ours(t, "", "kafka-topics", "--bootstrap-server", addr, "--create", "--topic", "all",
		"--partitions", "2", "--replication-factor", "1")
	for _, c := range clients {
		var in strings.Builder
		for i := range 200 {
			fmt.Fprintf(&in, "key%d:message %d of %s\n", i%9, i, c.release)
		}
		shell(t, c.release)(in.String(), "kafka-console-producer --topic all "+c.server+" "+addr+
			" --compression-codec "+c.codec+" --property parse.key=true"+
			" --property key.separator=: --producer-property acks=all")
	}
	for _, c := range clients {
		t.Run(c.release, func(t *testing.T) {
			run, group, n := shell(t, c.release), "group-"+c.release, 200*len(clients)
			out := run("", fmt.Sprintf("kafka-console-consumer --topic all --from-beginning"+
				" --bootstrap-server %s --max-messages %d --timeout-ms 30000"+
				" --consumer-property group.id=%s", addr, n, group))
			for _, writer := range clients {
				for i := range 200 {
					line := fmt.Sprintf("message %d of %s\n", i, writer.release)
					if strings.Count(out, line) != 1 {
						t.Errorf("%q read %d times", line, strings.Count(out, line))
					}
				}
			}
			out = run("", "kafka-consumer-groups --describe --group "+group+
				" --bootstrap-server "+addr)
			want(t, "describe group", out, "CURRENT-OFFSET", "LAG")
			if sum := sumOffsets(out); sum != n {
				t.Errorf("offsets sum to %d, want %d, LAG 0 in\n%s", sum, n, out)
			}
		})
	}
	if !testing.Short() {
		t.Run("4.2.0 admin", func(t *testing.T) { newestAdmin(t, addr) })
	}
}

// newestAdmin runs the newest tools, which know nothing of ZooKeeper.
func newestAdmin(t *testing.T, addr string) {
	run, at := shell(t, "4.2.0"), " --bootstrap-server "+addr+" "
	out := run("", "kafka-topics"+at+"--create --topic new --partitions 3 --replication-factor 1"+
		" --config cleanup.policy=compact")
	want(t, "create", out, "Created topic new.")
	out = run("", "kafka-topics"+at+"--describe --topic new")
	want(t, "describe", out, "PartitionCount: 3", "cleanup.policy=compact", "Leader: 0")
	want(t, "groups", run("", "kafka-groups --list"+at), "group-4.2.0", "Classic")
	out = run("", "kafka-broker-api-versions"+at)
	want(t, "api versions", out, "Produce(0): 0 to 11", "Fetch(1): 0 to 17")
	// What a broker in ZooKeeper mode does not offer must be said, not waited for. (Apache's
	// console consumer ends with status 0 nevertheless.)
	out = run("", "kafka-console-consumer"+at+"--topic all --from-beginning --max-messages 1"+
		" --timeout-ms 30000 --group next --consumer-property group.protocol=consumer")
	want(t, "the next group protocol", out, "UnsupportedVersionException")
}

// sumOffsets adds up CURRENT-OFFSET of a group's table in the shape of any release; -1 if a LAG is
// not 0.
func sumOffsets(out string) int {
	sum, current := 0, -1
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) > 5 && current < 0 {
			for i, name := range f {
				if name == "CURRENT-OFFSET" {
					current = i
				}
			}
			continue
		}
		if current < 0 || len(f) <= current+2 {
			continue
		}
		var cur, end, lag int
		if n, _ := fmt.Sscan(strings.Join(f[current:current+3], " "), &cur, &end, &lag); n != 3 {
			continue
		}
		if lag != 0 || cur != end {
			return -1
		}
		sum += cur
	}
	return sum
}
