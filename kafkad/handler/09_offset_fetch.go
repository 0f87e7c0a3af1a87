package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

// OffsetFetch (9), versions 0 to 9. Version 0 reads from ZooKeeper. From version 2 null topics
// mean all offsets, from version 8 one request may ask for many groups. Before version 2 there is
// no error of the group, so each partition carries it.

func (h *Handlers) handleOffsetFetch(
	ctx context.Context, _ *Conn, req *kmsg.OffsetFetchRequest,
) kmsg.Response {
	resp := kmsg.NewPtrOffsetFetchResponse()
	if req.Version >= 8 {
		resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(req.Groups))
		for i := range req.Groups {
			resp.Groups[i] = h.fetchGroupOffsets(&req.Groups[i], req.RequireStable)
		}
		return resp
	}
	var tps []group.TopicPartition
	if req.Topics != nil || req.Version < 2 {
		tps = []group.TopicPartition{}
	}
	for i := range req.Topics {
		for _, p := range req.Topics[i].Partitions {
			tps = append(tps, group.TopicPartition{Topic: req.Topics[i].Topic, Partition: p})
		}
	}
	var offsets []group.FetchedOffset
	code := errcode.None
	if req.Version == 0 {
		offsets = h.fetchFromZooKeeper(ctx, req.Group, tps)
	} else {
		offsets, code = h.Groups.Coordinator.Fetch(req.Group, tps, req.RequireStable)
	}
	if code != errcode.None {
		resp.ErrorCode = int16(code)
		if req.Version < 2 {
			for _, tp := range tps {
				offsets = append(offsets, group.FetchedOffset{
					TopicPartition: tp, Offset: -1, LeaderEpoch: -1, Err: code,
				})
			}
		}
	}
	for i := range offsets {
		o := &offsets[i]
		if i == 0 || o.Topic != offsets[i-1].Topic {
			t := kmsg.NewOffsetFetchResponseTopic()
			t.Topic = o.Topic
			resp.Topics = append(resp.Topics, t)
		}
		t := &resp.Topics[len(resp.Topics)-1]
		p := kmsg.NewOffsetFetchResponseTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch = o.Partition, o.Offset, o.LeaderEpoch
		p.Metadata, p.ErrorCode = &o.Metadata, int16(o.Err)
		t.Partitions = append(t.Partitions, p)
	}
	return resp
}

func (h *Handlers) fetchGroupOffsets(
	req *kmsg.OffsetFetchRequestGroup, requireStable bool,
) kmsg.OffsetFetchResponseGroup {
	resp := kmsg.NewOffsetFetchResponseGroup()
	resp.Group = req.Group
	var tps []group.TopicPartition
	if req.Topics != nil {
		tps = []group.TopicPartition{}
	}
	for i := range req.Topics {
		for _, p := range req.Topics[i].Partitions {
			tps = append(tps, group.TopicPartition{Topic: req.Topics[i].Topic, Partition: p})
		}
	}
	offsets, code := h.Groups.Coordinator.Fetch(req.Group, tps, requireStable)
	resp.ErrorCode = int16(code)
	for i := range offsets {
		o := &offsets[i]
		if i == 0 || o.Topic != offsets[i-1].Topic {
			t := kmsg.NewOffsetFetchResponseGroupTopic()
			t.Topic = o.Topic
			resp.Topics = append(resp.Topics, t)
		}
		t := &resp.Topics[len(resp.Topics)-1]
		p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch = o.Partition, o.Offset, o.LeaderEpoch
		p.Metadata, p.ErrorCode = &o.Metadata, int16(o.Err)
		t.Partitions = append(t.Partitions, p)
	}
	return resp
}

func (h *Handlers) fetchFromZooKeeper(
	ctx context.Context, groupID string, tps []group.TopicPartition,
) []group.FetchedOffset {
	image := h.Store.Image()
	out := make([]group.FetchedOffset, len(tps))
	for i, tp := range tps {
		o := group.FetchedOffset{TopicPartition: tp, Offset: -1, LeaderEpoch: -1}
		switch {
		case h.Groups.OldOffsets == nil:
			o.Err = errcode.UnsupportedVersion
		case !partitionExists(image, tp.Topic, tp.Partition):
			o.Err = errcode.UnknownTopicOrPartition
		default:
			offset, ok, err := h.Groups.OldOffsets.ConsumerOffset(
				ctx, groupID, tp.Topic, tp.Partition)
			switch {
			case err != nil:
				h.log().Warn("offset could not be read from ZooKeeper",
					zap.String("GROUP", groupID), zap.String("TOPIC", tp.Topic), zap.Error(err))
				o.Err = errcode.UnknownServerError
			case !ok:
				o.Err = errcode.UnknownTopicOrPartition // what "none stored" was called then
			default:
				o.Offset = offset
			}
		}
		out[i] = o
	}
	return out
}
