package cmd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/systemd/systemdtest"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// option is a broker option that users know, and what they see of it on brokers that have it at
// different values. A broker has the options of all rows that name it.
type option struct {
	name string
	see  func(b *optionBroker) string
	on   []setting
}

type setting struct{ broker, value, seen string }

var options = []option{
	{"broker.id", (*optionBroker).registeredID, []setting{{"a", "7", "7"}, {"b", "8", "8"}}},
	{"zookeeper.connect", (*optionBroker).chroot, []setting{
		{"a", "ZOOKEEPER/a", "/a"}, {"b", "ZOOKEEPER/b/01", "/b/01"}}},
	{"zookeeper.session.timeout.ms", (*optionBroker).sessionTimeout, []setting{
		{"a", "7000", "7000"}, {"b", "9000", "9000"}}},
	{"auto.create.topics.enable", (*optionBroker).askForNewTopic, []setting{
		{"a", "true", "done"}, {"b", "false", "UNKNOWN_TOPIC_OR_PARTITION"}}},
	{"delete.topic.enable", (*optionBroker).deleteTopic, []setting{
		{"a", "true", "done"}, {"b", "false", "TOPIC_DELETION_DISABLED"}}},
	{"num.partitions", (*optionBroker).partitionsOfNewTopic, []setting{
		{"a", "2", "2"}, {"b", "3", "3"}}},
	{"default.replication.factor", (*optionBroker).createWithDefaults, []setting{
		{"a", "1", "done"}, {"b", "2", "INVALID_REPLICATION_FACTOR"}}},
	{"min.insync.replicas", (*optionBroker).writeToAll, []setting{
		{"a", "1", "done"}, {"c", "2", "NOT_ENOUGH_REPLICAS"}}},
	{"offsets.topic.num.partitions", (*optionBroker).offsetsPartitions, []setting{
		{"a", "4", "4"}, {"b", "5", "5"}}},
	{"offsets.topic.replication.factor", (*optionBroker).coordinator, []setting{
		{"a", "1", "done"}, {"b", "1", "done"}, {"c", "2", "COORDINATOR_NOT_AVAILABLE"}}},
	{"compression.type", (*optionBroker).storedCodec, []setting{
		{"a", "producer", "none"}, {"b", "gzip", "gzip"}}},
	{"log.dirs", (*optionBroker).usedDirs, []setting{
		{"a", "DIR/one", "1"}, {"b", "DIR/one,DIR/two", "2"}, {"c", "DIR/one", "1"}}},
	{"log.segment.bytes", (*optionBroker).segments, []setting{{"a", "4000", "1"}, {"b", "1000", "4"}}},
	{"message.max.bytes", (*optionBroker).writeLarge, []setting{
		{"a", "4000", "done"}, {"b", "2000", "MESSAGE_TOO_LARGE"}}},
	{"log.retention.hours", (*optionBroker).retained, []setting{{"a", "3", "1"}, {"b", "1", "0"}}},
	{"log.retention.check.interval.ms", (*optionBroker).retention, []setting{
		{"a", "20", "done"}, {"b", "20", "done"}, {"c", "30", "done"}}},
	{"unclean.leader.election.enable", (*optionBroker).leaderOutsideISR, []setting{
		{"a", "false", "none"}, {"b", "true", "8"}}},
	{"log.flush.interval.messages", (*optionBroker).flushed, []setting{
		{"a", "2", "yes"}, {"b", "1000000", "no"}}},
	{"log.flush.interval.ms", (*optionBroker).flushed, []setting{{"c", "20", "yes"}}},
}

// Every option of the table that users know has an effect that one can see.
func TestOptions(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts servers")
	}
	zkPort := systemdtest.FreePort(t)
	zookeeper(t, zkPort)
	brokers := map[string]*optionBroker{}
	for _, name := range []string{"a", "b", "c"} {
		brokers[name] = newOptionBroker(t, name, zkPort)
	}
	for _, o := range options {
		for _, s := range o.on {
			t.Run(o.name+"="+s.value, func(t *testing.T) {
				b := *brokers[s.broker]
				b.t = t
				if seen := o.see(&b); seen != s.seen {
					t.Errorf("%s=%s: seen %s, want %s", o.name, s.value, seen, s.seen)
				}
			})
		}
	}
	// A changed option holds after a restart.
	b := brokers["a"]
	b.process.Stop()
	b.settings["num.partitions"], b.settings["delete.topic.enable"] = "6", "false"
	b.start()
	if n, code := b.partitionsOfNewTopic(), b.deleteTopic(); n != "6" ||
		code != "TOPIC_DELETION_DISABLED" {
		t.Errorf("after a restart: %s partitions, deletion %s", n, code)
	}
}

// optionBroker is a broker and clients of it.
type optionBroker struct {
	t        testing.TB
	dir      string
	settings map[string]string
	zkPort   int
	process  *systemdtest.Process
	zk       *client.Client
	kafka    *kgo.Client // waits for no replicas
	admin    *kadm.Client
}

// newOptionBroker starts the broker that the rows name so.
func newOptionBroker(t testing.TB, name string, zkPort int) *optionBroker {
	t.Helper()
	b := &optionBroker{t: t, dir: t.TempDir(), zkPort: zkPort}
	b.settings = map[string]string{
		"listeners": fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", systemdtest.FreePort(t)),
		"broker.id": "1", "zookeeper.connect": "ZOOKEEPER/" + name, "admin.address": "",
		"replica.high.watermark.checkpoint.interval.ms": "20",
		"log.initial.task.delay.ms":                     "3600000", // of what has no interval given
	}
	for _, o := range options {
		for _, s := range o.on {
			if s.broker == name {
				b.settings[o.name] = s.value
			}
		}
	}
	for key, value := range b.settings {
		value = strings.ReplaceAll(value, "DIR", b.dir)
		b.settings[key] = strings.ReplaceAll(value, "ZOOKEEPER", fmt.Sprintf("127.0.0.1:%d", zkPort))
	}
	b.connect()
	b.leaveTopics()
	b.start()
	return b
}

// connect makes the clients.
func (b *optionBroker) connect() {
	ctx := b.ctx()
	var err error
	b.zk, err = client.Dial(ctx, client.Options{
		Servers: []string{fmt.Sprintf("127.0.0.1:%d", b.zkPort)}})
	b.must(err)
	b.t.Cleanup(func() { _ = b.zk.Close(context.WithoutCancel(ctx)) })
	_, address, _ := strings.Cut(b.settings["listeners"], "://")
	b.kafka, err = kgo.NewClient(kgo.SeedBrokers(address), kgo.RequiredAcks(kgo.LeaderAck()),
		kgo.DisableIdempotentWrite(),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0),
		kgo.MetadataMinAge(10*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.AllowAutoTopicCreation())
	b.must(err)
	b.t.Cleanup(b.kafka.Close)
	b.admin = kadm.NewClient(b.kafka)
}

// start starts the broker with its settings.
func (b *optionBroker) start() {
	file := filepath.Join(b.dir, "server.properties")
	var text strings.Builder
	for key, value := range b.settings {
		fmt.Fprintf(&text, "%s=%s\n", key, value)
	}
	b.must(os.WriteFile(file, []byte(text.String()), 0o600))
	b.process = systemdtest.Start(b.t, systemdtest.Program("kafkad", "serve", "--config", file))
	b.process.Until("READY=1")
}

func (b *optionBroker) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *optionBroker) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), systemdtest.Patience)
	b.t.Cleanup(cancel)
	return ctx
}

// await polls until ok, which looks at what the broker has done by now.
func (b *optionBroker) await(what string, ok func() bool) {
	b.t.Helper()
	ctx := b.ctx()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			b.t.Fatal("not in time: " + what)
		case <-tick.C:
		}
	}
}

// outcome is an answer of the broker.
func (b *optionBroker) outcome(err error) string {
	b.t.Helper()
	var code *kerr.Error
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &code):
		return code.Message
	}
	b.t.Fatal(err)
	return ""
}

// create makes a topic whatever the defaults are. The options that it takes are of the form
// key=value.
func (b *optionBroker) create(topic string, partitions int32, more ...string) {
	b.t.Helper()
	configs := map[string]*string{}
	for _, m := range more {
		key, value, _ := strings.Cut(m, "=")
		configs[key] = &value
	}
	_, err := b.admin.CreateTopic(b.ctx(), partitions, 1, configs, topic)
	b.must(err)
}

// write writes a record of some size to partition 0. It does not become smaller by compression.
func (b *optionBroker) write(topic string, size int, at time.Time) error {
	value := make([]byte, size)
	_, _ = rand.Read(value) // which never fails
	return b.kafka.ProduceSync(b.ctx(), &kgo.Record{
		Topic: topic, Value: value, Timestamp: at}).FirstErr()
}

func (b *optionBroker) registeredID() string {
	ids, _, err := b.zk.Children(b.ctx(), b.znode("/brokers/ids"))
	b.must(err)
	return strings.Join(ids, ",")
}

// chroot is the path below which the broker has registered.
func (b *optionBroker) chroot() string {
	path := strings.TrimSuffix(b.znode("/brokers/ids"), "/brokers/ids")
	if ids, _, err := b.zk.Children(b.ctx(), path+"/brokers/ids"); err != nil || len(ids) != 1 {
		return fmt.Sprint(ids, err)
	}
	return path
}

// znode is a path of the broker with the chroot that it was given.
func (b *optionBroker) znode(path string) string {
	_, chroot, _ := strings.Cut(b.settings["zookeeper.connect"], "/")
	return "/" + chroot + path
}

// sessionTimeout is what ZooKeeper says of the session that holds the registration.
func (b *optionBroker) sessionTimeout() string {
	_, stat, err := b.zk.Get(b.ctx(), b.znode("/brokers/ids/"+b.registeredID()))
	b.must(err)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.zkPort))
	b.must(err)
	defer conn.Close()
	b.must(conn.SetDeadline(time.Now().Add(systemdtest.Patience)))
	_, err = conn.Write([]byte("cons"))
	b.must(err)
	text, err := io.ReadAll(conn)
	b.must(err)
	session := fmt.Sprintf(`sid=0x%x,.*,to=(\d+),`, uint64(stat.EphemeralOwner))
	m := regexp.MustCompile(session).FindSubmatch(text)
	if m == nil {
		return string(text)
	}
	return string(m[1])
}

// askForNewTopic is how clients make a topic on demand.
func (b *optionBroker) askForNewTopic() string {
	var code string
	b.await("the topic has a leader, or is refused", func() bool {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr("on-demand")
		req := kmsg.NewPtrMetadataRequest()
		req.AllowAutoTopicCreation, req.Topics = true, []kmsg.MetadataRequestTopic{topic}
		resp, err := req.RequestWith(b.ctx(), b.kafka)
		b.must(err)
		code = b.outcome(kerr.ErrorForCode(resp.Topics[0].ErrorCode))
		return code != kerr.LeaderNotAvailable.Message
	})
	return code
}

func (b *optionBroker) deleteTopic() string {
	b.create("to-delete", 1)
	resp, err := b.admin.DeleteTopics(b.ctx(), "to-delete")
	b.must(err)
	return b.outcome(resp["to-delete"].Err)
}

func (b *optionBroker) partitionsOfNewTopic() string {
	topic := "counted-" + b.settings["num.partitions"]
	b.create(topic, -1)
	return b.partitions(topic)
}

func (b *optionBroker) partitions(topic string) string {
	topics, err := b.admin.ListTopics(b.ctx(), topic)
	b.must(err)
	return strconv.Itoa(len(topics[topic].Partitions))
}

func (b *optionBroker) createWithDefaults() string {
	resp, err := b.admin.CreateTopics(b.ctx(), 1, -1, nil, "replicated")
	b.must(err)
	return b.outcome(resp["replicated"].Err)
}

// writeToAll waits for all replicas in sync, of which there is one of two.
func (b *optionBroker) writeToAll() string {
	all, err := kgo.NewClient(append(b.kafka.Opts(), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordRetries(0))...)
	b.must(err)
	defer all.Close()
	r := &kgo.Record{Topic: "in-sync", Value: []byte("x")}
	return b.outcome(all.ProduceSync(b.ctx(), r).FirstErr())
}

// coordinator asks for a group's, which makes the topic of offsets.
func (b *optionBroker) coordinator() string {
	var code string
	b.await("the topic of offsets is made, or refused", func() bool {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorKeys = "g", []string{"g"}
		resp, err := b.kafka.SeedBrokers()[0].Request(b.ctx(), req)
		b.must(err)
		answer := resp.(*kmsg.FindCoordinatorResponse)
		err = kerr.ErrorForCode(answer.ErrorCode)
		if len(answer.Coordinators) > 0 {
			err = kerr.ErrorForCode(answer.Coordinators[0].ErrorCode)
		}
		code = b.outcome(err)
		return code == "done" || b.settings["offsets.topic.replication.factor"] != "1"
	})
	return code
}

func (b *optionBroker) offsetsPartitions() string {
	b.coordinator()
	return b.partitions("__consumer_offsets")
}

// storedCodec is how a record is compressed that came as it was.
func (b *optionBroker) storedCodec() string {
	b.create("compressed", 1)
	b.must(b.write("compressed", 500, time.Now()))
	c, err := kgo.NewClient(append(b.kafka.Opts(), kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{"compressed": {0: kgo.NewOffset().AtStart()}}))...)
	b.must(err)
	defer c.Close()
	fetches := c.PollRecords(b.ctx(), 1)
	b.must(fetches.Err())
	return [...]string{"none", "gzip"}[fetches.Records()[0].Attrs.CompressionType()]
}

// usedDirs counts the log directories that have partitions.
func (b *optionBroker) usedDirs() string {
	b.create("spread", 4)
	dirs := map[string]bool{}
	for _, name := range b.files("*/spread-*") {
		dirs[filepath.Dir(name)] = true
	}
	return strconv.Itoa(len(dirs))
}

// files are those in the broker's directory that match.
func (b *optionBroker) files(pattern string) []string {
	names, err := filepath.Glob(filepath.Join(b.dir, pattern))
	b.must(err)
	return names
}

// segments counts those of a partition after four records that are too large for two of them to
// share one of 1000 bytes.
func (b *optionBroker) segments() string {
	b.create("segmented", 1)
	for range 4 {
		b.must(b.write("segmented", 600, time.Now()))
	}
	return strconv.Itoa(len(b.files("*/segmented-0/*.log")))
}

func (b *optionBroker) writeLarge() string {
	b.create("large", 1)
	return b.outcome(b.write("large", 3000, time.Now()))
}

// retained counts what is left of a record of two hours ago, after all logs were looked at.
func (b *optionBroker) retained() string {
	b.create("old", 1)
	b.must(b.write("old", 1, time.Now().Add(-2*time.Hour)))
	b.retention()
	b.retention() // a second time it is not the rest of a round that began before
	start, end := b.offsets("old")
	return strconv.FormatInt(end-start, 10)
}

// retention waits until a record has been deleted that any look at old segments deletes. Without
// the option the first look is after half a minute.
func (b *optionBroker) retention() string {
	topic := fmt.Sprintf("expired-%d", time.Now().UnixNano())
	b.create(topic, 1, "retention.ms=1")
	b.must(b.write(topic, 1, time.Now().Add(-time.Hour)))
	b.await("an old record is deleted", func() bool {
		start, end := b.offsets(topic)
		return start == 1 && end == 1
	})
	return "done"
}

// offsets are the first one and the end of partition 0.
func (b *optionBroker) offsets(topic string) (start, end int64) {
	starts, err := b.admin.ListStartOffsets(b.ctx(), topic)
	b.must(err)
	ends, err := b.admin.ListEndOffsets(b.ctx(), topic)
	b.must(err)
	return starts[topic][0].Offset, ends[topic][0].Offset
}

// leaveTopics writes topics into ZooKeeper that have a replica on a broker that is not there: it is
// the only one in sync, or has fallen behind ours.
func (b *optionBroker) leaveTopics() {
	id := b.settings["broker.id"]
	for topic, leader := range map[string]string{"unclean": "99", "in-sync": id} {
		path := b.znode("/brokers/topics/" + topic)
		b.make(path, fmt.Sprintf(`{"version":1,"partitions":{"0":[99,%s]}}`, id))
		b.make(path+"/partitions/0/state", fmt.Sprintf(`{"controller_epoch":0,"leader":%s,"version":1,`+
			`"leader_epoch":0,"isr":[%s]}`, leader, leader))
	}
}

// make makes a znode, and those above it.
func (b *optionBroker) make(path, data string) {
	b.t.Helper()
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			_, err := b.zk.Create(b.ctx(), path[:i], nil, proto.OpenACL(), proto.ModePersistent)
			if err != nil && !errors.Is(err, proto.ErrNodeExists) {
				b.t.Fatal(err)
			}
		}
	}
	_, err := b.zk.Create(b.ctx(), path, []byte(data), proto.OpenACL(), proto.ModePersistent)
	b.must(err)
}

func (b *optionBroker) leaderOutsideISR() string {
	topics, err := b.admin.ListTopics(b.ctx(), "unclean")
	b.must(err)
	if leader := topics["unclean"].Partitions[0].Leader; leader >= 0 {
		return strconv.Itoa(int(leader))
	}
	return "none"
}

// flushed writes records until the broker has forced some of them to the disk, or twenty have been
// written and none was.
func (b *optionBroker) flushed() string {
	const never = "1000000"
	b.create("flushed", 1, "segment.bytes=1000000") // a segment that is full is flushed, too
	written := 0
	point := "0"
	b.await("a checkpoint of records that were flushed", func() bool {
		b.must(b.write("flushed", 1, time.Now()))
		written++
		point = b.checkpoint("recovery-point-offset-checkpoint", "flushed")
		committed, err := strconv.Atoi(b.checkpoint("replication-offset-checkpoint", "flushed"))
		b.must(err)
		return point != "0" || committed >= 20 && b.settings["log.flush.interval.messages"] == never
	})
	if point == "0" {
		return "no"
	}
	return "yes"
}

// checkpoint is the offset of partition 0 in one of the broker's checkpoint files, 0 if it has none.
func (b *optionBroker) checkpoint(file, topic string) string {
	for _, name := range b.files("*/" + file) {
		text, err := os.ReadFile(name)
		b.must(err)
		m := regexp.MustCompile(`(?m)^` + topic + ` 0 (\d+)$`).FindSubmatch(text)
		if m != nil {
			return string(m[1])
		}
	}
	return "0"
}
