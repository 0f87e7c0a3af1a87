//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// shell returns a function that runs a line of one release of Apache's tools as people type it.
func shell(t *testing.T, release string) func(stdin, line string) string {
	return func(stdin, line string) string {
		t.Helper()
		f := strings.Fields(line)
		return apache(t, stdin, append([]string{f[0], "kafka-" + release}, f[1:]...)...)
	}
}

// ourShell does the same for our tools.
func ourShell(t *testing.T) func(stdin, line string) string {
	return func(stdin, line string) string {
		t.Helper()
		f := strings.Fields(line)
		return ours(t, stdin, f[0], f[1:]...)
	}
}

// Apache's own tools of 3.9 against our broker on our coordinator.
func TestInteropApacheToolsOnKafkad(t *testing.T) {
	needForeign(t)
	_, zk := zkd(t, t.TempDir())
	logDir := t.TempDir()
	_, addr := kafkad(t, zk+"/kafka/01", logDir, "")
	run := shell(t, "3.9.2")
	at := " --bootstrap-server " + addr + " "
	book := at + "--topic book-topic "
	out := run("", "kafka-topics --create"+book+
		"--partitions 2 --replication-factor 1 --config retention.ms=86400000")
	want(t, "create", out, "Created topic book-topic.")
	out = run("", "kafka-topics --describe"+book)
	want(t, "describe", out, "PartitionCount: 2", "ReplicationFactor: 1", "retention.ms=86400000",
		"Leader: 0", "Isr: 0")
	run("", "kafka-topics --alter"+book+"--partitions 4")
	out = run("", "kafka-topics --describe"+book)
	want(t, "describe after alter", out, "PartitionCount: 4")

	used := codecs
	if testing.Short() {
		used = codecs[4:]
	}
	for _, codec := range used {
		run("This is message "+codec+"\nThis is another message "+codec+"\n",
			"kafka-console-producer"+book+"--compression-codec "+codec)
	}
	out = run("", fmt.Sprintf("kafka-console-consumer"+book+"--from-beginning --max-messages %d"+
		" --timeout-ms 30000 --consumer-property group.id=my-group", 2*len(used)))
	for _, codec := range used {
		want(t, "consume", out, "This is message "+codec, "This is another message "+codec)
	}
	run("one more\n", "kafka-console-producer"+book)
	out = run("", "kafka-consumer-groups"+at+"--describe --group my-group")
	want(t, "describe group", out, "CURRENT-OFFSET", "has no active members")
	if lag := readGroup(t, "my-group", out).lag(); lag != 1 {
		t.Errorf("LAG sums to %d, want 1\n%s", lag, out)
	}
	dumpLog(t, logDir, "This is message zstd", "one more")
	if !testing.Short() {
		restOfTools(t, addr, zk+"/kafka/01")
	}
	run("", "kafka-topics --delete"+book)
	if out = run("", "kafka-topics --list"+at); strings.Contains(out, "book-topic") {
		t.Errorf("book-topic is still listed after its deletion:\n%s", out)
	}
}

// restOfTools runs the tools that only look.
func restOfTools(t *testing.T, addr, zk string) {
	t.Helper()
	run, at := shell(t, "3.9.2"), " --bootstrap-server "+addr+" "
	want(t, "list", run("", "kafka-topics --list"+at), "book-topic")
	want(t, "groups", run("", "kafka-consumer-groups --list"+at), "my-group")
	out := run("", "kafka-broker-api-versions"+at)
	want(t, "api versions", out, "Produce(0): 0 to 11", "Fetch(1): 0 to 17")
	out = run("", "kafka-configs"+at+
		"--describe --entity-type topics --entity-name book-topic --all")
	want(t, "configs", out, "retention.ms=86400000", "cleanup.policy=delete")
	want(t, "zookeeper-shell", run("", "zookeeper-shell "+zk+" ls /brokers/ids"), "[0]")
	out = run("", "kafka-get-offsets"+at+"--topic book-topic")
	want(t, "get-offsets", out, "book-topic:0:", "book-topic:3:")
}

var badRecord = regexp.MustCompile(`isvalid: false|CorruptRecord|Found \d+ invalid|Mismatches`)

// dumpLog lets Apache read our segments and say whether every batch is valid.
func dumpLog(t *testing.T, logDir string, parts ...string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(logDir, "book-topic-*", "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments in %s: %v", logDir, err)
	}
	out := shell(t, "3.9.2")("", "kafka-dump-log --deep-iteration --print-data-log --files "+
		strings.Join(segments, ","))
	want(t, "dump-log", out, append(parts, "isvalid: true")...)
	if bad := badRecord.FindString(out); bad != "" {
		t.Errorf("Apache finds fault with our segments: %s in\n%s", bad, out)
	}
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
		run, topic := shell(t, release), " --topic from-"+release
		topics := "kafka-topics --zookeeper " + zk + "/book-kaf" + topic
		out := run("", topics+" --create --partitions 2 --replication-factor 1")
		want(t, "create", out, "Created topic")
		run("This is message\n", "kafka-console-producer --broker-list "+addr+topic)
		out = run("", "kafka-console-consumer --bootstrap-server "+addr+topic+
			" --from-beginning --max-messages 1 --timeout-ms 30000")
		want(t, "consume with "+release, out, "This is message")
		out = run("", topics+" --describe")
		want(t, "describe with "+release, out, "PartitionCount:", "Leader: 0")
		run("", topics+" --delete")
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
			logDir, run := t.TempDir(), ourShell(t)
			broker, addr := kafkad(t, zk+"/kafka/02", logDir, "")
			out := run("", "kafka-topics.sh --create --topic t --partitions 3"+
				" --replication-factor 1 --bootstrap-server "+addr)
			want(t, "create", out, "Created topic t.")
			run("This is message\nThis is another message\n",
				"kafka-console-producer.sh --topic t --broker-list "+addr)
			consume := "kafka-console-consumer.sh --topic t --from-beginning --max-messages 2" +
				" --timeout-ms 30000"
			out = run("", consume+" --consumer-property group.id=g --bootstrap-server "+addr)
			want(t, "consume", out, "This is message", "This is another message")
			out = run("", "zookeeper-shell.sh "+zk+"/kafka/02 ls /brokers/ids")
			want(t, "ids", out, "[0]")
			broker.stop()
			// Back with the data, at once, under the same id.
			_, addr = kafkad(t, zk+"/kafka/02", logDir, "")
			out = run("", consume+" --bootstrap-server "+addr)
			want(t, "consume after a restart", out, "This is message", "This is another message")
		})
	}
}
