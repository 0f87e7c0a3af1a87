package host

import (
	"math"

	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/config"
	"zkafka/kafkad/partition"
	"zkafka/kafkad/record"
)

// Settings are a topic's settings in the forms that its users want. Immutable; all partitions of a
// topic share one.
type Settings struct {
	Topic config.Topic
	// Rules are for record.Check; NowMs and the partition are to be filled in.
	Rules record.Rules

	log     commitlog.Config
	machine partition.Settings
}

func newSettings(t config.Topic) *Settings {
	s := &Settings{Topic: t}
	codec, ok := record.ParseCodec(t.CompressionType)
	if !ok {
		codec = record.Producer
	}
	s.Rules = record.Rules{
		MaxBatchBytes: t.MaxMessageBytes, MaxSetBytes: t.SegmentBytes, Compression: codec,
		GzipLevel: t.CompressionGzipLevel, LZ4Level: t.CompressionLz4Level,
		ZstdLevel: t.CompressionZstdLevel,
		Compacted: t.Compact(), LogAppendTime: t.LogAppendTime(),
		BeforeMaxMs: t.TimestampBeforeMaxMillis, AfterMaxMs: t.TimestampAfterMaxMillis,
	}
	s.log = commitlog.Config{
		SegmentBytes: int64(t.SegmentBytes), SegmentMs: t.SegmentMillis,
		SegmentJitterMs: t.SegmentJitterMillis, IndexIntervalBytes: int64(t.IndexIntervalBytes),
		RetentionMs: t.RetentionMillis, RetentionBytes: t.RetentionBytes, Delete: t.Delete(),
		Compact:       t.Compact(),
		FlushMessages: t.FlushMessages, FlushMs: t.FlushMillis,
		FileDeleteDelayMs: t.FileDeleteDelayMillis, Preallocate: t.Preallocate,
	}
	s.machine = partition.Settings{MinInsyncReplicas: t.MinInsyncReplicas}
	if t.FlushMessages < math.MaxInt64 {
		s.machine.FlushMessages = t.FlushMessages
	}
	return s
}
