// Package coordinator runs the group machines (kafkad/group): one per partition of
// __consumer_offsets that this broker leads. It replays a partition's log when the broker
// becomes its leader, gives requests and time to the machines, and performs their effects:
// appends records and wakes the requests that wait.
//
// Threading: requests run on their callers' goroutines, under the lock of the partition's shard.
// Appends do not hold the lock: whoever finds records queued and nobody writing takes all of
// them, appends them as one batch and reports the outcome to the machine, so that commits that
// come while an append waits for its replicas share the next one. One goroutine keeps the
// deadlines of all machines; loads and left-over writes run on goroutines that Close waits for.
package coordinator

import (
	"context"
	"errors"
	"sync"
	"time"
	"unicode/utf16"

	"go.uber.org/zap"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

// Log is the part of the broker that keeps the partitions of __consumer_offsets. Errors are
// errcode.Codes.
type Log interface {
	// Append appends records with the given timestamp and waits as offsets.commit.required.acks
	// and offsets.commit.timeout.ms say. It returns the offset of the first record.
	Append(
		ctx context.Context, partition int32, records []group.Record, millis int64,
	) (int64, error)
	// Replay gives all records of the partition to l.
	Replay(ctx context.Context, partition int32, l *group.Loader) error
}

// Options configure a Coordinator.
type Options struct {
	Group group.Config
	// Partitions returns how many partitions __consumer_offsets has, or will have.
	Partitions func() int32
	Store      Log
	Log        *zap.Logger // nil = silent
	// RetryLoad is the pause after a replay that failed; 0 = one second.
	RetryLoad time.Duration
}

// maxBatchBytes bounds how much of the queue one append takes. A single request may be larger.
const maxBatchBytes = 256 << 10

// parallelLoads bounds how many partitions are replayed at a time.
const parallelLoads = 4

// Coordinator is the broker's group coordinator.
type Coordinator struct {
	opts Options
	log  *zap.Logger

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	kick   chan struct{} // a deadline came closer
	loads  chan struct{} // one slot per load that runs

	mu     sync.RWMutex
	shards map[int32]*shard
	closed bool
}

// New starts a coordinator that leads nothing yet.
func New(opts Options) *Coordinator {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.RetryLoad == 0 {
		opts.RetryLoad = time.Second
	}
	c := &Coordinator{
		opts: opts, log: opts.Log, shards: map[int32]*shard{},
		kick: make(chan struct{}, 1), loads: make(chan struct{}, parallelLoads),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.wg.Go(c.keepDeadlines)
	return c
}

// Close sends everybody who waits to another coordinator and ends all goroutines. Appends that
// run are waited for.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	shards := c.allLocked()
	c.mu.Unlock()
	for _, s := range shards {
		s.unload()
	}
	c.cancel()
	c.wg.Wait()
}

// start runs f on a counted goroutine, unless the coordinator is closed.
func (c *Coordinator) start(f func()) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

func (c *Coordinator) allLocked() []*shard {
	out := make([]*shard, 0, len(c.shards))
	for _, s := range c.shards {
		out = append(out, s)
	}
	return out
}

func (c *Coordinator) all() []*shard {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.allLocked()
}

// shard returns the shard of a partition; create says to make it if there is none.
func (c *Coordinator) shard(partition int32, create bool) *shard {
	c.mu.RLock()
	s := c.shards[partition]
	c.mu.RUnlock()
	if s != nil || !create {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s = c.shards[partition]; s == nil {
		s = newShard(c, partition)
		c.shards[partition] = s
	}
	return s
}

// PartitionFor returns the partition of __consumer_offsets that a group lives in: the hash that
// Java gives the group's name in UTF-16, modulo the number of partitions.
func (c *Coordinator) PartitionFor(groupID string) int32 {
	return PartitionOf(groupID, c.opts.Partitions())
}

// PartitionOf is PartitionFor for a topic of n partitions.
func PartitionOf(key string, n int32) int32 {
	if n <= 0 {
		return 0
	}
	return hash(key) % n
}

func hash(s string) int32 {
	var h int32
	for _, r := range s {
		if r >= 0x10000 {
			hi, lo := utf16.EncodeRune(r)
			h = 31*(31*h+hi) + lo
			continue
		}
		h = 31*h + r
	}
	if h < 0 {
		h = -h
	}
	if h < 0 { // the smallest number has no positive twin; Kafka takes 0
		return 0
	}
	return h
}

// Elected says that this broker became leader of a partition of __consumer_offsets in that
// epoch. It returns at once; requests are told that the coordinator is loading until the log is
// replayed.
func (c *Coordinator) Elected(partition, epoch int32) {
	s := c.shard(partition, true)
	if !s.elect(epoch) {
		return
	}
	c.start(func() { c.load(s, epoch) })
}

// Resigned says that this broker stopped being leader of the partition by that epoch; -1 says
// that the partition is gone, and its epochs with it.
func (c *Coordinator) Resigned(partition, epoch int32) {
	if s := c.shard(partition, false); s != nil && s.resign(epoch) {
		c.log.Info("group coordinator resigned", zap.Int32("PARTITION", partition),
			zap.Int32("epoch", epoch))
	}
}

// load replays the partition until it succeeds or leadership is lost. A coordinator without
// its log would tell consumers that nothing was committed, so it rather stays in loading.
func (c *Coordinator) load(s *shard, epoch int32) {
	select {
	case c.loads <- struct{}{}:
		defer func() { <-c.loads }()
	case <-c.ctx.Done():
		return
	}
	begun := time.Now()
	for {
		l := group.NewLoader()
		err := c.opts.Store.Replay(c.ctx, s.partition, l)
		if err == nil {
			if groups, offsets, ok := s.loaded(epoch, l); ok {
				level := zap.InfoLevel
				if groups == 0 {
					level = zap.DebugLevel // fifty lines that say nothing
				}
				c.log.Log(level, "group coordinator loaded",
					zap.Int32("PARTITION", s.partition), zap.Int32("epoch", epoch),
					zap.Int("groups", groups), zap.Int("offsets", offsets),
					zap.Duration("took", time.Since(begun)))
			}
			return
		}
		if c.ctx.Err() != nil || !s.isLoading(epoch) {
			return
		}
		c.log.Error("group coordinator cannot read its log and tries again",
			zap.Int32("PARTITION", s.partition), zap.Error(err))
		select {
		case <-time.After(c.opts.RetryLoad):
		case <-c.ctx.Done():
			return
		}
	}
}

// TopicsGone drops committed offsets of topics that no longer exist. They are gone when it returns,
// so that it cannot hit those of a new topic of the same name; their tombstones are appended in
// the background. Partitions that are loading drop them when they have loaded.
func (c *Coordinator) TopicsGone(topics []string) {
	for _, s := range c.all() {
		s.dropTopics(topics)
	}
}

// keepDeadlines ticks each machine when something of it is due.
func (c *Coordinator) keepDeadlines() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now().UnixMilli()
		next := now + time.Hour.Milliseconds()
		for _, s := range c.all() {
			if due := s.next.Load(); due != 0 && due <= now {
				// A shard that was unloaded meanwhile has no deadlines.
				_ = s.do(true, func(now int64, m *group.Machine) { m.Tick(now) })
			}
			if due := s.next.Load(); due != 0 {
				next = min(next, due)
			}
		}
		timer.Reset(max(0, time.Until(time.UnixMilli(next))))
		select {
		case <-timer.C:
		case <-c.kick:
		case <-c.ctx.Done():
			return
		}
	}
}

// codeOf returns the protocol error in err.
func codeOf(err error) errcode.Code {
	if err == nil {
		return errcode.None
	}
	var code errcode.Code
	switch {
	case errors.As(err, &code):
		return code
	case errors.Is(err, context.Canceled):
		return errcode.NotCoordinator // the coordinator is closing
	}
	return errcode.UnknownServerError
}
