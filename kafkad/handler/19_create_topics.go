package handler

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/config"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/metastore"
)

// CreateTopics (19), versions 0 to 7. Counts of -1 (officially from version 4, accepted always)
// mean the broker's defaults. The answer waits until every partition has a leader; when the time
// is up, or was 0, it says REQUEST_TIMED_OUT although the topic was created. From version 5 the
// response has the topic's counts and configuration, from 7 its id.
func (h *Handlers) handleCreateTopics(
	ctx context.Context, _ *Conn, req *kmsg.CreateTopicsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrCreateTopicsResponse()
	resp.Topics = make([]kmsg.CreateTopicsResponseTopic, len(req.Topics))
	count := map[string]int{}
	for i := range req.Topics {
		count[req.Topics[i].Topic]++
	}
	asked := map[string]int{} // name -> position in the response
	var good, bad []metastore.NewTopic
	faults := map[string]string{} // name -> what is wrong with its configuration
	for i := range req.Topics {
		q, rt := &req.Topics[i], &resp.Topics[i]
		*rt = kmsg.NewCreateTopicsResponseTopic()
		rt.Topic = q.Topic
		rt.Configs = []kmsg.CreateTopicsResponseTopicConfig{} // empty, never null, as upstream
		switch {
		case !h.Meta.Topics.IsController():
			failTopic(rt, errcode.NotController, "")
		case count[q.Topic] > 1:
			failTopic(rt, errcode.InvalidRequest, "Found multiple entries for this topic.")
		}
		if rt.ErrorCode != 0 {
			continue
		}
		topic, fault := h.requestedTopic(q, rt)
		if rt.ErrorCode != 0 {
			continue
		}
		asked[q.Topic] = i
		if fault != "" {
			faults[q.Topic] = fault
			bad = append(bad, topic)
			continue
		}
		good = append(good, topic)
	}
	// A bad configuration counts only if nothing else is wrong with the topic.
	for _, r := range h.Meta.Topics.CreateTopics(ctx, bad, true) {
		rt := &resp.Topics[asked[r.Name]]
		failTopic(rt, errcode.InvalidConfig, faults[r.Name])
		if r.Err != errcode.None {
			failTopic(rt, r.Err, r.Message)
		}
	}
	results := h.Meta.Topics.CreateTopics(ctx, good, req.ValidateOnly)
	h.awaitCreated(ctx, req, results)
	for i, r := range results {
		rt := &resp.Topics[asked[r.Name]]
		rt.TopicID = r.ID
		if r.Err != errcode.None {
			failTopic(rt, r.Err, r.Message)
			continue
		}
		if req.Version < 5 {
			continue // these fields are not in the response, nor worth computing
		}
		rt.NumPartitions, rt.ReplicationFactor = r.Partitions, r.ReplicationFactor
		rt.Configs = createdConfigs(h.Meta.Config, good[i].Config)
	}
	return resp
}

func failTopic(rt *kmsg.CreateTopicsResponseTopic, code errcode.Code, message string) {
	rt.ErrorCode, rt.ErrorMessage = int16(code), nullable(message)
}

// requestedTopic translates one topic of the request; it fails rt for contradictions. fault is
// what is wrong with the configuration, "" if nothing.
func (h *Handlers) requestedTopic(
	q *kmsg.CreateTopicsRequestTopic, rt *kmsg.CreateTopicsResponseTopic,
) (topic metastore.NewTopic, fault string) {
	t := metastore.NewTopic{
		Name: q.Topic, Partitions: q.NumPartitions, ReplicationFactor: q.ReplicationFactor,
		Config: map[string]string{},
	}
	var nulls string
	for _, c := range q.Configs {
		if c.Value == nil {
			if nulls != "" {
				nulls += ","
			}
			nulls += c.Name
			continue
		}
		t.Config[c.Name] = *c.Value
	}
	if nulls != "" {
		// As in a Kafka broker, an existing topic comes before its configuration.
		if h.Store.Image().Topic(q.Topic) == nil {
			failTopic(rt, errcode.InvalidConfig,
				"Null value not supported for topic configs: "+nulls)
			return t, ""
		}
	}
	if len(q.ReplicaAssignment) > 0 {
		if q.NumPartitions != -1 || q.ReplicationFactor != -1 {
			failTopic(rt, errcode.InvalidRequest, "Both numPartitions or replicationFactor and "+
				"replicasAssignments were set. Both cannot be used at the same time.")
			return t, ""
		}
		t.Assignment = map[int32][]int32{}
		for _, a := range q.ReplicaAssignment {
			t.Assignment[a.Partition] = a.Replicas
		}
	}
	if t.Partitions == -1 {
		t.Partitions = int32(h.Meta.Config.NumPartitions)
	}
	if t.ReplicationFactor == -1 {
		t.ReplicationFactor = int16(h.Meta.Config.DefaultReplicationFactor)
	}
	if _, err := config.ParseTopicOverrides(t.Config); err != nil {
		return t, err.Error()
	}
	return t, ""
}

// awaitCreated waits until the topics that were created have leaders, and turns those that do
// not in time into timeouts.
func (h *Handlers) awaitCreated(
	ctx context.Context, req *kmsg.CreateTopicsRequest, results []metastore.TopicResult,
) {
	if req.ValidateOnly {
		return
	}
	h.awaitTopics(ctx, req.TimeoutMillis, results,
		func(im *cluster.Image, r *metastore.TopicResult) bool {
			return led(im, r.Name, r.Partitions)
		})
}

// awaitTopics waits until done holds for every result without error, at most millis, and gives
// those for which it does not hold then REQUEST_TIMED_OUT. Without time nobody looks, as upstream.
func (h *Handlers) awaitTopics(
	ctx context.Context, millis int32, results []metastore.TopicResult,
	done func(*cluster.Image, *metastore.TopicResult) bool,
) {
	late := func(im *cluster.Image) bool {
		for i := range results {
			if r := &results[i]; r.Err == errcode.None && !done(im, r) {
				return true
			}
		}
		return false
	}
	if millis > 0 {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(millis)*time.Millisecond)
		defer cancel()
		if h.Meta.Topics.Await(ctx, func(im *cluster.Image) bool { return !late(im) }) == nil {
			return
		}
	}
	im := h.Store.Image()
	for i := range results {
		r := &results[i]
		if r.Err == errcode.None && (millis <= 0 || !done(im, r)) {
			r.Err, r.Message = errcode.RequestTimedOut, ""
		}
	}
}

func createdConfigs(
	c *config.Config, overrides map[string]string,
) []kmsg.CreateTopicsResponseTopicConfig {
	entries := config.DescribeTopic(c, overrides)
	list := make([]kmsg.CreateTopicsResponseTopicConfig, len(entries))
	for i, e := range entries {
		rc := kmsg.NewCreateTopicsResponseTopicConfig()
		rc.Name, rc.Value, rc.ReadOnly = e.Name, e.Value, e.ReadOnly
		rc.Source, rc.IsSensitive = int8(e.Source), e.Sensitive
		list[i] = rc
	}
	return list
}
