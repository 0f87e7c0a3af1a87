package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/host"
)

// DescribeLogDirs (35), versions 0 to 4: what lies where and how big it is. No list of topics means
// all; dirs that are offline have an error and nothing else.

func (h *Handlers) handleDescribeLogDirs(
	_ context.Context, _ *Conn, req *kmsg.DescribeLogDirsRequest,
) kmsg.Response {
	var wanted map[host.TP]bool
	if req.Topics != nil {
		wanted = map[host.TP]bool{}
		for _, t := range req.Topics {
			for _, p := range t.Partitions {
				wanted[host.TP{Topic: t.Topic, Partition: p}] = true
			}
		}
	}
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	for _, d := range h.Host.LogDirs() {
		r := kmsg.NewDescribeLogDirsResponseDir()
		r.Dir, r.TotalBytes, r.UsableBytes = d.Path, d.TotalBytes, d.UsableBytes
		if d.Offline {
			r.ErrorCode = int16(errcode.KafkaStorageError)
			resp.Dirs = append(resp.Dirs, r)
			continue
		}
		for _, p := range d.Partitions { // sorted by topic
			if wanted != nil && !wanted[p.TP] {
				continue
			}
			n := len(r.Topics)
			if n == 0 || r.Topics[n-1].Topic != p.TP.Topic {
				t := kmsg.NewDescribeLogDirsResponseDirTopic()
				t.Topic = p.TP.Topic
				r.Topics = append(r.Topics, t)
				n++
			}
			q := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
			q.Partition, q.Size, q.OffsetLag = p.TP.Partition, p.Size, p.Lag
			r.Topics[n-1].Partitions = append(r.Topics[n-1].Partitions, q)
		}
		resp.Dirs = append(resp.Dirs, r)
	}
	return resp
}
