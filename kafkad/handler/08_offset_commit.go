package handler

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

// OffsetCommit (8), versions 0 to 9. Version 0 stores in ZooKeeper. Version 1 carries a commit
// timestamp, versions 2 to 4 a retention of the offsets' own. Partitions the cluster does not
// know are refused here; the coordinator judges the rest.

func (h *Handlers) handleOffsetCommit(
	ctx context.Context, _ *Conn, req *kmsg.OffsetCommitRequest,
) kmsg.Response {
	resp := kmsg.NewPtrOffsetCommitResponse()
	image, now := h.Store.Image(), time.Now().UnixMilli()
	expire := int64(-1)
	if req.Version >= 2 && req.Version <= 4 && req.RetentionTimeMillis != -1 {
		expire = now + req.RetentionTimeMillis
	}
	commit := group.CommitRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: optional(req.InstanceID),
		Generation: req.Generation,
	}
	var codes []*int16 // where the codes of commit.Offsets go
	resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, rt := &req.Topics[i], &resp.Topics[i]
		rt.Topic = t.Topic
		rt.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			p, rp := &t.Partitions[j], &rt.Partitions[j]
			rp.Partition = p.Partition
			if !partitionExists(image, t.Topic, p.Partition) {
				rp.ErrorCode = int16(errcode.UnknownTopicOrPartition)
				continue
			}
			o := group.OffsetCommit{
				TopicPartition: group.TopicPartition{Topic: t.Topic, Partition: p.Partition},
				Offset: group.Offset{
					Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: optional(p.Metadata),
					CommitTimestamp: now, ExpireTimestamp: expire,
				},
			}
			if req.Version == 1 && p.Timestamp != -1 {
				o.CommitTimestamp = p.Timestamp
			}
			commit.Offsets = append(commit.Offsets, o)
			codes = append(codes, &rp.ErrorCode)
		}
	}
	if len(commit.Offsets) == 0 {
		return resp
	}
	store := h.Groups.Coordinator.Commit
	if req.Version == 0 {
		store = h.commitToZooKeeper
	}
	for i, code := range store(ctx, &commit) {
		*codes[i] = int16(code)
	}
	return resp
}

func (h *Handlers) commitToZooKeeper(
	ctx context.Context, commit *group.CommitRequest,
) []errcode.Code {
	codes := make([]errcode.Code, len(commit.Offsets))
	for i := range commit.Offsets {
		o := &commit.Offsets[i]
		if h.Groups.OldOffsets == nil {
			codes[i] = errcode.UnsupportedVersion
			continue
		}
		err := h.Groups.OldOffsets.SetConsumerOffset(
			ctx, commit.Group, o.Topic, o.Partition, o.Offset.Offset)
		if err != nil {
			h.log().Warn("offset could not be stored in ZooKeeper",
				zap.String("GROUP", commit.Group), zap.String("TOPIC", o.Topic), zap.Error(err))
			codes[i] = errcode.UnknownServerError
		}
	}
	return codes
}
