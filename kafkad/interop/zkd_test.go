//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"
)

// An unmodified Apache broker must not notice that its coordinator is ours.
func TestInteropApacheKafkaOnZkd(t *testing.T) {
	releases := []string{"3.9.2", "2.8.2", "1.0.0"}
	if testing.Short() {
		releases = releases[:1]
	}
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			needForeign(t)
			_, zk := zkd(t, t.TempDir())
			broker, addr := apacheKafka(t, release, zk+"/book-kaf", t.TempDir(), "")
			run, at := shell(t, release), " --bootstrap-server "+addr+" --topic t "
			topics := "kafka-topics" + at
			if release == "1.0.0" {
				topics = "kafka-topics --topic t --zookeeper " + zk + "/book-kaf"
			}
			out := run("", topics+" --create --partitions 3 --replication-factor 1")
			want(t, "create", out, "Created topic")
			var in strings.Builder
			for i := range 300 {
				fmt.Fprintf(&in, "message %d\n", i)
			}
			run(in.String(), "kafka-console-producer --topic t --broker-list "+addr)
			out = run("", "kafka-console-consumer"+at+"--from-beginning --max-messages 300"+
				" --timeout-ms 30000 --consumer-property group.id=g")
			if n := strings.Count(out, "message "); n != 300 {
				t.Errorf("consumed %d messages, want 300\n%s", n, tail(out, 10))
			}
			out = run("", "kafka-consumer-groups --describe --group g --bootstrap-server "+addr)
			want(t, "describe group", out, "LOG-END-OFFSET", "t ")
			if sum := sumOffsets(out); sum != 300 {
				t.Errorf("offsets sum to %d, want 300, LAG 0 in\n%s", sum, out)
			}
			out = ours(t, "", "zkCli.sh", "-server", zk, "ls", "/book-kaf/brokers/ids")
			want(t, "brokers", out, "[0]")
			broker.stop()
			out = ours(t, "", "zkCli.sh", "-server", zk, "ls", "/book-kaf/brokers/ids")
			want(t, "brokers after the stop", out, "[]")
		})
	}
}
