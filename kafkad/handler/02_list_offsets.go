package handler

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/host"
)

// ListOffsets (2), versions 0 to 9. Version 0 asks for segment boundaries by modification time,
// later ones for the first record at or after a time, or for one of the special times below.
// Consumers see nothing at or above the high watermark (last stable offset, if read_committed).

// Special timestamps.
const (
	latestTime    = -1
	earliestTime  = -2
	maxTimestamp  = -3 // from version 7
	earliestLocal = -4 // from version 8: nothing is tiered here, so the earliest
	latestTiered  = -5 // from version 9: there is none
)

func (h *Handlers) handleListOffsets(
	_ context.Context, _ *Conn, req *kmsg.ListOffsetsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrListOffsetsResponse()
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for j := range t.Partitions {
			rt.Partitions = append(rt.Partitions, h.listOffsets(req, t.Topic, &t.Partitions[j]))
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (h *Handlers) listOffsets(
	req *kmsg.ListOffsetsRequest, topic string, q *kmsg.ListOffsetsRequestTopicPartition,
) kmsg.ListOffsetsResponseTopicPartition {
	r := kmsg.NewListOffsetsResponseTopicPartition()
	r.Partition = q.Partition
	if !timestampKnown(q.Timestamp, req.Version) {
		r.ErrorCode = int16(errcode.UnsupportedVersion)
		return r
	}
	p := h.Host.LookupName(topic, q.Partition)
	if code := h.mayLead(p, topic, q.Partition, q.CurrentLeaderEpoch); code != errcode.None {
		r.ErrorCode = int16(code)
		return r
	}
	o := p.Offsets()
	end := o.HighWatermark
	switch {
	case req.ReplicaID >= 0:
		end = o.LogEnd
	case req.IsolationLevel == 1:
		end = o.LastStable
	}
	if req.Version == 0 {
		r.OldStyleOffsets = oldOffsets(p.Log(), q.Timestamp, int(q.MaxNumOffsets), end)
		return r
	}
	behind := req.ReplicaID < 0 && o.HighWatermark < p.EpochStart()
	switch q.Timestamp {
	case latestTime:
		if behind {
			r.ErrorCode = notAvailable(req.Version)
			return r
		}
		r.Offset, r.LeaderEpoch = end, o.LeaderEpoch
	case earliestTime, earliestLocal:
		r.Offset, r.LeaderEpoch = o.LogStart, p.Log().EpochAt(o.LogStart)
	case latestTiered:
		r.Offset = -1
	case maxTimestamp:
		at, found, err := p.Log().MaxTimestamp()
		timed(&r, req.Version, at, found, err, p, end, behind)
	default:
		at, found, err := p.Log().OffsetForTime(q.Timestamp)
		timed(&r, req.Version, at, found, err, p, end, behind)
	}
	return r
}

// timestampKnown tells whether the version has a meaning for the timestamp.
func timestampKnown(timestamp int64, version int16) bool {
	switch timestamp {
	case maxTimestamp:
		return version >= 7
	case earliestLocal:
		return version >= 8
	case latestTiered:
		return version >= 9
	}
	return timestamp >= earliestTime
}

// timed fills in the answer to a search by time: a hit that the client may not see yet is none.
func timed(
	r *kmsg.ListOffsetsResponseTopicPartition, version int16, at commitlog.TimedOffset,
	found bool, err error, p *host.Partition, end int64, behind bool,
) {
	switch {
	case err != nil:
		r.ErrorCode = int16(errcode.Of(p.Fault(err)))
	case found && at.Offset < end:
		r.Offset, r.Timestamp, r.LeaderEpoch = at.Offset, at.Timestamp, at.LeaderEpoch
	case behind:
		r.ErrorCode = notAvailable(version)
	default:
		r.Offset, r.Timestamp = -1, -1
	}
}

// notAvailable answers for a new leader whose high watermark has not reached its epoch's start.
func notAvailable(version int16) int16 {
	if version >= 5 {
		return int16(errcode.OffsetNotAvailable)
	}
	return int16(errcode.LeaderNotAvailable)
}

// oldOffsets answers version 0: up to limit offsets, newest first, of segments that were last
// changed at or before the time, and of all before those. The log end counts as a boundary after
// the newest segment, of now.
func oldOffsets(l *commitlog.Log, timestamp int64, limit int, end int64) []int64 {
	segments := l.Segments()
	if len(segments) == 0 || limit <= 0 {
		return []int64{}
	}
	if timestamp == earliestTime {
		return []int64{l.Start()}
	}
	out := []int64{}
	found := timestamp == latestTime
	last := segments[len(segments)-1]
	if last.Size > 0 && (found || time.Now().UnixMilli() <= timestamp) {
		found = true
		out = append(out, end)
	}
	for i := len(segments) - 1; i >= 0 && len(out) < limit; i-- {
		s := segments[i]
		if found = found || s.Modified.UnixMilli() <= timestamp; found {
			out = append(out, max(s.Base, l.Start()))
		}
	}
	return out[:min(len(out), limit)]
}
