// Package commitlog keeps the logs of partitions in log directories: Apache Kafka's own files as
// the truth, a pebble index beside them as a help that may be lost at any time.
//
// Owners: a Dir is opened and closed by the host. A Log has one writer at a time, the shard that
// owns the partition: Append, Truncate, Retain, SetStart, SetConfig, Delete, Producers and
// everything that changes the leader epochs are its own. All other methods, Read and Flush among
// them, may be called by any goroutine at any time and never wait for the writer. The package
// starts no goroutine.
//
// Invariants: start <= high watermark <= end; flushed <= end; the batches of a segment lie at
// rising offsets from its base; everything below the flushed offset survives a power cut.
package commitlog

import (
	"errors"
	"fmt"
	"math"

	"zkafka/kafkad/disk"

	"go.uber.org/zap"
)

// TP names a partition.
type TP struct {
	Topic     string
	Partition int32
}

// TopicPartition is the long name of TP.
type TopicPartition = TP

// String spells it as its directory is called.
func (t TP) String() string { return fmt.Sprintf("%s-%d", t.Topic, t.Partition) }

// Config is the part of a topic's settings that its log obeys. Start from DefaultConfig.
type Config struct {
	SegmentBytes       int64 // segment.bytes
	SegmentMs          int64 // segment.ms
	SegmentJitterMs    int64 // segment.jitter.ms
	IndexIntervalBytes int64 // index.interval.bytes
	RetentionMs        int64 // retention.ms, -1 for ever
	RetentionBytes     int64 // retention.bytes, -1 without limit
	Delete             bool  // cleanup.policy contains delete
	Compact            bool  // cleanup.policy contains compact
	FlushMessages      int64 // flush.messages
	FlushMs            int64 // flush.ms
	FileDeleteDelayMs  int64 // file.delete.delay.ms
	Preallocate        bool  // preallocate
}

// DefaultConfig returns upstream's defaults.
func DefaultConfig() Config {
	return Config{
		SegmentBytes: 1 << 30, SegmentMs: 7 * 24 * 3600 * 1000, IndexIntervalBytes: 4096,
		RetentionMs: 7 * 24 * 3600 * 1000, RetentionBytes: -1, Delete: true,
		FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64, FileDeleteDelayMs: 60000,
	}
}

// Errors of this package, to be compared with errors.Is.
var (
	// ErrOutOfRange: the offset is below the log start or above the log end (Kafka's code 1).
	ErrOutOfRange = errors.New("offset out of range")
	// ErrClosed: the log was closed or deleted.
	ErrClosed = errors.New("log is closed")
	// ErrLocked: another process holds the log directory.
	ErrLocked = errors.New("log directory is in use")
	// ErrStorage wraps what the disk said; the directory should be taken offline (Kafka's code 56).
	ErrStorage = errors.New("storage error")
)

// Options says how to open a log directory.
type Options struct {
	FS   disk.FS // nil means the operating system's
	Path string  // must exist or be creatable
	Log  *zap.Logger
	Seed uint64 // of the jitter of segment.jitter.ms and of the names of deleted directories
}

// EpochEntry is one line of the leader epoch cache: the epoch's leader began at the offset.
type EpochEntry struct {
	Epoch int32
	Start int64
}
