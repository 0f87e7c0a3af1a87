//go:build interop

package interop

import (
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchSession is a session that both brokers granted, in shared terms.
type fetchSession struct {
	id     int32
	epoch  int32 // of the next request
	ids    bool  // by topic id
	places []place
}

// limits are how much a fetch may return.
type limits struct{ all, each int32 }

// fetch is a Fetch request, with or without session.
func (g *requests) fetch() request {
	req := versioned(kmsg.NewPtrFetchRequest(), g.version(17))
	req.ReplicaID, req.MaxBytes, req.IsolationLevel = -1, math.MaxInt32, int8(g.r.IntN(2))
	req.MaxWaitMillis, req.MinBytes = 0, one[int32](g, 0, 1, 1, 1000)
	req.SessionEpoch = -1
	if g.chance(3) {
		req.MaxWaitMillis = 20
	}
	if g.chance(2) {
		req.IsolationLevel = one[int8](g, 2, -1)
	}
	if g.chance(3) {
		req.Rack = string(g.text(2))
	}
	q := request{req: req, text: "no session"}
	if req.Version >= 7 && g.chance(60) {
		q.text = g.inSession(req)
		return q
	}
	var places []place
	for range one(g, 1, 1, 1, 2, 3, 5) {
		places = append(places, g.somewhere())
	}
	g.ask(req, distinct(places))
	return q
}

func distinct(places []place) (out []place) {
	for _, p := range places {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// ask adds the partitions to the request, and limits that all brokers cut alike: what is left for
// a partition behind one whose last batch was cut differs by that piece.
func (g *requests) ask(req *kmsg.FetchRequest, places []place) {
	l := limits{math.MaxInt32, 1 << 20}
	// Old versions get no more than the size of the batches that were converted, which are fewer if
	// the index knows where one ends.
	exact := !slices.ContainsFunc(places, func(p place) bool {
		return exactTopics[p.topic] == nil || req.Version < 4 && p.topic == "seg"
	})
	if exact && g.chance(50) {
		l.each = one(g, 0, 1, 11, 12, 17, 60, 61, 80, 100, g.r.Int32N(300), g.r.Int32N(3000))
	}
	if exact && g.chance(25) {
		l.all = one[int32](g, 0, 1, 12, 50)
		if len(places) == 1 {
			l.all = one(g, l.all, g.r.Int32N(300), g.r.Int32N(3000))
		}
	}
	if g.chance(1) {
		l.each = one[int32](g, -1, math.MinInt32)
	}
	if g.chance(1) {
		l.all = one[int32](g, -1, math.MinInt32)
	}
	req.MaxBytes = l.all
	for _, p := range places {
		i := len(req.Topics) - 1
		if i < 0 || req.Topics[i].Topic != p.topic {
			rt := kmsg.NewFetchRequestTopic()
			rt.Topic, rt.TopicID = p.topic, g.id(p.topic)
			req.Topics = append(req.Topics, rt)
			i++
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p.index, g.offset(p), l.each
		rp.CurrentLeaderEpoch = g.leaderEpoch()
		if g.chance(20) {
			rp.LastFetchedEpoch = one[int32](g, 0, 0, 0, 1, 5, -2)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
}

// inSession makes the request one of a fetch session.
func (g *requests) inSession(req *kmsg.FetchRequest) string {
	if len(g.sessions) == 0 || g.chance(15) {
		req.SessionEpoch = 0
		if len(g.sessions) > 0 && g.chance(40) {
			req.SessionID = g.sessions[g.r.IntN(len(g.sessions))].id
		}
		var places []place
		for range one(g, 0, 1, 2, 4, 6) {
			places = append(places, g.somewhere())
		}
		g.ask(req, distinct(places))
		return "new session"
	}
	s := g.sessions[len(g.sessions)-1-g.r.IntN(min(len(g.sessions), 4))]
	req.SessionID, req.SessionEpoch = s.id, s.epoch
	if ids := req.Version >= 13; ids != s.ids && !g.chance(5) {
		req.Version = 7 + int16(g.r.IntN(6))
		if s.ids {
			req.Version = 13 + int16(g.r.IntN(5))
		}
	}
	switch g.r.IntN(25) {
	case 0:
		req.SessionEpoch = one(g, s.epoch+1, max(1, s.epoch-1), math.MaxInt32)
	case 1:
		req.SessionEpoch = -1
	case 2:
		req.SessionID = one[int32](g, 999_999, -1)
	}
	var places, forgotten []place
	for range one(g, 0, 0, 1, 1, 2, 3) {
		if len(s.places) > 0 && g.chance(60) {
			places = append(places, s.places[g.r.IntN(len(s.places))])
		} else {
			places = append(places, g.somewhere())
		}
	}
	places = distinct(places)
	for range one(g, 0, 0, 0, 1, 1, 2) {
		p := g.somewhere()
		if len(s.places) > 0 && g.chance(80) {
			p = s.places[g.r.IntN(len(s.places))]
		}
		if !slices.Contains(places, p) && !slices.Contains(forgotten, p) {
			forgotten = append(forgotten, p)
		}
	}
	g.ask(req, places)
	req.MaxBytes = math.MaxInt32
	for _, p := range forgotten {
		f := kmsg.NewFetchRequestForgottenTopic()
		f.Topic, f.TopicID, f.Partitions = p.topic, g.id(p.topic), []int32{p.index}
		req.ForgottenTopics = append(req.ForgottenTopics, f)
	}
	return "session"
}

// fetched follows the sessions.
func (g *requests) fetched(q request, resp *kmsg.FetchResponse) {
	req := q.req.(*kmsg.FetchRequest)
	for _, t := range resp.Topics {
		name := t.Topic
		if name == "" {
			name = strings.TrimRight(string(t.TopicID[:14]), " ")
		}
		for _, p := range t.Partitions {
			at := place{name, p.Partition}
			g.ends[at] = max(g.ends[at], p.HighWatermark)
		}
	}
	if req.Version < 7 || resp.ErrorCode != 0 {
		return
	}
	if req.SessionEpoch <= 0 && req.SessionID > 0 {
		g.sessions = slices.DeleteFunc(g.sessions, func(s *fetchSession) bool {
			return s.id == req.SessionID
		})
	}
	i := slices.IndexFunc(g.sessions, func(s *fetchSession) bool { return s.id == resp.SessionID })
	var s *fetchSession
	switch {
	case resp.SessionID == 0:
		return
	case i < 0:
		s = &fetchSession{id: resp.SessionID, epoch: 1, ids: req.Version >= 13}
		g.sessions = append(g.sessions, s)
	default:
		s = g.sessions[i]
		s.epoch++
	}
	for _, f := range req.ForgottenTopics {
		s.places = slices.DeleteFunc(s.places, func(p place) bool {
			return p.topic == f.Topic && slices.Contains(f.Partitions, p.index)
		})
	}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			s.places = append(s.places, place{t.Topic, p.Partition})
		}
	}
	s.places = distinct(s.places)
}

// listOffsets asks for one to three partitions.
func (g *requests) listOffsets() request {
	req := versioned(kmsg.NewPtrListOffsetsRequest(), g.version(9))
	req.ReplicaID, req.IsolationLevel = -1, int8(g.r.IntN(2))
	var places []place
	for range one(g, 1, 1, 2, 3) {
		places = append(places, g.somewhere())
	}
	for _, p := range distinct(places) {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.CurrentLeaderEpoch = p.index, g.leaderEpoch()
		rp.MaxNumOffsets = one[int32](g, 1, 1, 2, 10, 0)
		rp.Timestamp = one(g, -1, -1, -2, -2, -3, -4, -5, -6, -100, 0, 1, g.now, g.now-1000,
			g.now-500+g.r.Int64N(1000), g.now+1000, g.now+7200_000, 1_600_000_000_000,
			math.MaxInt64)
		// When a file or a record was stamped is a matter of luck, and so which has the highest time.
		stamped := p.topic == "stamp" || p.topic == "odd"
		if req.Version == 0 && rp.Timestamp > 0 || stamped && rp.Timestamp > 1 {
			rp.Timestamp = one(g, 1, int64(1)<<50)
		}
		if stamped && rp.Timestamp == -3 {
			rp.Timestamp = -2
		}
		i := len(req.Topics) - 1
		if i < 0 || req.Topics[i].Topic != p.topic {
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = p.topic
			req.Topics = append(req.Topics, rt)
			i++
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	return request{req: req}
}

func (g *requests) offsetForLeaderEpoch() request {
	req := versioned(kmsg.NewPtrOffsetForLeaderEpochRequest(), g.version(4))
	req.ReplicaID = one[int32](g, -1, -1, -2)
	var places []place
	for range one(g, 1, 1, 2, 3) {
		places = append(places, g.somewhere())
	}
	for _, p := range distinct(places) {
		rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		rp.Partition, rp.CurrentLeaderEpoch = p.index, g.leaderEpoch()
		rp.LeaderEpoch = one[int32](g, -1, 0, 0, 0, 1, 2, -2, math.MaxInt32)
		i := len(req.Topics) - 1
		if i < 0 || req.Topics[i].Topic != p.topic {
			rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
			rt.Topic = p.topic
			req.Topics = append(req.Topics, rt)
			i++
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	return request{req: req}
}

func (g *requests) initProducerID() request {
	req := versioned(kmsg.NewPtrInitProducerIDRequest(), g.version(5))
	req.TransactionTimeoutMillis = one[int32](g, 0, 60000, -1, math.MaxInt32)
	if g.chance(30) {
		req.ProducerID, req.ProducerEpoch = one[int64](g, 5, -1, 0), one[int16](g, 0, -1, 7)
	}
	return request{req: req}
}
