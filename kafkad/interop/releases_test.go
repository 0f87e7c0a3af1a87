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
		apache(t, in.String(), "kafka-console-producer", "kafka-"+c.release, c.server, addr, "--topic",
			"all", "--compression-codec", c.codec, "--property", "parse.key=true", "--property",
			"key.separator=:", "--producer-property", "acks=all")
	}
	for _, c := range clients {
		t.Run(c.release, func(t *testing.T) {
			name, group, n := "kafka-"+c.release, "group-"+c.release, 200*len(clients)
			out := apache(t, "", "kafka-console-consumer", name, "--bootstrap-server", addr, "--topic",
				"all", "--from-beginning", "--max-messages", fmt.Sprint(n), "--timeout-ms", "30000",
				"--consumer-property", "group.id="+group)
			for _, writer := range clients {
				for i := range 200 {
					line := fmt.Sprintf("message %d of %s\n", i, writer.release)
					if strings.Count(out, line) != 1 {
						t.Errorf("%q read %d times", line, strings.Count(out, line))
					}
				}
			}
			out = apache(t, "", "kafka-consumer-groups", name, "--bootstrap-server", addr, "--describe",
				"--group", group)
			want(t, "describe group", out, "CURRENT-OFFSET", "LAG")
			if sum := sumOffsets(out); sum != n {
				t.Errorf("offsets sum to %d, want %d, LAG 0 in\n%s", sum, n, out)
			}
		})
	}
	t.Run("4.2.0 admin", func(t *testing.T) { newestAdmin(t, addr) })
}

// newestAdmin runs the newest tools, which know nothing of ZooKeeper.
func newestAdmin(t *testing.T, addr string) {
	const k = "kafka-4.2.0"
	out := apache(t, "", "kafka-topics", k, "--bootstrap-server", addr, "--create", "--topic", "new",
		"--partitions", "3", "--replication-factor", "1", "--config", "cleanup.policy=compact")
	want(t, "create", out, "Created topic new.")
	out = apache(t, "", "kafka-topics", k, "--bootstrap-server", addr, "--describe", "--topic", "new")
	want(t, "describe", out, "PartitionCount: 3", "cleanup.policy=compact", "Leader: 0")
	out = apache(t, "", "kafka-groups", k, "--bootstrap-server", addr, "--list")
	want(t, "groups", out, "group-4.2.0", "Classic")
	out = apache(t, "", "kafka-broker-api-versions", k, "--bootstrap-server", addr)
	want(t, "api versions", out, "Produce(0): 0 to 11", "Fetch(1): 0 to 17")
	// What a broker in ZooKeeper mode does not offer must be said, not waited for.
	// (Apache's console consumer ends with status 0 nevertheless.)
	out = apache(t, "", "kafka-console-consumer", k, "--bootstrap-server", addr, "--topic", "all",
		"--from-beginning", "--max-messages", "1", "--timeout-ms", "30000", "--group", "next",
		"--consumer-property", "group.protocol=consumer")
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
