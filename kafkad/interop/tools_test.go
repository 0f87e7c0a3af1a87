//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Apache's own tools of 3.9 against our broker on our coordinator.
func TestInteropApacheToolsOnKafkad(t *testing.T) {
	needForeign(t)
	_, zk := zkd(t, t.TempDir())
	logDir := t.TempDir()
	_, addr := kafkad(t, zk+"/kafka/01", logDir, "")
	const k = "kafka-3.9.2"
	out := apache(t, "", "kafka-topics", k, "--bootstrap-server", addr, "--create", "--topic", "book-topic",
		"--partitions", "2", "--replication-factor", "1", "--config", "retention.ms=86400000")
	want(t, "create", out, "Created topic book-topic.")
	out = apache(t, "", "kafka-topics", k, "--bootstrap-server", addr, "--describe", "--topic", "book-topic")
	want(t, "describe", out, "PartitionCount: 2", "ReplicationFactor: 1", "retention.ms=86400000", "Leader: 0", "Isr: 0")
	out = apache(t, "", "kafka-topics", k, "--bootstrap-server", addr, "--alter", "--topic", "book-topic", "--partitions", "4")
	out = apache(t, "", "kafka-topics", k, "--bootstrap-server", addr, "--describe", "--topic", "book-topic")
	want(t, "describe after alter", out, "PartitionCount: 4")
	out = apache(t, "", "kafka-topics", k, "--bootstrap-server", addr, "--list")
	want(t, "list", out, "book-topic")

	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		apache(t, "This is message "+codec+"\nThis is another message "+codec+"\n", "kafka-console-producer", k,
			"--bootstrap-server", addr, "--topic", "book-topic", "--compression-codec", codec)
	}
	out = apache(t, "", "kafka-console-consumer", k, "--bootstrap-server", addr, "--topic", "book-topic",
		"--from-beginning", "--max-messages", "10", "--timeout-ms", "30000", "--consumer-property", "group.id=my-group")
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		want(t, "consume", out, "This is message "+codec, "This is another message "+codec)
	}
	apache(t, "one more\n", "kafka-console-producer", k, "--bootstrap-server", addr, "--topic", "book-topic")
	out = apache(t, "", "kafka-consumer-groups", k, "--bootstrap-server", addr, "--list")
	want(t, "groups", out, "my-group")
	out = apache(t, "", "kafka-consumer-groups", k, "--bootstrap-server", addr, "--describe", "--group", "my-group")
	want(t, "describe group", out, "CURRENT-OFFSET", "has no active members")
	if lag := sumLag(out); lag != 1 {
		t.Errorf("LAG sums to %d, want 1\n%s", lag, out)
	}
	out = apache(t, "", "kafka-broker-api-versions", k, "--bootstrap-server", addr)
	want(t, "api versions", out, "Produce(0): 0 to 11", "Fetch(1): 0 to 17")
	out = apache(t, "", "kafka-configs", k, "--bootstrap-server", addr, "--describe", "--entity-type", "topics",
		"--entity-name", "book-topic", "--all")
	want(t, "configs", out, "retention.ms=86400000", "cleanup.policy=delete")
	out = apache(t, "", "zookeeper-shell", k, zk+"/kafka/01", "ls", "/brokers/ids")
	want(t, "zookeeper-shell", out, "[0]")
	out = apache(t, "", "kafka-get-offsets", k, "--bootstrap-server", addr, "--topic", "book-topic")
	want(t, "get-offsets", out, "book-topic:0:")
	segments, err := filepath.Glob(filepath.Join(logDir, "book-topic-*", "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments in %s: %v", logDir, err)
	}
	out = apache(t, "", "kafka-dump-log", k, "--deep-iteration", "--print-data-log", "--files", strings.Join(segments, ","))
	want(t, "dump-log", out, "This is message zstd", "one more", "isvalid: true")
	out = apache(t, "", "kafka-topics", k, "--bootstrap-server", addr, "--delete", "--topic", "book-topic")
	out = apache(t, "", "kafka-topics", k, "--bootstrap-server", addr, "--list")
	if strings.Contains(out, "book-topic") {
		t.Errorf("book-topic is still listed after its deletion:\n%s", out)
	}
}

var numbers = regexp.MustCompile(`(?m)^my-group\s+\S+\s+\d+\s+(\d+)\s+(\d+)\s+(\d+)\s`)

// sumLag adds up the LAG column and checks CURRENT-OFFSET + LAG = LOG-END-OFFSET; -1 if that does not hold.
func sumLag(out string) int {
	sum := 0
	for _, m := range numbers.FindAllStringSubmatch(out, -1) {
		var cur, end, lag int
		fmt.Sscan(m[1]+" "+m[2]+" "+m[3], &cur, &end, &lag)
		if cur+lag != end {
			return -1
		}
		sum += lag
	}
	return sum
}

// A topic made by the oldest tools, straight through the znodes, is served.
func TestInteropOldToolsThroughZooKeeper(t *testing.T) {
	needForeign(t)
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk+"/book-kaf", t.TempDir(), "")
	releases := []string{"1.0.0", "2.8.2"}
	if testing.Short() {
		releases = releases[:1]
	}
	for _, release := range releases {
		k, topic := "kafka-"+release, "from-"+release
		out := apache(t, "", "kafka-topics", k, "--zookeeper", zk+"/book-kaf", "--create", "--topic", topic,
			"--partitions", "2", "--replication-factor", "1")
		want(t, "create", out, "Created topic")
		apache(t, "This is message\n", "kafka-console-producer", k, "--broker-list", addr, "--topic", topic)
		out = apache(t, "", "kafka-console-consumer", k, "--bootstrap-server", addr, "--topic", topic, "--from-beginning",
			"--max-messages", "1", "--timeout-ms", "30000")
		want(t, "consume with "+release, out, "This is message")
		out = apache(t, "", "kafka-topics", k, "--zookeeper", zk+"/book-kaf", "--describe", "--topic", topic)
		want(t, "describe with "+release, out, "PartitionCount:", "Leader: 0")
		apache(t, "", "kafka-topics", k, "--zookeeper", zk+"/book-kaf", "--delete", "--topic", topic)
	}
}

// kafkad on Apache's ZooKeeper, and our own tools on both.
func TestInteropKafkadOnApacheZooKeeper(t *testing.T) {
	releases := []string{"3.9.4", "3.4.14"}
	if testing.Short() {
		releases = releases[:1]
	}
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			_, zk := apacheZooKeeper(t, release, t.TempDir())
			logDir := t.TempDir()
			broker, addr := kafkad(t, zk+"/kafka/02", logDir, "")
			out := ours(t, "", "kafka-topics.sh", "--bootstrap-server", addr, "--create", "--topic", "t",
				"--partitions", "3", "--replication-factor", "1")
			want(t, "create", out, "Created topic t.")
			ours(t, "This is message\nThis is another message\n", "kafka-console-producer.sh", "--broker-list", addr, "--topic", "t")
			consume := []string{"--bootstrap-server", addr, "--topic", "t", "--from-beginning", "--max-messages", "2",
				"--timeout-ms", "30000", "--consumer-property", "group.id=g"}
			out = ours(t, "", "kafka-console-consumer.sh", consume...)
			want(t, "consume", out, "This is message", "This is another message")
			out = ours(t, "", "zookeeper-shell.sh", zk+"/kafka/02", "ls", "/brokers/ids")
			want(t, "ids", out, "[0]")
			broker.stop()
			// Back with the data, at once, under the same id.
			_, addr = kafkad(t, zk+"/kafka/02", logDir, "")
			out = ours(t, "", "kafka-console-consumer.sh", "--bootstrap-server", addr, "--topic", "t", "--from-beginning",
				"--max-messages", "2", "--timeout-ms", "30000")
			want(t, "consume after a restart", out, "This is message", "This is another message")
		})
	}
}

// Swap one broker for the other on the same log.dirs and the same ZooKeeper, in both directions.
func TestInteropSwapBrokersOnOneLogDir(t *testing.T) {
	needForeign(t)
	_, zk := zkd(t, t.TempDir())
	logDir := t.TempDir()
	const k = "kafka-3.9.2"
	broker, addr := apacheKafka(t, "3.9.2", zk, logDir)
	apache(t, "", "kafka-topics", k, "--bootstrap-server", addr, "--create", "--topic", "swap", "--partitions", "2")
	apache(t, "written by Apache\n", "kafka-console-producer", k, "--bootstrap-server", addr, "--topic", "swap")
	apache(t, "", "kafka-console-consumer", k, "--bootstrap-server", addr, "--topic", "swap", "--from-beginning",
		"--max-messages", "1", "--timeout-ms", "30000", "--group", "g")
	broker.stop()

	broker, addr = kafkad(t, zk, logDir, "")
	ours(t, "written by kafkad\n", "kafka-console-producer", "--bootstrap-server", addr, "--topic", "swap")
	out := ours(t, "", "kafka-console-consumer", "--bootstrap-server", addr, "--topic", "swap", "--from-beginning",
		"--max-messages", "2", "--timeout-ms", "30000")
	want(t, "kafkad on Apache's log.dirs", out, "written by Apache", "written by kafkad")
	out = ours(t, "", "kafka-consumer-groups", "--bootstrap-server", addr, "--describe", "--group", "g")
	want(t, "Apache's group on kafkad", out, "swap")
	broker.stop()

	_, addr = apacheKafka(t, "3.9.2", zk, logDir)
	out = apache(t, "", "kafka-console-consumer", k, "--bootstrap-server", addr, "--topic", "swap", "--from-beginning",
		"--max-messages", "2", "--timeout-ms", "30000")
	want(t, "Apache on kafkad's log.dirs", out, "written by Apache", "written by kafkad")
	if _, err := os.Stat(filepath.Join(logDir, "meta.properties")); err != nil {
		t.Error(err)
	}
}
