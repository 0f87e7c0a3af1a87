// Package host owns the partitions of a broker: it opens the log dirs, runs the partition machines
// and performs their effects, keeps the timers of retention, flushing and checkpoints, and carries
// out what the controller orders (it implements metastore.Broker).
//
// Threading: a partition has one owner at a time, see owner.go. Readers are never owners: they use
// offsets that the owner publishes atomically, and spans of the log. A few flushers sync logs whose
// acks wait for the disk, one janitor goroutine runs the timers; nobody waits for them.
package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sync/atomic"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/config"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/partition"
	"zkafka/kafkad/record"
)

// Options configure a Host.
type Options struct {
	NodeID      int32
	ClusterID   string
	BrokerEpoch func() int64   // of the registration; nil = unknown
	Config      *config.Config // limits, intervals and topic defaults; nil = upstream's defaults
	// TopicConfig gives the overrides that hold for a topic now; nil = none.
	TopicConfig func(topic string) map[string]string

	Log      *zap.Logger
	OnStatus func(text string) // progress of recovery, for the service manager; may be nil
	// OnFatal is called from a goroutine of the host when no log dir works any more. It must not
	// call Close itself.
	OnFatal func(error)
	// OnDirFailed is called likewise when a log dir failed and others work, after its partitions
	// answer KAFKA_STORAGE_ERROR. It must not call back into Host before it returns; may be nil.
	OnDirFailed func()
	Now         func() time.Time // nil = time.Now
}

// Host is the broker's set of partitions.
type Host struct {
	opts   Options
	log    *zap.Logger
	dirs   *DirSet
	tables atomic.Pointer[tables]

	defaults atomic.Pointer[config.Topic] // broker defaults with the dynamic ones applied

	control         sync.Mutex // one control request at a time
	stopped         bool       // control requests come too late
	controllerEpoch int32
	listeners       map[string][]func(Leadership)
	onGone          []func([]string)

	flushQueue flushQueue
	failures   chan *commitlog.Dir

	mu     sync.Mutex
	failed map[*commitlog.Dir]error

	enter  sync.RWMutex // held by requests in flight; Close takes it
	closed bool

	stop     chan struct{}
	flushers sync.WaitGroup
	janitors sync.WaitGroup
}

// Open recovers all logs of the dirs and starts the timers. Partitions serve nobody before
// LeaderAndIsr. On error the dirs are let go.
func Open(ctx context.Context, dirs *DirSet, opts Options) (*Host, error) {
	if opts.Config == nil {
		opts.Config = config.Default()
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	h := &Host{
		opts: opts, log: opts.Log, dirs: dirs,
		listeners: map[string][]func(Leadership){},
		failures:  make(chan *commitlog.Dir, len(dirs.dirs)),
		failed:    map[*commitlog.Dir]error{},
		stop:      make(chan struct{}),
	}
	h.flushQueue.init()
	h.tables.Store(&tables{
		byName: map[string]*topicParts{}, byID: map[cluster.TopicID]*topicParts{},
	})
	defaults := opts.Config.Topic
	h.defaults.Store(&defaults)
	err := dirs.setMeta(opts.NodeID, opts.ClusterID)
	if err == nil {
		err = h.recoverLogs(ctx)
	}
	if err != nil {
		dirs.Abandon()
		return nil, err
	}
	h.start()
	return h, nil
}

func (h *Host) start() {
	for range flushWorkers {
		h.flushers.Go(h.flushLoop)
	}
	h.janitors.Go(h.janitor)
	h.janitors.Go(h.watchFailures)
}

// Close refuses new appends, waits for those under way, and closes the log dirs: logs are flushed,
// checkpoints and the clean shutdown files written. Callers have ended waiting requests before.
func (h *Host) Close() error {
	h.enter.Lock()
	again := h.closed
	h.closed = true
	h.enter.Unlock()
	if again {
		return nil
	}
	h.control.Lock()
	h.stopped = true
	h.control.Unlock()
	h.mu.Lock()
	close(h.stop)
	h.mu.Unlock()
	h.janitors.Wait()
	h.flushQueue.close()
	h.flushers.Wait()
	for _, p := range h.all() {
		p.own(func() { // whoever still waits is told to go elsewhere
			p.machine.Stop()
			p.publish()
		})
	}
	epoch := int64(-1)
	if h.opts.BrokerEpoch != nil {
		epoch = h.opts.BrokerEpoch()
	}
	var errs []error
	for _, d := range h.dirs.dirs {
		if _, failed := h.failed[d]; failed {
			d.Abandon()
			continue
		}
		if err := d.Close(epoch); err != nil {
			errs = append(errs, fmt.Errorf("close log dir %s: %w", d.Path(), err))
		}
	}
	return errors.Join(errs...)
}

// Alive shows that no partition hangs: each lets itself be owned in turn, or is at its disk, whose
// slowness is no reason to kill a broker. A host that is closing counts as alive.
func (h *Host) Alive(ctx context.Context) error {
	for _, p := range h.all() {
		if err := p.answers(ctx); err != nil {
			return err
		}
	}
	return nil
}

// answers waits until the partition could be owned, or is seen at its disk.
func (p *Partition) answers(ctx context.Context) error {
	for !p.mu.TryLock() {
		if p.atDisk.Load() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is stuck: %w", p.TP, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	p.mu.Unlock()
	return nil
}

func (h *Host) nowMillis() int64 { return h.opts.Now().UnixMilli() }

func (h *Host) logFor(p *Partition) *zap.Logger {
	return h.log.With(zap.String("TOPIC", p.TP.Topic), zap.Int32("PARTITION", p.TP.Partition))
}

// openPartition opens or creates a log and makes the replica for it.
func (h *Host) openPartition(d *commitlog.Dir, tp TP) (*Partition, error) {
	settings := h.topicSettings(tp.Topic)
	log, err := d.Open(tp, settings.log)
	if err != nil {
		return nil, err
	}
	p := &Partition{TP: tp, host: h, log: log}
	p.complete = p.completed
	p.settings.Store(settings)
	p.machine = partition.New(h.opts.NodeID, log.Start(), log.End(), log.HighWatermark(),
		log.Producers(), settings.machine)
	p.leader.Store(cluster.NoLeader)
	p.role.Store(uint64(uint32(p.machine.Epoch())))
	p.high.Store(p.machine.HighWatermark())
	p.stable.Store(p.machine.LastStable())
	return p, nil
}

// topicSettings are the settings of a topic as they hold now.
func (h *Host) topicSettings(topic string) *Settings {
	var overrides map[string]string
	if h.opts.TopicConfig != nil {
		overrides = h.opts.TopicConfig(topic)
	}
	return h.settingsWith(topic, overrides)
}

func (h *Host) settingsWith(topic string, overrides map[string]string) *Settings {
	t, errs := h.defaults.Load().WithStored(overrides)
	for _, err := range errs {
		h.log.Warn("topic setting in ZooKeeper is ignored",
			zap.String("TOPIC", topic), zap.Error(err))
	}
	return newSettings(t)
}

// Append writes whole v2 batches, built by this broker, to a partition it leads; their offsets and
// leader epoch are set in place. acks and timeout are as in Produce (acks 1 or -1). The error is an
// errcode.Code.
func (h *Host) Append(
	ctx context.Context, tp TP, batches []byte, acks int16, timeout time.Duration,
) (base int64, err error) {
	p := h.lookup(tp)
	if p == nil {
		return -1, errcode.UnknownTopicOrPartition
	}
	if len(batches) < record.HeaderSize {
		return -1, errcode.CorruptMessage
	}
	q := NewProduce()
	q.Reset(1, acks)
	q.Internal = true
	q.Submit(0, p, batches)
	q.Wait(ctx, timeout)
	return q.Items[0].Base, q.Items[0].Err.Err()
}

// wholeBatches is the length of the batches that are completely in b.
func wholeBatches(b []byte) int {
	n := 0
	for len(b)-n >= record.LogOverhead {
		size := record.EntrySize(b[n:])
		if size <= record.LogOverhead || size > len(b)-n {
			break
		}
		n += size
	}
	return n
}

// Read appends whole batches of a partition this broker leads to dst, from the one that holds
// offset up to the log end (which for a new leader may lie above the high watermark), at most about
// maxBytes but at least one batch. It returns dst unchanged at the log end. The error is an
// errcode.Code.
func (h *Host) Read(tp TP, offset int64, maxBytes int, dst []byte) ([]byte, error) {
	p := h.lookup(tp)
	if p == nil {
		return dst, errcode.UnknownTopicOrPartition
	}
	if code := p.CheckLeader(-1); code != errcode.None {
		return dst, code
	}
	span, err := p.Read(offset, maxBytes, p.log.End(), true)
	if err != nil {
		return dst, err
	}
	defer span.Release()
	start := len(dst)
	if dst, err = span.AppendTo(dst); err != nil {
		return dst[:start], p.readError(err)
	}
	return dst[:start+wholeBatches(dst[start:])], nil
}

// Offsets tells where a partition that this broker leads begins and ends.
func (h *Host) Offsets(tp TP) (Offsets, error) {
	p := h.lookup(tp)
	if p == nil {
		return Offsets{}, errcode.UnknownTopicOrPartition
	}
	if code := p.CheckLeader(-1); code != errcode.None {
		return Offsets{}, code
	}
	return p.Offsets(), nil
}

// Offsets are the limits of a partition: LogStart ≤ LastStable ≤ HighWatermark ≤ LogEnd.
type Offsets struct {
	LogStart, LastStable, HighWatermark, LogEnd int64
	LeaderEpoch                                 int32
}
