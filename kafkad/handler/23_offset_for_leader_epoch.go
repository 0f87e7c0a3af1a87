package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/errcode"
)

// OffsetForLeaderEpoch (23), versions 0 to 4: where the records of a leader's epoch end, so that a
// follower or consumer can tell whether it read something that was lost in a failover.

func (h *Handlers) handleOffsetForLeaderEpoch(
	_ context.Context, _ *Conn, req *kmsg.OffsetForLeaderEpochRequest,
) kmsg.Response {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for j := range t.Partitions {
			q := &t.Partitions[j]
			r := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			r.Partition = q.Partition
			p := h.Host.LookupName(t.Topic, q.Partition)
			code := h.mayLead(p, t.Topic, q.Partition, q.CurrentLeaderEpoch)
			r.ErrorCode = int16(code)
			if code == errcode.None {
				r.LeaderEpoch, r.EndOffset = p.Log().EndOffsetFor(q.LeaderEpoch)
			}
			rt.Partitions = append(rt.Partitions, r)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
