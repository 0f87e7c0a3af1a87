//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// requests makes up requests. They follow from the seed and from what Apache's broker answers,
// which is the same in every run.
type requests struct {
	r        *rand.Rand
	now      int64
	ends     map[place]int64 // log ends
	writers  map[writer]*sequences
	sessions []*fetchSession
	admin    map[string]int // topics of the admin requests and their partitions
	born     map[string]int // how many topics of that name there were
}

// place is a partition.
type place struct {
	topic string
	index int32
}

func newRequests(r *rand.Rand, now time.Time) *requests {
	return &requests{r: r, now: now.UnixMilli(), ends: map[place]int64{},
		writers: map[writer]*sequences{}, admin: map[string]int{}, born: map[string]int{}}
}

func (g *requests) chance(percent int) bool { return g.r.IntN(100) < percent }

func one[T any](g *requests, of ...T) T { return of[g.r.IntN(len(of))] }

// The topics that are written to. Batches in the exact ones keep their bytes, or are rebuilt
// without compression, so that every broker has the same byte where a limit cuts; the others are
// read without limits.
var (
	exactTopics = map[string]map[string]string{
		"plain": {},
		"small": {"max.message.bytes": "200"},
		"seg":   {"segment.bytes": "1000", "index.interval.bytes": "100"},
		"stamp": {"message.timestamp.type": "LogAppendTime"},
		"keys":  {"cleanup.policy": "compact"},
		"times": {"message.timestamp.before.max.ms": "3600000",
			"message.timestamp.after.max.ms": "3600000"},
	}
	looseTopics = map[string]map[string]string{
		"old":    {},
		"odd":    {"message.timestamp.type": "LogAppendTime"},
		"none":   {"compression.type": "uncompressed"},
		"gzip":   {"compression.type": "gzip"},
		"snappy": {"compression.type": "snappy"},
		"lz4":    {"compression.type": "lz4"},
		"zstd":   {"compression.type": "zstd"},
		"oldkey": {"cleanup.policy": "compact"},
	}
	exactNames = []string{"plain", "plain", "plain", "small", "seg", "stamp", "keys", "times"}
	looseNames = []string{"old", "odd", "none", "gzip", "snappy", "lz4", "zstd", "oldkey"}
)

const recordPartitions = 3

func recordTopics() []string { return slices.Concat(exactNames[2:], looseNames) }

// topics is the request that makes the topics.
func (g *requests) topics() request {
	req := versioned(kmsg.NewPtrCreateTopicsRequest(), 7)
	req.TimeoutMillis = 20000
	for _, name := range recordTopics() {
		ct := kmsg.NewCreateTopicsRequestTopic()
		ct.Topic, ct.NumPartitions, ct.ReplicationFactor = name, recordPartitions, 1
		configs := exactTopics[name]
		if configs == nil {
			configs = looseTopics[name]
		}
		configs["retention.ms"] = "-1" // records may be as old as they like
		for key, value := range configs {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = key, &value
			ct.Configs = append(ct.Configs, c)
		}
		req.Topics = append(req.Topics, ct)
	}
	return request{req: req, text: "prepare"}
}

func (g *requests) next() request {
	var q request
	switch n := g.r.IntN(100); {
	case n < 42:
		q = g.produce()
	case n < 70:
		q = g.fetch()
	case n < 77:
		q = g.listOffsets()
	case n < 80:
		q = g.offsetForLeaderEpoch()
	case n < 84:
		q = g.metadata()
	case n < 86:
		q = g.initProducerID()
	default:
		q = g.administer()
	}
	if q.client == "" {
		q.client = one(g, "diff", "diff", "diff", "", "__admin_client")
	}
	if g.chance(1) {
		q.cut = 1 + g.r.IntN(6)
		q.silent = false
	}
	return q
}

// answered takes note of what the brokers have now.
func (g *requests) answered(q request, resp kmsg.Response) {
	switch r := resp.(type) {
	case *kmsg.ProduceResponse:
		g.produced(q, r)
	case *kmsg.FetchResponse:
		g.fetched(q, r)
	case *kmsg.CreateTopicsResponse:
		req := q.req.(*kmsg.CreateTopicsRequest)
		for i, t := range r.Topics {
			if (t.ErrorCode == 0 || t.ErrorCode == 7) && !req.ValidateOnly && settleable(t.Topic) {
				g.admin[t.Topic] = created(&req.Topics[i])
				g.born[t.Topic]++
			}
		}
	case *kmsg.CreatePartitionsResponse:
		req := q.req.(*kmsg.CreatePartitionsRequest)
		for i, t := range r.Topics {
			if (t.ErrorCode == 0 || t.ErrorCode == 7) && !req.ValidateOnly {
				g.admin[t.Topic] = int(req.Topics[i].Count)
			}
		}
	case *kmsg.MetadataResponse:
		for _, t := range r.Topics {
			if t.Topic != nil && settleable(*t.Topic) && t.ErrorCode == 5 {
				g.admin[*t.Topic] = autoPartitions
				g.born[*t.Topic]++
			}
		}
	case *kmsg.DeleteTopicsResponse:
		for _, t := range r.Topics {
			if t.Topic != nil && (t.ErrorCode == 0 || t.ErrorCode == 7) {
				delete(g.admin, *t.Topic)
			}
		}
	}
}

// autoPartitions is num.partitions of both brokers.
const autoPartitions = 2

// created is how many partitions a topic has that was created as asked.
func created(t *kmsg.CreateTopicsRequestTopic) int {
	switch {
	case len(t.ReplicaAssignment) > 0:
		return len(t.ReplicaAssignment)
	case t.NumPartitions == -1:
		return autoPartitions
	}
	return int(t.NumPartitions)
}

// somewhere picks a partition, at times one that is not there.
func (g *requests) somewhere() place {
	names := exactNames
	if g.chance(30) {
		names = looseNames
	}
	p := place{names[g.r.IntN(len(names))], int32(g.r.IntN(recordPartitions))}
	if g.chance(3) {
		p.topic = one(g, "nope", "", "a/b", "__consumer_offsets", "no.pe")
	}
	if g.chance(3) {
		p.index = one[int32](g, -1, recordPartitions, 99, 1<<31-1)
	}
	return p
}

// id is the shared id of a topic, of one that was never there at times. It is never zero, which
// Apache's broker stumbles over in sessions.
func (g *requests) id(topic string) [16]byte {
	if g.chance(2) {
		return sharedID("no "+topic, 1)
	}
	return sharedID(topic, max(1, g.born[topic]))
}

// offset is around the log of a partition.
func (g *requests) offset(p place) int64 {
	end := g.ends[p]
	switch g.r.IntN(12) {
	case 0:
		return 0
	case 1:
		return end
	case 2:
		return end + 1
	case 3:
		return one[int64](g, -1, -2, 1<<62, 1000)
	}
	return g.r.Int64N(end + 1)
}

func (g *requests) leaderEpoch() int32 {
	return one[int32](g, -1, -1, -1, -1, -1, 0, 0, 1, -2, 1<<31-1)
}

// version picks one of the versions of an API that a 3.9 broker offers, the newest ones more often.
func (g *requests) version(newest int) int16 {
	if g.chance(20) {
		return int16(newest)
	}
	return int16(g.r.IntN(newest + 1))
}

func (g *requests) text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + g.r.IntN(4))
	}
	return b
}

func describe(format string, args ...any) string { return fmt.Sprintf(format, args...) }
