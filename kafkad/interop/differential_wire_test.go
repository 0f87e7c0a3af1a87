//go:build interop

package interop

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// request is one step of the generator. Topic ids and fetch sessions in it are shared terms; each
// side puts its own in.
type request struct {
	req     kmsg.Request
	text    string // what is special about it
	silent  bool   // acks 0: an answer comes only if something else is wrong
	cut     int    // bytes missing at the end of the frame
	client  string
	settles []string // topics that the request creates, changes or deletes
}

// String describes the request for the report of a difference.
func (q request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s version %d, client %q: %s", kmsg.NameForKey(q.req.Key()),
		q.req.GetVersion(), q.client, q.text)
	for _, line := range fields(q.req) {
		fmt.Fprintf(&b, "\n  %s", line)
	}
	return b.String()
}

// brokerSide is one of the two brokers and what is known of it: everything that may differ between
// the two is translated into terms that both share.
type brokerSide struct {
	name, addr  string
	conn        net.Conn
	correlation int32
	shared      map[[16]byte][16]byte // topic id to the shared one
	own         map[[16]byte][16]byte // and back
	generation  map[string]int        // how many topics of that name there were
	sessions    []int32               // ids in the order in which they were granted
}

func newBrokerSide(name, addr string) *brokerSide {
	return &brokerSide{name: name, addr: addr, shared: map[[16]byte][16]byte{},
		own: map[[16]byte][16]byte{}, generation: map[string]int{}}
}

// sharedID is what stands for the id of the n-th topic of that name.
func sharedID(topic string, n int) (id [16]byte) {
	copy(id[:], fmt.Sprintf("%-14.14s%02d", topic, n))
	return id
}

// learn notes a topic's id.
func (s *brokerSide) learn(topic string, id [16]byte) {
	if _, known := s.shared[id]; known || id == [16]byte{} {
		return
	}
	n := s.generation[topic] + 1
	s.generation[topic] = n
	s.shared[id], s.own[sharedID(topic, n)] = sharedID(topic, n), id
}

// ownID translates a shared id; one that stands for nothing stays.
func (s *brokerSide) ownID(id [16]byte) [16]byte {
	if own, ok := s.own[id]; ok {
		return own
	}
	return id
}

// ownSession translates the number of a session; numbers that were never granted stay.
func (s *brokerSide) ownSession(n int32) int32 {
	if n >= 1 && int(n) <= len(s.sessions) {
		return s.sessions[n-1]
	}
	return n
}

// localise returns the request in this broker's terms.
func (s *brokerSide) localise(req kmsg.Request) kmsg.Request {
	switch q := req.(type) {
	case *kmsg.FetchRequest:
		own := *q
		own.SessionID = s.ownSession(q.SessionID)
		own.Topics, own.ForgottenTopics = slices.Clone(q.Topics), slices.Clone(q.ForgottenTopics)
		for i := range own.Topics {
			own.Topics[i].TopicID = s.ownID(q.Topics[i].TopicID)
		}
		for i := range own.ForgottenTopics {
			own.ForgottenTopics[i].TopicID = s.ownID(q.ForgottenTopics[i].TopicID)
		}
		return &own
	case *kmsg.MetadataRequest:
		own := *q
		own.Topics = slices.Clone(q.Topics)
		for i := range own.Topics {
			own.Topics[i].TopicID = s.ownID(q.Topics[i].TopicID)
		}
		return &own
	case *kmsg.DeleteTopicsRequest:
		own := *q
		own.Topics = slices.Clone(q.Topics)
		for i := range own.Topics {
			own.Topics[i].TopicID = s.ownID(q.Topics[i].TopicID)
		}
		return &own
	}
	return req
}

// ask sends a request and returns the answer, nil for one that has none, io.EOF if the connection
// was closed instead.
func (s *brokerSide) ask(q request) (kmsg.Response, error) {
	if s.conn == nil {
		var err error
		if s.conn, err = net.DialTimeout("tcp", s.addr, 5*time.Second); err != nil {
			return nil, err
		}
	}
	s.correlation++
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(q.client))
	frame := f.AppendRequest(nil, s.localise(q.req), s.correlation)
	frame = frame[:len(frame)-q.cut]
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	if _, err := s.conn.Write(frame); err != nil {
		return nil, s.hangUp()
	}
	if q.silent {
		return nil, s.probe()
	}
	body, err := s.frame()
	if err != nil {
		return nil, err
	}
	resp := q.req.ResponseKind()
	resp.SetVersion(q.req.GetVersion())
	if resp.IsFlexible() {
		body = body[1:] // no tags in the header
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("decode %x: %w", body, err)
	}
	return resp, nil
}

func (s *brokerSide) hangUp() error {
	s.conn.Close()
	s.conn = nil
	return io.EOF
}

// frame reads the next answer.
func (s *brokerSide) frame() ([]byte, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(s.conn, head[:]); err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return nil, err
		}
		return nil, s.hangUp()
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(s.conn, body); err != nil {
		return nil, s.hangUp()
	}
	if id := int32(binary.BigEndian.Uint32(head[4:])); id != s.correlation {
		return nil, fmt.Errorf("answer %d to request %d", id, s.correlation)
	}
	return body, nil
}

// probe tells whether the connection survived a request without answer, by asking for something.
func (s *brokerSide) probe() error {
	_, err := s.ask(request{req: versioned(kmsg.NewPtrApiVersionsRequest(), 0), client: "probe"})
	return err
}

func versioned[R kmsg.Request](req R, version int16) R {
	req.SetVersion(version)
	return req
}

// await asks again and again until the answer is yes.
func await(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline, tick := time.After(60*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come about within a minute", what)
		}
	}
}

// awaitController waits until the broker is controller of its cluster.
func (s *brokerSide) awaitController(t *testing.T) {
	t.Helper()
	await(t, "the controller of "+s.name, func() bool {
		m := s.metadata(t)
		return m.ControllerID == 0 && len(m.Brokers) == 1
	})
}

func (s *brokerSide) metadata(t *testing.T, topics ...string) *kmsg.MetadataResponse {
	t.Helper()
	req := versioned(kmsg.NewPtrMetadataRequest(), 12)
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &name
		req.Topics = append(req.Topics, rt)
	}
	resp, err := s.ask(request{req: req, client: "settle"})
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return resp.(*kmsg.MetadataResponse)
}

// awaitProducerIDs waits until the broker has producer ids; Apache's asks for a first block when it
// is asked itself.
func (s *brokerSide) awaitProducerIDs(t *testing.T) {
	t.Helper()
	req := versioned(kmsg.NewPtrInitProducerIDRequest(), 0)
	await(t, "producer ids of "+s.name, func() bool {
		resp, err := s.ask(request{req: req, client: "settle"})
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		return resp.(*kmsg.InitProducerIDResponse).ErrorCode == 0
	})
}

// settled tells whether the topic has so many partitions with leaders, and learns its id, or is
// gone altogether if it should have none.
func (s *brokerSide) settled(t *testing.T, name string, partitions int) bool {
	t.Helper()
	rt := s.metadata(t, name).Topics[0]
	if rt.ErrorCode == 0 {
		for _, p := range rt.Partitions {
			if p.Leader != 0 {
				return false
			}
		}
		s.learn(name, rt.TopicID)
		return len(rt.Partitions) == partitions
	}
	if partitions > 0 {
		return false
	}
	create := versioned(kmsg.NewPtrCreateTopicsRequest(), 7)
	create.ValidateOnly, create.TimeoutMillis = true, 1000
	ct := kmsg.NewCreateTopicsRequestTopic()
	ct.Topic, ct.NumPartitions, ct.ReplicationFactor = name, 1, 1
	create.Topics = append(create.Topics, ct)
	resp, err := s.ask(request{req: create, client: "settle"})
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode != 36 // marked for deletion
}

// recent stands for a time of this test, in place of the time itself.
const recent int64 = 1

func sharedTime(ms int64) int64 {
	if time.Since(time.UnixMilli(ms)).Abs() < 5*time.Minute {
		return recent
	}
	return ms
}

// In texts for people: a time, and a record as Java prints it.
var (
	longNumber  = regexp.MustCompile(`\d{11,}`)
	javaMessage = regexp.MustCompile(
		`type in message .*\. Producer|Record .*'s magic|assignment found: .*`)
)

func shareText(text *string) {
	if text != nil {
		*text = javaMessage.ReplaceAllString(longNumber.ReplaceAllString(*text, "N"), "R")
	}
}

// share puts an answer into shared terms.
func (s *brokerSide) share(resp kmsg.Response) {
	switch r := resp.(type) {
	case *kmsg.ProduceResponse:
		s.shareProduce(r)
	case *kmsg.FetchResponse:
		s.shareFetch(r)
	case *kmsg.MetadataResponse:
		if r.ClusterID != nil {
			*r.ClusterID = "cluster"
		}
		for i := range r.Brokers {
			r.Brokers[i].Port = 9092
		}
		for i := range r.Topics {
			t := &r.Topics[i]
			if t.Topic != nil {
				s.learn(*t.Topic, t.TopicID)
			}
			s.shareID(&t.TopicID)
			slices.SortFunc(t.Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int {
				return cmp.Compare(a.Partition, b.Partition)
			})
		}
		sortByName(r.Topics, func(t *kmsg.MetadataResponseTopic) string { return text(t.Topic) })
	case *kmsg.CreateTopicsResponse:
		for i := range r.Topics {
			s.learn(r.Topics[i].Topic, r.Topics[i].TopicID)
			s.shareID(&r.Topics[i].TopicID)
			shareText(r.Topics[i].ErrorMessage)
			sortByName(r.Topics[i].Configs,
				func(c *kmsg.CreateTopicsResponseTopicConfig) string { return c.Name })
		}
	case *kmsg.DescribeConfigsResponse:
		for i := range r.Resources {
			configs := r.Resources[i].Configs
			sortByName(configs,
				func(c *kmsg.DescribeConfigsResponseResourceConfig) string { return c.Name })
			for j := range configs {
				if configs[j].Documentation != nil {
					*configs[j].Documentation = "in the words of each"
				}
			}
		}
	case *kmsg.DeleteTopicsResponse:
		for i := range r.Topics {
			s.shareID(&r.Topics[i].TopicID)
		}
	case *kmsg.ListOffsetsResponse:
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				p := &r.Topics[i].Partitions[j]
				p.Timestamp = sharedTime(p.Timestamp)
			}
		}
	case *kmsg.InitProducerIDResponse:
		if r.ProducerID >= 0 {
			r.ProducerID = 1
		}
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// sortByName sorts what comes from Apache in the order of hash tables.
func sortByName[T any](list []T, name func(*T) string) {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(name(&a), name(&b)) })
}

func (s *brokerSide) shareID(id *[16]byte) {
	if shared, ok := s.shared[*id]; ok {
		*id = shared
	}
}

func (s *brokerSide) shareProduce(r *kmsg.ProduceResponse) {
	for i := range r.Brokers {
		r.Brokers[i].Port = 9092
	}
	sortByName(r.Topics, func(t *kmsg.ProduceResponseTopic) string { return t.Topic })
	for i := range r.Topics {
		partitions := r.Topics[i].Partitions
		slices.SortFunc(partitions, func(a, b kmsg.ProduceResponseTopicPartition) int {
			return cmp.Compare(a.Partition, b.Partition)
		})
		for j := range partitions {
			p := &partitions[j]
			p.LogAppendTime = sharedTime(p.LogAppendTime)
			shareText(p.ErrorMessage)
			for k := range p.ErrorRecords {
				shareText(p.ErrorRecords[k].ErrorMessage)
			}
		}
	}
}

func (s *brokerSide) shareFetch(r *kmsg.FetchResponse) {
	for i := range r.Brokers {
		r.Brokers[i].Port = 9092
	}
	for i := range r.Topics {
		s.shareID(&r.Topics[i].TopicID)
		for j := range r.Topics[i].Partitions {
			// Beside an error Apache's broker has null at times, which old clients cannot read.
			if p := &r.Topics[i].Partitions[j]; p.RecordBatches == nil {
				p.RecordBatches = []byte{}
			}
		}
	}
	if r.SessionID == 0 {
		return
	}
	n := slices.Index(s.sessions, r.SessionID)
	if n < 0 {
		n = len(s.sessions)
		s.sessions = append(s.sessions, r.SessionID)
	}
	r.SessionID = int32(n + 1)
}
