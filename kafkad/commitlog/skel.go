package commitlog

import (
	"io"
	"time"

	"zkafka/kafkad/producer"
)

// Meta is the content of meta.properties.
type Meta struct {
	BrokerID    int32 // -1 while unknown
	ClusterID   string
	DirectoryID string // kept if present (3.7 and later)
}

// Dir is one log directory, locked by this process.
type Dir struct{}

// OpenDir locks the directory, reads meta.properties and the checkpoints, opens the index, and notes
// whether the last stop was clean. Logs are opened by Open.
func OpenDir(o Options) (*Dir, error) { return &Dir{}, nil }

// Path is the directory's path.
func (d *Dir) Path() string { return "" }

// Clean says that the last process stopped cleanly, so that Open scans nothing.
func (d *Dir) Clean() bool { return false }

// LastBrokerEpoch is the broker epoch the last clean stop left, -1 if unknown.
func (d *Dir) LastBrokerEpoch() int64 { return -1 }

// Meta returns meta.properties as it was read, BrokerID -1 and ClusterID "" if there was none.
func (d *Dir) Meta() Meta { return Meta{} }

// SetMeta writes meta.properties if it changed.
func (d *Dir) SetMeta(m Meta) error { return nil }

// Existing lists the partitions whose directories exist, sorted by topic and partition.
func (d *Dir) Existing() []TopicPartition { return nil }

// Count is the number of partitions in the directory, for placing new ones.
func (d *Dir) Count() int { return 0 }

// Fewest returns the directory with the fewest partitions, where a new one goes.
func Fewest(dirs []*Dir) *Dir { return nil }

// Open opens a partition's log, recovering it after an unclean stop, or creates it. It may be called
// by several goroutines for different partitions. An unclean open cuts the log at the first bad
// batch after the recovery point.
func (d *Dir) Open(tp TopicPartition, c Config) (*Log, error) { return &Log{}, nil }

// Checkpoint writes the recovery points, log starts and high watermarks of all open logs, and the
// leader epochs that changed. The host calls it every minute or so; any goroutine may.
func (d *Dir) Checkpoint() error { return nil }

// Sweep unlinks the files and directories whose file.delete.delay.ms is over. The host calls it from
// a timer; any goroutine may.
func (d *Dir) Sweep(now time.Time) error { return nil }

// Close flushes and closes all logs, writes checkpoints and producer snapshots and then the clean
// shutdown file with the broker's epoch (-1 if unknown). No Log may be used any more.
func (d *Dir) Close(brokerEpoch int64) error { return nil }

// Abandon lets go of the lock, the index and the files without writing anything, as a killed process
// would; for tests and for a directory that failed.
func (d *Dir) Abandon() {}

// Log is the log of one partition.
type Log struct{}

// TopicPartition names the partition.
func (l *Log) TopicPartition() TopicPartition { return TopicPartition{} }

// Dir is the directory that holds the log.
func (l *Log) Dir() *Dir { return nil }

// Created says that Open made the log new.
func (l *Log) Created() bool { return false }

// TopicID is the id in partition.metadata, zero if unknown.
func (l *Log) TopicID() [16]byte { return [16]byte{} }

// SetTopicID writes partition.metadata if there is none yet.
func (l *Log) SetTopicID(id [16]byte) error { return nil }

// Append writes whole batches, offsets and leader epoch already in their headers, at the end of the
// log: one pwrite of b, which is neither kept nor copied. It rolls the segment first when size, time
// or offset range ask for it, keeps the epoch cache and index, and moves End. The first offset must be
// >= End (a gap is allowed). The caller has checked CRCs and calls Producers().Update itself, after
// Append. On error nothing was appended.
func (l *Log) Append(b []byte, nowMs int64) error { return nil }

// Start is the log start offset.
func (l *Log) Start() int64 { return 0 }

// End is the log end offset: the offset the next record gets.
func (l *Log) End() int64 { return 0 }

// Size is the number of bytes in all segments.
func (l *Log) Size() int64 { return 0 }

// ActiveBase is the base offset of the active segment.
func (l *Log) ActiveBase() int64 { return 0 }

// HighWatermark is the high watermark as last set, after Open the one of the checkpoint.
func (l *Log) HighWatermark() int64 { return 0 }

// SetHighWatermark notes the partition's high watermark for the next checkpoint.
func (l *Log) SetHighWatermark(hw int64) {}

// Producers is the state that belongs to the log's end; the writer's own.
func (l *Log) Producers() *producer.State { return nil }

// Span is a region of one segment file that holds batches: the answer to a read. It keeps the file
// open until Release. The zero Span is empty.
type Span struct{}

// Read finds the batches from the one that holds the offset (so it may begin before it) up to
// maxBytes and below upTo (high watermark, last stable offset or End). With minOne the first batch
// comes whole even if it is larger than maxBytes; otherwise the last one may be cut, as Kafka
// does. An offset between upTo and End yields an empty span, outside Start..End ErrOutOfRange.
func (l *Log) Read(offset int64, maxBytes int, upTo int64, minOne bool) (Span, error) {
	return Span{}, nil
}

// Len is the number of bytes.
func (s Span) Len() int { return 0 }

// WriteTo writes the bytes to w, with sendfile if w is a socket (syscall.Conn) and the file a real one.
func (s Span) WriteTo(w io.Writer) (int64, error) { return 0, nil }

// AppendTo appends the bytes to dst.
func (s Span) AppendTo(dst []byte) ([]byte, error) { return dst, nil }

// Release lets the file go; it must be called once for every Span that Read returned.
func (s Span) Release() {}

// OffsetForTime finds the first record whose timestamp is >= ts: its offset, timestamp and leader
// epoch (-1 unknown); found is false if there is none.
func (l *Log) OffsetForTime(ts int64) (at TimedOffset, found bool, err error) {
	return TimedOffset{}, false, nil
}

// MaxTimestamp finds the record with the highest timestamp, the first if several have it.
func (l *Log) MaxTimestamp() (at TimedOffset, found bool, err error) {
	return TimedOffset{}, false, nil
}

// TimedOffset is the answer to a search by time.
type TimedOffset struct {
	Offset      int64
	Timestamp   int64
	LeaderEpoch int32
}

// SegmentBases returns the base offsets and modification times of the segments, oldest first, for
// ListOffsets v0.
func (l *Log) SegmentBases() []SegmentInfo { return nil }

// SegmentInfo is one segment for ListOffsets v0.
type SegmentInfo struct {
	Base     int64
	Size     int64
	Modified time.Time
}

// Flush makes everything appended so far durable. Concurrent calls share one sync: a call that
// finds its data already synced by another returns at once.
func (l *Log) Flush() error { return nil }

// Flushed is the recovery point: everything below it is durable.
func (l *Log) Flushed() int64 { return 0 }

// Unflushed is the number of offsets after Flushed, to compare with Config.FlushMessages.
func (l *Log) Unflushed() int64 { return 0 }

// Truncate cuts everything at and above the offset, index, epochs and producer state too, and makes
// the cut durable.
func (l *Log) Truncate(to int64) error { return nil }

// TruncateAndStartAt removes everything and continues with an empty log at the offset.
func (l *Log) TruncateAndStartAt(offset int64) error { return nil }

// Retain removes old segments by retention.ms, retention.bytes and log start, none that reaches
// above the high watermark, and returns how many.
func (l *Log) Retain(nowMs, highWatermark int64) (int, error) { return 0, nil }

// SetStart raises the log start offset (DeleteRecords, or a follower that obeys its leader).
func (l *Log) SetStart(offset int64) error { return nil }

// Config returns the settings in force.
func (l *Log) Config() Config { return Config{} }

// SetConfig changes the settings.
func (l *Log) SetConfig(c Config) {}

// AssignEpoch notes that a leader of this epoch starts at the offset; older or equal epochs change
// nothing. A new leader calls it with End; Append does it for the epochs it sees in batches.
func (l *Log) AssignEpoch(epoch int32, start int64) {}

// LatestEpoch is the newest epoch in the cache, -1 if none.
func (l *Log) LatestEpoch() int32 { return -1 }

// EndOffsetFor answers OffsetForLeaderEpoch: the largest epoch <= the requested one and the offset
// where the next one starts; -1, -1 if unknown.
func (l *Log) EndOffsetFor(epoch int32) (int32, int64) { return -1, -1 }

// EpochAt is the epoch of the record at the offset by the cache, -1 if unknown.
func (l *Log) EpochAt(offset int64) int32 { return -1 }

// Epochs returns the cache, oldest first; the slice must not be changed.
func (l *Log) Epochs() []EpochEntry { return nil }

// Delete renames the partition's directory out of the way, drops its index and leaves the unlinking
// to Sweep. Readers that hold a Span may finish.
func (l *Log) Delete() error { return nil }
