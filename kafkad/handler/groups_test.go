package handler

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/coordinator"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

// groupsGolden has what a Kafka 3.9.2 broker answered to this file's requests. To capture it anew,
// start such a broker with broker.id=1, group.initial.rebalance.delay.ms=0,
// offsets.topic.replication.factor=1, create the topic my.topic with 3 partitions, let a consumer
// group make the offsets topic, and run
// GROUPS_CAPTURE=host:port go test -run TestGroupsGolden ./kafkad/handler
const groupsGolden = "testdata/groups-kafka-3.9.2.txt"

// TestGroupsGolden sends every version of the group requests, with many of their mistakes, and
// compares the answers with those of Kafka. The coordinator keeps its records in memory.
func TestGroupsGolden(t *testing.T) {
	if addr := os.Getenv("GROUPS_CAPTURE"); addr != "" {
		s := &groupScript{t: t, send: remote(t, addr)}
		s.run()
		if err := os.WriteFile(groupsGolden, []byte(s.out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(groupsGolden)
	if err != nil {
		t.Fatal(err)
	}
	s := &groupScript{t: t, send: local(t)}
	s.run()
	got := strings.Split(s.out.String(), "\n")
	lines := strings.Split(string(want), "\n")
	if len(got) != len(lines) {
		t.Errorf("%d answers, Kafka gave %d", len(got), len(lines))
	}
	for i := range min(len(got), len(lines)) {
		if got[i] != lines[i] {
			t.Errorf("ours  %s\nKafka %s", got[i], lines[i])
		}
	}
}

// local serves frames by handlers over a coordinator in memory.
func local(t *testing.T) func(frame []byte) []byte {
	image := cluster.NewImage("cluster")
	image.Brokers = []cluster.Broker{{ID: 1, Endpoints: []cluster.Endpoint{
		{Listener: "PLAINTEXT", Host: "127.0.0.1", Port: 9092},
	}}}
	for name, n := range map[string]int32{"my.topic": 3, cluster.OffsetsTopic: 5} {
		topic := &cluster.Topic{Name: name}
		for i := range n {
			topic.Partitions = append(topic.Partitions, cluster.Partition{Index: i, Leader: 1})
		}
		image.Topics[name] = topic
	}
	cfg := group.DefaultConfig()
	cfg.InitialRebalanceDelayMillis = 0
	c := coordinator.New(coordinator.Options{
		Group: cfg, Store: &memoryLog{}, Partitions: func() int32 { return 5 },
	})
	t.Cleanup(c.Close)
	for p := range int32(5) {
		c.Elected(p, 0)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, code := c.List(nil, nil); code == errcode.None {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("coordinator does not load")
		}
	}
	h := &Handlers{NodeID: 1, Store: imageStore{image}, Groups: GroupDeps{Coordinator: c}}
	return func(frame []byte) []byte {
		out := &memoryOutput{}
		conn := &Conn{Listener: "PLAINTEXT", Host: "127.0.0.1", Out: out}
		if err := h.Serve(context.Background(), conn, frame); err != nil {
			t.Fatal(err)
		}
		return out.b[4:]
	}
}

// remote sends frames to a real broker.
func remote(t *testing.T, addr string) func(frame []byte) []byte {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func(frame []byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(frame)))
		if _, err := conn.Write(append(b, frame...)); err != nil {
			t.Fatal(err)
		}
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, reply); err != nil {
			t.Fatal(err)
		}
		return reply
	}
}

type imageStore struct{ image *cluster.Image }

func (s imageStore) Image() *cluster.Image { return s.image }
func (s imageStore) AllocateProducerIDs(context.Context) (int64, int64, error) {
	return 0, 0, errors.New("not asked for")
}

type memoryOutput struct{ b []byte }

func (o *memoryOutput) Write(b []byte) (int, error) {
	o.b = append(o.b, b...)
	return len(b), nil
}
func (o *memoryOutput) WriteSpans([]byte, []Span) error { return errors.New("no spans here") }

// memoryLog takes records and forgets them.
type memoryLog struct {
	mu   sync.Mutex
	next int64
}

func (l *memoryLog) Append(
	_ context.Context, _ int32, records []group.Record, _ int64,
) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	base := l.next
	l.next += int64(len(records))
	return base, nil
}
func (l *memoryLog) Replay(context.Context, int32, *group.Loader) error { return nil }

// groupScript sends the requests and writes down the answers.
type groupScript struct {
	t    *testing.T
	send func(frame []byte) []byte
	out  strings.Builder
}

var (
	uuidText = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	portText = regexp.MustCompile(`"Port":\d{4,}`)
	// What no version on the wire has, or is always zero, is left out of the golden file.
	noiseText = regexp.MustCompile(`,?"(UnknownTags":\{\}|TopicID":\[[0,]*\]|ThrottleMillis":0)`)
	// Kafka's error texts are its own.
	messageText = regexp.MustCompile(`"ErrorMessage":"[^"]{5,}"`)
)

// call sends a request in a version and writes down what is said to it.
func (s *groupScript) call(name string, version int16, req kmsg.Request) kmsg.Response {
	s.t.Helper()
	req.SetVersion(version)
	client := "golden"
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(client))
	reply := s.send(f.AppendRequest(nil, req, 7)[4:])
	resp := req.ResponseKind()
	resp.SetVersion(version)
	body := reply[4:]
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		s.t.Fatalf("%s v%d: %v", name, version, err)
	}
	order(resp)
	b, err := json.Marshal(resp)
	if err != nil {
		s.t.Fatal(err)
	}
	text := noiseText.ReplaceAllString(string(b), "")
	text = uuidText.ReplaceAllString(text, "UUID")
	text = portText.ReplaceAllString(text, `"Port":PORT`)
	text = messageText.ReplaceAllString(text, `"ErrorMessage":"TEXT"`)
	fmt.Fprintf(&s.out, "%s v%d: %s\n", name, version, text)
	return resp
}

// order sorts what Kafka answers in the order of its hash tables.
func order(resp kmsg.Response) {
	switch r := resp.(type) {
	case *kmsg.OffsetCommitResponse:
		slices.SortFunc(r.Topics, func(a, b kmsg.OffsetCommitResponseTopic) int {
			return cmp.Compare(a.Topic, b.Topic)
		})
		for i := range r.Topics {
			slices.SortFunc(r.Topics[i].Partitions,
				func(a, b kmsg.OffsetCommitResponseTopicPartition) int {
					return cmp.Compare(a.Partition, b.Partition)
				})
		}
	case *kmsg.DeleteGroupsResponse:
		slices.SortFunc(r.Groups, func(a, b kmsg.DeleteGroupsResponseGroup) int {
			return cmp.Compare(a.Group, b.Group)
		})
	case *kmsg.OffsetDeleteResponse:
		slices.SortFunc(r.Topics, func(a, b kmsg.OffsetDeleteResponseTopic) int {
			return cmp.Compare(a.Topic, b.Topic)
		})
	}
}

func (s *groupScript) run() {
	for v := int16(0); v <= 9; v++ {
		s.life(v, fmt.Sprintf("ok-%d", v))
	}
	for v := int16(0); v <= 2; v++ {
		r := kmsg.NewPtrDeleteGroupsRequest()
		r.Groups = []string{"nope", "ok-3"}
		s.call("delete", v, r)
	}
	for v := int16(0); v <= 6; v++ {
		for kind := int8(0); kind <= 3; kind++ {
			if v == 0 && kind > 0 || kind == coordinatorTxn {
				continue
			}
			r := kmsg.NewPtrFindCoordinatorRequest()
			r.CoordinatorType, r.CoordinatorKey = kind, "k"
			r.CoordinatorKeys = []string{"k", "j"}
			s.call(fmt.Sprintf("find type %d", kind), v, r)
		}
	}
	r := kmsg.NewPtrOffsetDeleteRequest()
	r.Group = "nope"
	s.call("delete offsets of nobody", 0, r)
	for _, name := range []string{"my.topic", "nono"} {
		t := kmsg.NewOffsetDeleteRequestTopic()
		t.Topic = name
		t.Partitions = append(t.Partitions, kmsg.NewOffsetDeleteRequestTopicPartition())
		r.Topics = append(r.Topics, t)
	}
	r.Group = "ok-9"
	s.call("delete offsets", 0, r)
}

func joinRequest(g, member, kind string, session int32, protocols ...string) kmsg.Request {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Group, r.MemberID, r.ProtocolType = g, member, kind
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = session, 3000
	for _, name := range protocols {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, []byte{0, 0, 0, 0, 0, 0, 255, 255, 255, 255}
		r.Protocols = append(r.Protocols, p)
	}
	return r
}

// life is the life of a group, in the given version of JoinGroup and all versions of the rest.
func (s *groupScript) life(v int16, g string) {
	s.call("join, short session", v, joinRequest("o1", "", "consumer", 10, "range"))
	s.call("join, no group", v, joinRequest("", "", "consumer", 10_000, "range"))
	s.call("join, unknown member", v, joinRequest("o1", "ghost", "consumer", 10_000, "range"))
	s.call("join, no protocols", v, joinRequest("o1", "", "consumer", 10_000))
	s.call("join, no type", v, joinRequest("o1", "", "", 10_000, "range"))
	r := s.call("join", v, joinRequest(g, "", "consumer", 30_000, "range")).(*kmsg.JoinGroupResponse)
	member := r.MemberID
	if errcode.Code(r.ErrorCode) == errcode.MemberIDRequired {
		s.call("join again", v, joinRequest(g, member, "consumer", 30_000, "range"))
	}
	s.heartbeats(g, member)
	s.describe("completing", g)
	s.sync(min(v, 5), g, member)
	s.describe("stable", g)
	if v == 9 {
		s.commits(g, member)
		s.fetches(g)
	}
	s.leave(min(v, 5), g, member)
	s.describe("empty", g)
}

func (s *groupScript) heartbeats(g, member string) {
	for v := int16(0); v <= 4; v++ {
		r := kmsg.NewPtrHeartbeatRequest()
		r.Group, r.MemberID, r.Generation = g, member, 1
		s.call("heartbeat", v, r)
		r.Generation = 9
		s.call("heartbeat, other generation", v, r)
	}
}

func (s *groupScript) describe(state, g string) {
	r := kmsg.NewPtrDescribeGroupsRequest()
	r.Groups, r.IncludeAuthorizedOperations = []string{g, "nope"}, true
	for v := int16(0); v <= 5; v++ {
		s.call("describe "+state, v, r)
	}
}

func (s *groupScript) sync(v int16, g, member string) {
	kind, right, wrong := "consumer", "range", "other"
	r := kmsg.NewPtrSyncGroupRequest()
	r.Group, r.MemberID, r.Generation = g, member, 1
	r.ProtocolType, r.Protocol = &kind, &wrong
	a := kmsg.NewSyncGroupRequestGroupAssignment()
	a.MemberID, a.MemberAssignment = member, []byte{0, 0, 0, 0, 0, 0, 255, 255, 255, 255}
	r.GroupAssignment = append(r.GroupAssignment, a)
	if v >= 5 {
		s.call("sync, other protocol", v, r)
		r.Protocol = nil
		s.call("sync, no protocol", v, r)
	}
	r.Protocol, r.Generation = &right, 4
	s.call("sync, other generation", v, r)
	r.Generation = 1
	s.call("sync", v, r)
	s.call("sync again", v, r)
}

func (s *groupScript) commits(g, member string) {
	for v := int16(1); v <= 9; v++ {
		r := kmsg.NewPtrOffsetCommitRequest()
		r.Group, r.MemberID, r.Generation = g, member, 1
		long := strings.Repeat("x", 5000)
		for _, name := range []string{"my.topic", "nope"} {
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic = name
			for _, i := range []int32{0, 1, 77} {
				p := kmsg.NewOffsetCommitRequestTopicPartition()
				p.Partition, p.Offset = i, 3
				if i == 1 {
					p.Metadata = &long
				}
				t.Partitions = append(t.Partitions, p)
			}
			r.Topics = append(r.Topics, t)
		}
		s.call("commit", v, r)
		r.Generation = 7
		s.call("commit, other generation", v, r)
		r.Generation, r.MemberID = -1, ""
		s.call("commit, no member", v, r)
		r.Group = ""
		s.call("commit, no group", v, r)
		r.Group, r.Generation = "other", 1
		s.call("commit, unknown group", v, r)
	}
}

func (s *groupScript) fetches(g string) {
	for v := int16(1); v <= 9; v++ {
		for _, name := range []string{g, "nobody"} {
			r := kmsg.NewPtrOffsetFetchRequest()
			r.Group = name
			rg := kmsg.NewOffsetFetchRequestGroup()
			rg.Group = name
			r.Groups = []kmsg.OffsetFetchRequestGroup{rg}
			if v >= 2 {
				s.call("fetch all", v, r)
			}
			t := kmsg.NewOffsetFetchRequestTopic()
			t.Topic, t.Partitions = "my.topic", []int32{0, 1, 55}
			r.Topics = append(r.Topics, t)
			gt := kmsg.NewOffsetFetchRequestGroupTopic()
			gt.Topic, gt.Partitions = t.Topic, t.Partitions
			r.Groups[0].Topics = append(r.Groups[0].Topics, gt)
			r.RequireStable = true
			s.call("fetch", v, r)
		}
	}
}

func (s *groupScript) leave(v int16, g, member string) {
	instance := "nobody"
	r := kmsg.NewPtrLeaveGroupRequest()
	r.Group, r.MemberID = "nope", "ghost"
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = "ghost"
	static := kmsg.NewLeaveGroupRequestMember()
	static.InstanceID = &instance
	r.Members = append(r.Members, m, static)
	s.call("leave, unknown group", v, r)
	r.Group = ""
	s.call("leave, no group", v, r)
	r.Group = g
	s.call("leave, unknown member", v, r)
	r.MemberID, r.Members[0].MemberID = member, member
	s.call("leave", v, r)
}

// Who asks for a transaction coordinator is sent to another broker if one leads the partition, and
// else told for good that there is none.
func TestFindTxnCoordinator(t *testing.T) {
	image := cluster.NewImage("cluster")
	image.Brokers = []cluster.Broker{
		{ID: 1, Endpoints: []cluster.Endpoint{{Listener: "PLAINTEXT", Host: "a", Port: 1}}},
		{ID: 2, Endpoints: []cluster.Endpoint{{Listener: "PLAINTEXT", Host: "b", Port: 2}}},
	}
	h := &Handlers{NodeID: 1, Store: imageStore{image}}
	c := &Conn{Listener: "PLAINTEXT"}
	if _, code := h.findCoordinator(context.Background(), c, coordinatorTxn, "id"); code !=
		errcode.UnsupportedVersion {
		t.Errorf("without the topic: %v", code)
	}
	topic := &cluster.Topic{Name: cluster.TransactionsTopic}
	image.Topics[topic.Name] = topic
	for leader, want := range map[int32]errcode.Code{
		1: errcode.UnsupportedVersion, 2: errcode.None, -1: errcode.CoordinatorNotAvailable,
	} {
		topic.Partitions = []cluster.Partition{{Leader: leader}}
		n, code := h.findCoordinator(context.Background(), c, coordinatorTxn, "id")
		if code != want || code == errcode.None && (n.id != 2 || n.Host != "b") {
			t.Errorf("with leader %d: %v, %v", leader, n, code)
		}
	}
}
