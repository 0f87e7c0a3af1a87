//go:build interop

package handler

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// adminGolden has what a Kafka 3.9.2 broker answered to this file's requests. To capture it anew,
// start such a broker on an empty ZooKeeper with broker.id=1, broker.rack=r1,
// offsets.topic.num.partitions=3, offsets.topic.replication.factor=1 and one PLAINTEXT listener,
// and run: ADMIN_CAPTURE=host:port go test -tags interop -run TestInteropAdmin ./kafkad/handler
const adminGolden = "testdata/admin-kafka-3.9.2.txt"

// TestInteropAdmin sends every version of the topic and metadata requests, with all their
// mistakes, and compares the answers, messages included, with those of Kafka.
func TestInteropAdmin(t *testing.T) {
	if addr := os.Getenv("ADMIN_CAPTURE"); addr != "" {
		got := runAdmin(t, addr)
		if err := os.WriteFile(adminGolden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(adminGolden)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(runAdmin(t, startBroker(t)), "\n")
	for i, w := range strings.Split(string(want), "\n") {
		if i >= len(got) || got[i] != w {
			g := ""
			if i < len(got) {
				g = got[i]
			}
			t.Errorf("step %d\nours  %s\nKafka %s", i, g, w)
		}
	}
}

// startBroker starts zkd and kafkad from $ZKAFKA_BIN, or as built now, and returns the address.
func startBroker(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bin := os.Getenv("ZKAFKA_BIN")
	if bin == "" {
		bin = dir
		for _, d := range []string{"zkd", "kafkad"} {
			out, err := exec.Command("go", "build", "-o", filepath.Join(dir, d), "zkafka/"+d).
				CombinedOutput()
			if err != nil {
				t.Fatalf("building %s: %v\n%s", d, err, out)
			}
		}
	}
	zk, kafka := freePort(t), freePort(t)
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	runDaemon(t, dir, filepath.Join(bin, "zkd"), "zoo.cfg", fmt.Sprintf(
		"tickTime=2000\ndataDir=%s/zk\nclientPort=%d\nclientPortAddress=127.0.0.1\n"+
			"admin.enableServer=false\n", dir, zk))
	runDaemon(t, dir, filepath.Join(bin, "kafkad"), "server.properties", fmt.Sprintf(
		"broker.id=1\nlisteners=PLAINTEXT://127.0.0.1:%d\nlog.dirs=%s\nadmin.address=\n"+
			"zookeeper.connect=127.0.0.1:%d/kafka\noffsets.topic.replication.factor=1\n"+
			"offsets.topic.num.partitions=3\nbroker.rack=r1\n", kafka, logs, zk))
	return fmt.Sprintf("127.0.0.1:%d", kafka)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func runDaemon(t *testing.T, dir, bin, name, config string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(bin, "serve", "--config", file)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, out.String())
		}
	})
}

// admin is a connection that records what it was answered.
type admin struct {
	t    *testing.T
	conn net.Conn
	out  strings.Builder
	id   int32
}

func runAdmin(t *testing.T, addr string) string {
	t.Helper()
	a := &admin{t: t}
	deadline := time.Now().Add(30 * time.Second)
	for {
		var err error
		if a.conn, err = net.Dial("tcp", addr); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // polls a server that is starting
	}
	defer a.conn.Close()
	a.creates()
	a.growths()
	a.metadata()
	a.configs()
	a.clusters()
	a.alterations()
	a.deletes()
	return a.out.String()
}

// ask sends a request and returns the response.
func (a *admin) ask(req kmsg.Request, version int16) kmsg.Response {
	a.t.Helper()
	a.id++
	req.SetVersion(version)
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("admin"))
	a.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := a.conn.Write(f.AppendRequest(nil, req, a.id)); err != nil {
		a.t.Fatal(err)
	}
	size := make([]byte, 4)
	if _, err := io.ReadFull(a.conn, size); err != nil {
		a.t.Fatalf("%T version %d: %v", req, version, err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size))
	if _, err := io.ReadFull(a.conn, body); err != nil {
		a.t.Fatal(err)
	}
	body = body[4:]
	resp := req.ResponseKind()
	resp.SetVersion(version)
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		a.t.Fatalf("%T version %d: %v", req, version, err)
	}
	return resp
}

// step asks and records the answer as one line.
func (a *admin) step(label string, req kmsg.Request, version int16) kmsg.Response {
	a.t.Helper()
	resp := a.ask(req, version)
	text, err := json.Marshal(resp)
	if err != nil {
		a.t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		a.t.Fatal(err)
	}
	if text, err = json.Marshal(canonical(v)); err != nil {
		a.t.Fatal(err)
	}
	fmt.Fprintf(&a.out, "%s v%d: %s\n", label, version, text)
	return resp
}

// canonical sorts what Kafka answers in hash order and masks what differs from run to run.
func canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "UnknownTags")
		for k := range v {
			v[k] = canonical(v[k])
			switch k {
			case "Port":
				v[k] = "PORT"
			case "ClusterID":
				if s, _ := v[k].(string); s != "" {
					v[k] = "CLUSTER"
				}
			case "TopicID":
				if text := fmt.Sprint(v[k]); text != zeroID && !strings.HasPrefix(text, "[9 0") {
					v[k] = "ID"
				}
			}
		}
	case []any:
		for i := range v {
			v[i] = canonical(v[i])
		}
		slices.SortStableFunc(v, func(a, b any) int { return cmp.Compare(sortKey(a), sortKey(b)) })
	}
	return v
}

var zeroID = "[" + strings.TrimSuffix(strings.Repeat("0 ", 16), " ") + "]"

// sortKey orders topics, partitions and settings; other lists keep their order.
func sortKey(v any) string {
	m, _ := v.(map[string]any)
	if m["Partition"] != nil {
		return fmt.Sprintf("%09v", m["Partition"])
	}
	if m["Topic"] != nil {
		return fmt.Sprint(m["Topic"])
	}
	if m["Name"] != nil && m["ReadOnly"] != nil {
		return fmt.Sprint(m["Name"])
	}
	return ""
}

func str(s string) *string { return &s }

func topicAsked(name string, partitions int32, factor int16, config ...string,
) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, factor
	for i := 0; i < len(config); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name = config[i]
		if config[i+1] != "NULL" {
			c.Value = &config[i+1]
		}
		t.Configs = append(t.Configs, c)
	}
	return t
}

// placed asks for replicas: each list is a partition number and broker ids.
func placed(name string, partitions int32, factor int16, lists ...[]int32,
) kmsg.CreateTopicsRequestTopic {
	t := topicAsked(name, partitions, factor)
	for _, l := range lists {
		r := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		r.Partition, r.Replicas = l[0], l[1:]
		t.ReplicaAssignment = append(t.ReplicaAssignment, r)
	}
	return t
}

func (a *admin) create(
	version int16, dry bool, millis int32, topics ...kmsg.CreateTopicsRequestTopic,
) {
	r := kmsg.NewPtrCreateTopicsRequest()
	r.Topics, r.ValidateOnly, r.TimeoutMillis = topics, dry, millis
	a.step("create "+topics[0].Topic, r, version)
}

func (a *admin) creates() {
	const wait = 15000
	t := topicAsked
	a.create(7, false, wait, t("t1", 3, 1))
	a.create(7, false, wait, t("t2", -1, -1))
	a.create(3, false, wait, t("t2v3", -1, -1))
	a.create(7, false, wait, t("t3", 2, 1, "retention.ms", "86400000", "cleanup.policy", "compact"))
	a.create(7, true, wait, t("t4", 2, 1, "retention.ms", "1"))
	a.create(1, true, wait, t("t4", 2, 1, "retention.ms", "1"))
	a.create(7, false, wait, t("t1", 3, 1))
	a.create(7, true, wait, t("t1", 3, 1, "retention.ms", "NULL"))
	a.create(7, false, wait, t("a.b", 1, 1))
	a.create(7, false, wait, t("a_b", 1, 1))
	a.create(7, false, wait, t("", 1, 1))
	a.create(7, false, wait, t(".", 1, 1), t("..", 1, 1), t("bad name", 1, 1), t("x/y", 1, 1))
	a.create(7, false, wait, t(strings.Repeat("l", 250), 1, 1))
	a.create(7, false, wait, t("r0", 1, 0), t("r2", 1, 2), t("p0", 0, 1), t("pm", -5, 1),
		t("rm", 1, -5))
	a.create(7, false, wait, t("d", 1, 1), t("d", 1, 1), t("ok1", 1, 1))
	a.create(7, false, wait, t("c1", 1, 1, "no.such", "1"), t("c2", 1, 1, "retention.ms", "abc"),
		t("c4", 1, 1, "retention.ms", "NULL"), t("c5", 1, 1, "min.insync.replicas", "0"),
		t("c6", 1, 1, "min.compaction.lag.ms", "10", "max.compaction.lag.ms", "5"),
		t("c7", 1, 1, "unclean.leader.election.enable", "maybe"),
		t("c8", 1, 1, "segment.bytes", "99999999999"),
		t("c9", 1, 1, "min.cleanable.dirty.ratio", "1.5"))
	a.create(7, false, wait, t("bad.conf name", 1, 1, "no.such", "1"))
	a.create(7, false, wait, placed("m1", -1, -1, []int32{0, 1}, []int32{1, 1}))
	a.create(7, false, wait, placed("m2", 1, 1, []int32{0, 1}))
	a.create(7, false, wait, placed("m3", -1, -1, []int32{0, 1}, []int32{2, 1}))
	a.create(7, false, 300, placed("m4", -1, -1, []int32{0, 9})) // nobody can lead it
	a.create(7, false, wait, placed("m9", -1, -1, []int32{1, 1}))
	a.create(7, false, 0, t("z1", 1, 1))
	for v := range int16(8) {
		name := fmt.Sprintf("v%d", v)
		a.create(v, false, wait, t(name, 1, 1))
		a.create(v, false, wait, t(name, 1, 1))
	}
}

func (a *admin) grow(version int16, dry bool, name string, count int32, lists ...[]int32) {
	r := kmsg.NewPtrCreatePartitionsRequest()
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = name, count
	for _, l := range lists {
		x := kmsg.NewCreatePartitionsRequestTopicAssignment()
		x.Replicas = l
		t.Assignment = append(t.Assignment, x)
	}
	r.Topics = []kmsg.CreatePartitionsRequestTopic{t}
	r.ValidateOnly, r.TimeoutMillis = dry, 15000
	a.step(fmt.Sprintf("grow %s to %d %v", name, count, lists), r, version)
}

func (a *admin) growths() {
	a.grow(3, false, "t1", 5)
	a.grow(3, false, "t1", 5)
	a.grow(3, false, "t1", 4)
	a.grow(3, false, "t1", -1)
	a.grow(3, false, "nope", 4)
	a.grow(3, true, "t1", 7)
	a.grow(3, false, "t1", 6, []int32{1})
	a.grow(3, false, "t1", 7, []int32{9})
	a.grow(3, false, "t1", 9, []int32{1})
	a.grow(3, false, "t1", 7, []int32{1, 1})
	a.grow(3, false, "t1", 7, []int32{})
	for v := range int16(4) {
		a.grow(v, false, "t2", 2+int32(v))
	}
	r := kmsg.NewPtrCreatePartitionsRequest()
	for _, n := range []int32{8, 9} {
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = "t1", n
		r.Topics = append(r.Topics, t)
	}
	a.step("grow twice", r, 3)
}

func (a *admin) look(version int16, auto bool, names ...string) *kmsg.MetadataResponse {
	r := kmsg.NewPtrMetadataRequest()
	r.AllowAutoTopicCreation = auto
	r.IncludeClusterAuthorizedOperations, r.IncludeTopicAuthorizedOperations = true, true
	r.Topics = []kmsg.MetadataRequestTopic{}
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = str(n)
		r.Topics = append(r.Topics, t)
	}
	return a.step(fmt.Sprintf("metadata %v", names), r, version).(*kmsg.MetadataResponse)
}

func (a *admin) metadata() {
	for v := range int16(13) {
		a.look(v, true, "t3", "t1", "t3")
		a.look(v, false) // all topics for version 0, none for others
		r := kmsg.NewPtrMetadataRequest()
		a.step("metadata of all", r, v)
	}
	a.look(12, false, "nope")
	a.look(12, true, "bad name")
	a.look(12, false, "bad name")
	a.look(12, true, "a_b")
	a.look(3, false, "m4")
	for _, name := range []string{"auto1", "__consumer_offsets"} {
		a.look(12, true, name)
		for a.led(name) == false {
			time.Sleep(10 * time.Millisecond) // polls as a client does
		}
		a.look(12, true, name)
	}
	a.look(0, true, "auto2")
	r := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.TopicID = [16]byte{9}
	r.Topics = append(r.Topics, t)
	for v := int16(10); v <= 12; v++ {
		a.step("metadata by id", r, v)
	}
}

func (a *admin) led(name string) bool {
	r := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = str(name)
	r.Topics = append(r.Topics, t)
	m := a.ask(r, 12).(*kmsg.MetadataResponse)
	return m.Topics[0].ErrorCode == 0 && !slices.ContainsFunc(m.Topics[0].Partitions,
		func(p kmsg.MetadataResponseTopicPartition) bool { return p.ErrorCode != 0 })
}

func (a *admin) describe(version int16, synonyms bool, kind int8, name string, keys ...string) {
	r := kmsg.NewPtrDescribeConfigsRequest()
	x := kmsg.NewDescribeConfigsRequestResource()
	x.ResourceType, x.ResourceName = kmsg.ConfigResourceType(kind), name
	x.ConfigNames = keys
	r.Resources = append(r.Resources, x)
	r.IncludeSynonyms = synonyms
	a.step(fmt.Sprintf("describe %d %q %v", kind, name, keys), r, version)
}

func (a *admin) configs() {
	for v := range int16(5) {
		a.describe(v, true, 2, "t3", "cleanup.policy", "min.insync.replicas", "no.such")
		a.describe(v, true, 4, "1", "num.partitions", "min.insync.replicas", "broker.rack",
			"broker.id", "ssl.keystore.password", "offsets.topic.num.partitions")
	}
	a.describe(4, false, 2, "t3")
	a.describe(4, false, 2, "nope")
	a.describe(4, false, 2, "bad name")
	a.describe(4, false, 2, "")
	a.describe(4, false, 4, "")
	a.describe(4, false, 4, "7")
	a.describe(4, false, 4, "xx")
	a.describe(4, false, 8, "")
	a.describe(4, false, 8, "7")
	a.describe(4, false, 3, "1")
	a.describe(4, false, 16, "1")
}

// change is one operation: name, operation (0 set, 1 delete, 2 append, 3 subtract), value.
type change struct {
	name  string
	op    int8
	value string
}

func (a *admin) alter(version int16, dry bool, kind int8, name string, changes ...change) {
	r := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r.ValidateOnly = dry
	x := kmsg.NewIncrementalAlterConfigsRequestResource()
	x.ResourceType, x.ResourceName = kmsg.ConfigResourceType(kind), name
	for _, ch := range changes {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op = ch.name, kmsg.IncrementalAlterConfigOp(ch.op)
		if ch.value != "NULL" {
			c.Value = &ch.value
		}
		x.Configs = append(x.Configs, c)
	}
	r.Resources = append(r.Resources, x)
	a.step(fmt.Sprintf("alter %d %q %v", kind, name, changes), r, version)
}

func (a *admin) replace(version int16, name string, settings ...string) {
	r := kmsg.NewPtrAlterConfigsRequest()
	x := kmsg.NewAlterConfigsRequestResource()
	x.ResourceType, x.ResourceName = 2, name
	for i := 0; i < len(settings); i += 2 {
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name = settings[i]
		if settings[i+1] != "NULL" {
			c.Value = &settings[i+1]
		}
		x.Configs = append(x.Configs, c)
	}
	r.Resources = append(r.Resources, x)
	a.step(fmt.Sprintf("replace %q %v", name, settings), r, version)
}

// overrides waits until the topic's own settings are as told, as a client would, and records them.
func (a *admin) overrides(topic, want string) {
	for {
		r := kmsg.NewPtrDescribeConfigsRequest()
		x := kmsg.NewDescribeConfigsRequestResource()
		x.ResourceType, x.ResourceName = 2, topic
		r.Resources = append(r.Resources, x)
		var list []string
		for _, c := range a.ask(r, 4).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
			if c.Source == 1 {
				list = append(list, c.Name+"="+*c.Value)
			}
		}
		slices.Sort(list)
		if got := strings.Join(list, " "); got == want {
			fmt.Fprintf(&a.out, "overrides of %s: %s\n", topic, got)
			return
		}
		time.Sleep(10 * time.Millisecond) // polls: the change comes by a notification
	}
}

func (a *admin) alterations() {
	a.alter(1, false, 2, "t3", change{"retention.ms", 0, "5000"}, change{"flush.ms", 0, "7"})
	a.overrides("t3", "cleanup.policy=compact flush.ms=7 retention.ms=5000")
	a.alter(0, false, 2, "t3", change{"flush.ms", 1, ""}, change{"cleanup.policy", 2, "delete"},
		change{"no.such", 1, "NULL"})
	a.overrides("t3", "cleanup.policy=compact,delete retention.ms=5000")
	a.alter(1, true, 2, "t3", change{"retention.ms", 0, "1"})
	a.alter(1, false, 2, "t3", change{"cleanup.policy", 3, "compact,x"})
	a.overrides("t3", "cleanup.policy=delete retention.ms=5000")
	a.alter(1, false, 2, "t3", change{"retention.ms", 2, "1"})
	a.alter(1, false, 2, "t3", change{"retention.ms", 3, "1"})
	a.alter(1, false, 2, "t3", change{"retention.ms", 0, "NULL"})
	a.alter(1, false, 2, "t3", change{"retention.ms", 0, "1"}, change{"retention.ms", 0, "2"})
	a.alter(1, false, 2, "t3", change{"no.such", 0, "1"})
	a.alter(1, false, 2, "t3", change{"retention.ms", 0, "x"})
	a.alter(1, false, 2, "nope", change{"retention.ms", 0, "1"})
	a.alter(1, false, 2, "bad name", change{"retention.ms", 0, "1"})
	a.alter(1, false, 4, "1", change{"num.partitions", 0, "1"})
	a.alter(1, false, 4, "", change{"log.retention.ms", 0, "8000"})
	a.alter(1, false, 4, "1", change{"log.retention.ms", 0, "x"})
	a.alter(1, false, 4, "7", change{"log.retention.ms", 0, "8000"})
	a.alter(1, false, 4, "xx", change{"log.retention.ms", 0, "8000"})
	a.alter(1, false, 16, "1", change{"x", 0, "1"})
	a.alter(1, false, 3, "1", change{"x", 0, "1"})
	for v := range int16(3) {
		a.replace(v, "t3", "retention.ms", fmt.Sprint(6000+v))
		a.overrides("t3", fmt.Sprintf("retention.ms=%d", 6000+v))
	}
	a.replace(2, "t3", "retention.ms", "NULL")
	a.replace(2, "t3", "no.such", "1")
	a.replace(2, "nope", "retention.ms", "1")
	a.replace(2, "bad name", "retention.ms", "1")
	a.replace(2, "t3", "retention.ms", "1", "retention.ms", "2")
}

func (a *admin) clusters() {
	for v := range int16(2) {
		for _, with := range []bool{false, true} {
			r := kmsg.NewPtrDescribeClusterRequest()
			r.IncludeClusterAuthorizedOperations = with
			a.step("cluster", r, v)
		}
	}
	for _, kind := range []int8{2, 3} {
		r := kmsg.NewPtrDescribeClusterRequest()
		r.EndpointType = kind
		a.step("cluster, other endpoints", r, 1)
	}
}

func (a *admin) remove(version int16, names ...string) {
	r := kmsg.NewPtrDeleteTopicsRequest()
	r.TimeoutMillis, r.TopicNames = 15000, names
	for _, n := range names {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = str(n)
		r.Topics = append(r.Topics, t)
	}
	a.step(fmt.Sprintf("delete %v", names), r, version)
}

func (a *admin) deletes() {
	for v := range int16(7) {
		a.remove(v, fmt.Sprintf("v%d", v))
		a.remove(v, "nope", fmt.Sprintf("v%d", v))
	}
	a.remove(6, "m1", "m1")
	a.remove(6, "bad name")
	for _, t := range []struct {
		name *string
		id   [16]byte
	}{{nil, [16]byte{9}}, {str("t1"), [16]byte{9}}, {nil, [16]byte{}}, {nil, a.idOf("t2")}} {
		r := kmsg.NewPtrDeleteTopicsRequest()
		r.TimeoutMillis = 15000
		x := kmsg.NewDeleteTopicsRequestTopic()
		x.Topic, x.TopicID = t.name, t.id
		r.Topics = append(r.Topics, x)
		a.step("delete by id", r, 6)
	}
	r := kmsg.NewPtrMetadataRequest()
	a.step("metadata of what is left", r, 12)
}

func (a *admin) idOf(name string) [16]byte {
	r := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = str(name)
	r.Topics = append(r.Topics, t)
	return a.ask(r, 12).(*kmsg.MetadataResponse).Topics[0].TopicID
}
