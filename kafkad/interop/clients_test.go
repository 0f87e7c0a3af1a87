//go:build interop

package interop

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A million records of every size up to 400 bytes come back byte for byte, in order per partition.
func TestInteropFranzMillionRecords(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk, t.TempDir(), "num.partitions=4")
	// The answer to the request that creates the topic is that it has no leader yet, as upstream's.
	// When to ask again is up to the client: 5 s later at times, by default.
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("million"),
		kgo.AllowAutoTopicCreation(), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(100_000))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var failed sync.Once
	for i := range n {
		r := &kgo.Record{Partition: int32(i % 4), Value: millionth(i)}
		cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Do(func() { t.Errorf("produce: %v", err) })
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	cl.Close()

	rd, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("million"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	next := [4]int{0, 1, 2, 3}
	for got := 0; got < n; {
		fetches := rd.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", got, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != string(millionth(next[r.Partition])) {
				t.Fatalf("partition %d offset %d: not the record that was sent there",
					r.Partition, r.Offset)
			}
			next[r.Partition] += 4
			got++
		})
	}
}

// millionth makes record i: its number, then bytes that depend on it.
func millionth(i int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(i))
	h := fnv.New64a()
	h.Write(b)
	seed := h.Sum64()
	for range seed % 50 {
		seed = seed*6364136223846793005 + 1442695040888963407
		b = binary.BigEndian.AppendUint64(b, seed)
	}
	return b
}

// A broker that died is back under its id at once, with every record, although its session has not
// expired.
func TestInteropKill9AndBack(t *testing.T) {
	_, zk := zkd(t, t.TempDir())
	logDir := t.TempDir()
	broker, addr := kafkad(t, zk, logDir, "")
	run := ourShell(t)
	run("", "kafka-topics --create --topic t --partitions 3 --bootstrap-server "+addr)
	var in strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&in, "record %d\n", i)
	}
	run(in.String(), "kafka-console-producer --topic t --bootstrap-server "+addr)
	broker.kill()
	begin := time.Now()
	_, addr = kafkad(t, zk, logDir, "")
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("ready %v after a kill -9, as if it waited for its session to end (18 s)", took)
	}
	out := run("", "kafka-console-consumer --topic t --from-beginning --max-messages 1000"+
		" --timeout-ms 20000 --bootstrap-server "+addr)
	if n := strings.Count(out, "record "); n != 1000 {
		t.Errorf("%d of 1000 records after a kill -9", n)
	}
}

func TestInteropKcat(t *testing.T) {
	needForeign(t)
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk, t.TempDir(), "")
	out := runTool(t, exec.Command("kcat", "-b", addr, "-L"), "")
	want(t, "kcat -L", out, "1 brokers:", "broker 0 at "+addr, "controller")
	var in strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&in, "key%d:line %d\n", i%7, i)
	}
	t.Run("codecs", func(t *testing.T) {
		for _, codec := range codecs {
			t.Run(codec, func(t *testing.T) {
				t.Parallel() // kcat waits more than it works
				kcatRoundTrip(t, addr, codec, in.String())
			})
		}
	})
	out = runTool(t, exec.Command("kcat", "-b", addr, "-G", "kcat-group", "-e", "-q",
		"-X", "auto.offset.reset=earliest", "kcat-none"), "")
	if n := strings.Count(out, "\n"); n != 20000 {
		t.Errorf("kcat in a group read %d lines, want 20000", n)
	}
	out = runTool(t, exec.Command("kcat", "-b", addr, "-Q", "-t", "kcat-none:0:-1"), "")
	want(t, "kcat -Q", out, "offset 20000")
}

// kcatRoundTrip writes lines of key:value to a topic of its own and reads them back.
func kcatRoundTrip(t *testing.T, addr, codec, in string) {
	topic := "kcat-" + codec
	runTool(t, exec.Command("kcat", "-b", addr, "-P", "-t", topic, "-p", "0", "-K:", "-z", codec,
		"-X", "enable.idempotence=true"), in)
	out := runTool(t, exec.Command("kcat", "-b", addr, "-C", "-t", topic, "-p", "0",
		"-o", "beginning", "-e", "-q", "-K:"), "")
	if out != in {
		t.Errorf("kcat with %s: what came back differs (%d bytes, want %d)", codec, len(out),
			len(in))
	}
}

const pythonClient = `
import sys
from kafka import KafkaProducer, KafkaConsumer, KafkaAdminClient, TopicPartition
from kafka.admin import NewTopic
addr = sys.argv[1]
admin = KafkaAdminClient(bootstrap_servers=addr)
admin.create_topics([NewTopic('py', 2, 1)])
producer = KafkaProducer(bootstrap_servers=addr, acks='all', compression_type='gzip')
futures = [producer.send('py', key=b'k%d' % (i % 5), value=b'v%d' % i, headers=[('h', b'x')])
           for i in range(1000)]
producer.flush()
assert all(f.get(10).offset >= 0 for f in futures)
consumer = KafkaConsumer('py', bootstrap_servers=addr, group_id='pyg', auto_offset_reset='earliest',
                         consumer_timeout_ms=10000, enable_auto_commit=False)
seen = set()
for m in consumer:
    assert m.headers == [('h', b'x')], m
    seen.add(m.value)
    if len(seen) == 1000:
        break
consumer.commit()
print('seen', len(seen))
print('committed', sum(consumer.committed(TopicPartition('py', p)) or 0 for p in (0, 1)))
consumer.close()
print('groups', sorted(g[0] for g in admin.list_consumer_groups()))
`

func TestInteropKafkaPython(t *testing.T) {
	needForeign(t)
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk, t.TempDir(), "")
	script := writeFile(t, filepath.Join(t.TempDir(), "client.py"), pythonClient)
	out := runTool(t, exec.Command(python(t, "kafka-python==2.2.15"), script, addr), "")
	want(t, "kafka-python", out, "seen 1000", "committed 1000", "groups ['pyg']")
}

// python returns an interpreter that has the packages, from a virtual environment kept between
// runs.
func python(t *testing.T, packages ...string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "zkafka-python")
	py := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(py); err != nil {
		runTool(t, exec.Command("python3", "-m", "venv", dir), "")
	}
	runTool(t, exec.Command(py, append([]string{"-m", "pip", "install", "-q"}, packages...)...), "")
	return py
}
