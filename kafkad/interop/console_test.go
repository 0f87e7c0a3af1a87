//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"
)

// Apache's console producer and ours say the same of records and topics that cannot be sent.
func TestInteropConsoleProducersRefuseAlike(t *testing.T) {
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk, t.TempDir(), "auto.create.topics.enable=false\n")
	ours, apache := ourShell(t), shell(t, "3.9.2")
	ours("", "kafka-topics.sh --create --topic t --bootstrap-server "+addr)
	big := strings.Repeat("x", 300_000) + "\n"
	for _, c := range []struct{ options, stdin, want string }{
		{"--topic nosuch --max-block-ms 1000", "a\n",
			"Topic nosuch not present in metadata after 1000 ms."},
		{"--topic nosuch --max-block-ms 1000", "a\n", "{nosuch=UNKNOWN_TOPIC_OR_PARTITION}"},
		{"--topic t --producer-property max.request.size=1000", big, "The message is 300087 bytes" +
			" when serialized which is larger than 1000, which is the value of the" +
			" max.request.size configuration."},
		{"--topic t --max-memory-bytes 1000", big, "The message is 300087 bytes when serialized" +
			" which is larger than the total memory buffer you have configured with the" +
			" buffer.memory configuration."},
	} {
		line := " " + c.options + " --bootstrap-server " + addr
		want(t, "ours "+c.options, ours(c.stdin, "kafka-console-producer.sh"+line), c.want)
		want(t, "Apache's "+c.options, apache(c.stdin, "kafka-console-producer"+line), c.want)
	}
}

// A topic takes no batches as large as the library would make them; lines larger than batch.size
// stay in their place.
func TestInteropConsoleProducerBatches(t *testing.T) {
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk, t.TempDir(), "")
	run, at := ourShell(t), " --topic small --bootstrap-server "+addr
	run("", "kafka-topics.sh --create --config max.message.bytes=100000 --partitions 1"+at)
	var in strings.Builder
	for i := range 5000 {
		width := 100
		if i%1000 == 999 {
			width = 50_000
		}
		fmt.Fprintf(&in, "%0*d\n", width, i)
	}
	if out := run(in.String(), "kafka-console-producer.sh"+at); out != "" {
		t.Errorf("the producer said %s", tail(out, 5))
	}
	out := run("", "kafka-console-consumer.sh --from-beginning --max-messages 5000"+
		" --timeout-ms 20000 --consumer-property max.poll.records=70"+at)
	if got := strings.TrimSuffix(out, "Processed a total of 5000 messages\n"); got != in.String() {
		t.Errorf("%d bytes came back of %d, or in another order", len(got), in.Len())
	}
}

// A consumer makes brokers create a topic unless it says not to.
func TestInteropConsoleConsumerCreatesTopics(t *testing.T) {
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk, t.TempDir(), "")
	run, at := ourShell(t), " --bootstrap-server "+addr
	run("", "kafka-console-consumer.sh --timeout-ms 2000 --topic wanted"+at)
	run("", "kafka-console-consumer.sh --timeout-ms 2000 --topic unwanted"+
		" --consumer-property allow.auto.create.topics=false"+at)
	list := run("", "kafka-topics.sh --list --exclude-internal"+at)
	if list != "wanted\n" {
		t.Errorf("the topics are %q", list)
	}
}
