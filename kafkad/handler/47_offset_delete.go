package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

// OffsetDelete (47), version 0. Offsets of topics that the members of a group consume stay.

func (h *Handlers) handleOffsetDelete(
	ctx context.Context, _ *Conn, req *kmsg.OffsetDeleteRequest,
) kmsg.Response {
	resp := kmsg.NewPtrOffsetDeleteResponse()
	image := h.Store.Image()
	var tps []group.TopicPartition
	var codes []*int16 // where the codes of tps go
	resp.Topics = make([]kmsg.OffsetDeleteResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, rt := &req.Topics[i], &resp.Topics[i]
		rt.Topic = t.Topic
		rt.Partitions = make([]kmsg.OffsetDeleteResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			p, rp := t.Partitions[j].Partition, &rt.Partitions[j]
			rp.Partition = p
			if !partitionExists(image, t.Topic, p) {
				rp.ErrorCode = int16(errcode.UnknownTopicOrPartition)
				continue
			}
			tps = append(tps, group.TopicPartition{Topic: t.Topic, Partition: p})
			codes = append(codes, &rp.ErrorCode)
		}
	}
	results, code := h.Groups.Coordinator.DeleteOffsets(ctx, req.Group, tps)
	if code != errcode.None {
		resp.ErrorCode, resp.Topics = int16(code), nil
		return resp
	}
	for i, c := range results {
		*codes[i] = int16(c)
	}
	return resp
}
