// Package host owns the partitions of a broker: it opens the log dirs, runs the shard loops that
// own the partition machines and perform their effects, keeps the timers of retention, flushing and
// checkpoints, and carries out what the controller orders (it implements metastore.Broker).
//
// Threading: a fixed number of shard goroutines; each partition belongs to one shard, and only that
// shard appends to its log or steps its machine. Readers never enter a shard: they use offsets that
// the shard publishes atomically, and spans of the log.
package host

import (
	"context"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/config"
	"zkafka/kafkad/errcode"
)

// TP names a partition.
type TP struct {
	Topic     string
	Partition int32
}

// Options configure a Host. The zero value of a field means upstream's default where there is one.
type Options struct {
	NodeID      int32
	ClusterID   string
	BrokerEpoch func() int64 // for the clean shutdown file; nil = unknown
	Dirs        []string     // log.dirs
	Shards      int          // 0 = GOMAXPROCS

	Topic       config.Topic                         // defaults of the broker
	TopicConfig func(topic string) map[string]string // overrides that hold now; nil = none
	Broker      *config.Config                       // intervals and limits; nil = defaults

	Log      *zap.Logger
	OnStatus func(text string) // progress of recovery, for the service manager; may be nil
	// OnFatal is called once, from a goroutine of the host, when no log dir works any more.
	OnFatal func(error)
	Now     func() time.Time // nil = time.Now
}

// Host is the broker's set of partitions.
type Host struct {
	opts Options
}

// Open locks and opens the log dirs and recovers all logs. Partitions serve nobody before
// LeaderAndIsr.
func Open(ctx context.Context, opts Options) (*Host, error) { return &Host{opts: opts}, nil }

// Close refuses new work, flushes, writes checkpoints and the clean shutdown files.
func (h *Host) Close() error { return nil }

// Append writes whole v2 batches, built by this broker, to a partition it leads; their offsets and
// leader epoch are set in place. acks and timeout are as in Produce (acks 1 or -1). The error is an
// errcode.Code.
func (h *Host) Append(
	ctx context.Context, tp TP, batches []byte, acks int16, timeout time.Duration,
) (base int64, err error) {
	return -1, errcode.UnknownTopicOrPartition
}

// Read appends whole batches of a partition this broker leads to dst, from the one that holds
// offset up to the high watermark, at most about maxBytes but at least one batch. It returns dst
// unchanged at the high watermark. The error is an errcode.Code.
func (h *Host) Read(tp TP, offset int64, maxBytes int, dst []byte) ([]byte, error) {
	return dst, errcode.UnknownTopicOrPartition
}

// Offsets tells where a partition that this broker leads begins and ends.
func (h *Host) Offsets(tp TP) (Offsets, error) {
	return Offsets{}, errcode.UnknownTopicOrPartition
}

// Offsets are the limits of a partition: LogStart ≤ LastStable ≤ HighWatermark ≤ LogEnd.
type Offsets struct {
	LogStart, LastStable, HighWatermark, LogEnd int64
	LeaderEpoch                                 int32
}

// Leadership is a change of this broker's role for a partition. Leader is true when it became
// leader (again, if Epoch grew), false when it stopped being it. Deleted says the log is gone.
type Leadership struct {
	TP      TP
	Leader  bool
	Deleted bool
	Epoch   int32
}

// OnLeadership has f called for every change in the partitions of topic. Calls come one at a time
// in the order the controller decided, before the controller gets its answer: f must not block
// and must not call back into Host's control methods. Register before the store starts.
func (h *Host) OnLeadership(topic string, f func(Leadership)) {}

// OnTopicsGone has f called with topics that the cluster deleted, so that group offsets of them can
// be dropped. Register before the store starts; f must not block.
func (h *Host) OnTopicsGone(f func(topics []string)) {}

// LeaderAndIsr implements metastore.Broker.
func (h *Host) LeaderAndIsr(req *cluster.LeaderAndIsr) cluster.LeaderAndIsrResult {
	return cluster.LeaderAndIsrResult{}
}

// StopReplica implements metastore.Broker.
func (h *Host) StopReplica(req *cluster.StopReplica) cluster.StopReplicaResult {
	return cluster.StopReplicaResult{}
}

// UpdateMetadata implements metastore.Broker.
func (h *Host) UpdateMetadata(req *cluster.UpdateMetadata, gone []string) {}

// TopicConfigChanged implements metastore.Broker.
func (h *Host) TopicConfigChanged(topic string, overrides map[string]string) {}

// BrokerConfigChanged implements metastore.Broker.
func (h *Host) BrokerConfigChanged(dynamic map[string]string) {}
