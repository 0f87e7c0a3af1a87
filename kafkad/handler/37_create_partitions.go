package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/metastore"
)

// CreatePartitions (37), versions 0 to 3. Count is the new total. The answer waits for the new
// partitions' leaders, like CreateTopics. A topic named twice is answered once, with an error.
func (h *Handlers) handleCreatePartitions(
	ctx context.Context, _ *Conn, req *kmsg.CreatePartitionsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrCreatePartitionsResponse()
	answer := func(topic string, code errcode.Code, message string) {
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = topic, int16(code), nullable(message)
		resp.Topics = append(resp.Topics, rt)
	}
	count := map[string]int{}
	for i := range req.Topics {
		count[req.Topics[i].Topic]++
	}
	totals := map[string]int32{}
	var topics []metastore.NewPartitions
	for i := range req.Topics {
		q := &req.Topics[i]
		switch {
		case !h.Meta.Topics.IsController():
			answer(q.Topic, errcode.NotController, "")
		case count[q.Topic] < 0: // answered already
		case count[q.Topic] > 1:
			count[q.Topic] = -1
			answer(q.Topic, errcode.InvalidRequest, "Duplicate topic in request.")
		default:
			totals[q.Topic] = q.Count
			topics = append(topics, requestedPartitions(q))
		}
	}
	results := h.Meta.Topics.CreatePartitions(ctx, topics, req.ValidateOnly)
	if !req.ValidateOnly {
		h.awaitTopics(ctx, req.TimeoutMillis, results,
			func(im *cluster.Image, r *metastore.TopicResult) bool {
				return led(im, r.Name, totals[r.Name])
			})
	}
	for _, r := range results {
		answer(r.Name, r.Err, r.Message)
	}
	return resp
}

func requestedPartitions(q *kmsg.CreatePartitionsRequestTopic) metastore.NewPartitions {
	p := metastore.NewPartitions{Name: q.Topic, Count: q.Count}
	if q.Assignment == nil {
		return p
	}
	p.Assignment = [][]int32{}
	for _, a := range q.Assignment {
		p.Assignment = append(p.Assignment, a.Replicas)
	}
	return p
}
