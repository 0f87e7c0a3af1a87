// Package host runs a replica: it owns the goroutine in which the machine lives and performs what
// the machine asks for. Package comment of the threads:
//
//   - the loop takes everything that was submitted meanwhile, feeds it to the machine, hands the
//     machine's log records to the sync goroutine and its replies to the connections;
//   - the sync goroutine makes one batch of records durable at a time, with one write and one
//     fdatasync, while the loop prepares the next batch (group commit);
//   - a snapshot goroutine writes the slices of the tree that the loop gives it;
//   - the purge goroutine deletes old snapshots and logs.
//
// A reply to a write leaves only behind the sync of its record. When the log cannot be written the
// host stops for good (Done, Err): what is on the disk is unknown then, and an unacknowledged
// write must not turn into an acknowledged one.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"zkafka/zkd/disk"
	"zkafka/zkd/replica"
	"zkafka/zkd/snapshot"
	"zkafka/zkd/tree"
	"zkafka/zkd/txnlog"
)

// Options are the settings of a host. Zero values stand for upstream's defaults, except where a
// comment says otherwise.
type Options struct {
	FS         disk.FS // disk.Real() when nil
	DataDir    string  // snapshots go to DataDir/version-2
	DataLogDir string  // logs go to DataLogDir/version-2; DataDir when empty

	ServerID          int64         // 0 standalone
	TickTime          time.Duration // 3 s
	MinSessionTimeout time.Duration // 2 ticks
	MaxSessionTimeout time.Duration // 20 ticks

	// MaxLength limits a string, buffer or vector of a request: jute.MaxLength of the settings.
	MaxLength int
	// GlobalOutstandingLimit: see replica.Options.OutstandingLimit; 1000.
	GlobalOutstandingLimit int

	SkipACL        bool
	SuperDigest    string // "super:..." of DigestAuthenticationProvider.superDigest
	DigestAlg      string // SHA1
	DigestDisabled bool   // DigestAuthenticationProvider.enabled=false

	ExtendedTypes      bool // TTL nodes
	TxnDigestsDisabled bool // digest.enabled=false

	ContainerCheckInterval time.Duration // 1 min; negative: never
	ContainerMaxPerMinute  int64         // 10,000
	ContainerMaxNeverUsed  time.Duration // 0: never
	SnapCount              int           // 100,000 transactions
	SnapSizeLimitBytes     int64         // 4 GiB; negative: none
	TxnLogSizeLimitBytes   int64         // none
	PreallocBytes          int64         // 64 MiB; negative: none
	NoSync                 bool          // forceSync=no
	FsyncWarningThreshold  time.Duration // 1 s
	SnapRetainCount        int           // 3
	PurgeInterval          time.Duration // 0: no purge
	TrustEmptySnapshot     bool
	NoCreateDirs           bool // datadir.autocreate=false
	MaxUnsentPerConnection int  // bytes; 4 MiB
	RecoveryProgress       func(zxid int64, txns int)
	Log                    *zap.Logger

	randomFraction func() float64 // of snapshot limits; tests replace it
}

func (o *Options) setDefaults() {
	if o.FS == nil {
		o.FS = disk.Real()
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.TickTime == 0 {
		o.TickTime = 3 * time.Second
	}
	if o.SnapCount == 0 {
		o.SnapCount = 100_000
	}
	o.SnapCount = max(o.SnapCount, 2)
	if o.SnapSizeLimitBytes == 0 {
		o.SnapSizeLimitBytes = 4 << 30
	}
	if o.FsyncWarningThreshold == 0 {
		o.FsyncWarningThreshold = time.Second
	}
	if o.randomFraction == nil {
		o.randomFraction = rand.Float64
	}
}

// ErrClosed is returned by a host that is closed or has failed.
var ErrClosed = errors.New("the server is closed")

// Host is a running replica.
type Host struct {
	o       Options
	log     *zap.Logger
	machine *replica.Machine // owned by the loop
	locks   io.Closer
	start   time.Time
	info    snapshot.Info

	mu     sync.Mutex
	queue  []input // bounded by what each connection may have submitted
	idle   bool    // the loop waits on wake
	closed bool

	wake     chan struct{} // capacity 1
	stop     chan struct{} // closed by Close and by a failure
	stopOnce sync.Once
	done     chan struct{} // closed when everything has ended
	err      error         // set before done is closed

	workers sync.WaitGroup // sync, snapshot and purge goroutines
	toSync  chan syncJob   // capacity 1: the loop sends only while no job is out
	failure atomic.Pointer[error]

	loop  loopState
	stat  counters
	purge *snapshot.Purger
}

// Open recovers the tree from DataDir and DataLogDir and starts to serve it.
func Open(o Options) (*Host, error) {
	o.setDefaults()
	locks, err := snapshot.LockDirs(o.FS, o.DataDir, o.DataLogDir)
	if err != nil {
		return nil, err
	}
	h, err := open(o, locks)
	if err != nil {
		_ = locks.Close()
		return nil, err
	}
	return h, nil
}

func open(o Options, locks io.Closer) (*Host, error) {
	begin := time.Now()
	t, info, err := snapshot.Recover(o.FS, o.DataDir, o.DataLogDir, snapshot.RecoverOptions{
		TrustEmpty:   o.TrustEmptySnapshot,
		NoCreateDirs: o.NoCreateDirs,
		Progress:     o.RecoveryProgress,
	})
	if err != nil {
		return nil, err
	}
	h := &Host{
		o: o, log: o.Log, locks: locks, start: time.Now(), info: info,
		wake:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		toSync: make(chan syncJob, 1),
	}
	h.reportRecovery(time.Since(begin))
	if info.Orphans > 0 {
		// Ephemerals of dead sessions went away without a transaction. A create of the same
		// path that is logged from now on would meet the old node when it is replayed over the
		// old snapshot, and be lost with it: the new state must be on the disk first.
		if info.Snapshot, _, err = snapshot.Save(o.FS, info.SnapDir, t); err != nil {
			return nil, err
		}
		h.info = info
	}
	h.purge = snapshot.NewPurger(o.FS, info.SnapDir, info.LogDir, o.SnapRetainCount)
	h.purge.Recovered(&info)
	h.stat.lastSnapshotZxid.Store(info.SnapshotZxid)
	h.stat.lastSnapshotTime.Store(time.Now().Unix())
	if err := h.newMachine(t); err != nil {
		return nil, err
	}
	wal, err := txnlog.Open(txnlog.Options{
		FS: o.FS, Dir: info.LogDir, PreallocBytes: o.PreallocBytes,
		SizeLimit: o.TxnLogSizeLimitBytes, NoSync: o.NoSync,
	}, t.LastZxid())
	if err != nil {
		return nil, err
	}
	h.loop.init(h, info.Txns)
	h.goWorker(func() { h.runSync(wal) })
	if o.PurgeInterval > 0 {
		h.goWorker(h.runPurge)
	}
	go h.run()
	return h, nil
}

func (h *Host) newMachine(t *tree.Tree) error {
	o := &h.o
	var err error
	h.machine, err = replica.New(replica.Options{
		Tree:             t,
		ServerID:         o.ServerID,
		TickMillis:       o.TickTime.Milliseconds(),
		MinTimeoutMillis: o.MinSessionTimeout.Milliseconds(),
		MaxTimeoutMillis: o.MaxSessionTimeout.Milliseconds(),
		ACL: replica.ACLOptions{
			Skip: o.SkipACL, SuperDigest: o.SuperDigest,
			DigestAlg: o.DigestAlg, DigestDisabled: o.DigestDisabled,
		},
		ExtendedTypes:            o.ExtendedTypes,
		DigestsDisabled:          o.TxnDigestsDisabled,
		MaxLength:                o.MaxLength,
		OutstandingLimit:         o.GlobalOutstandingLimit,
		MaxUnsent:                o.MaxUnsentPerConnection,
		ContainerCheckMillis:     o.ContainerCheckInterval.Milliseconds(),
		ContainerMaxPerMinute:    o.ContainerMaxPerMinute,
		ContainerMaxUnusedMillis: o.ContainerMaxNeverUsed.Milliseconds(),
		Now:                      h.now(),
	})
	return err
}

func (h *Host) reportRecovery(took time.Duration) {
	i := &h.info
	h.log.Info("recovered the database",
		zap.String("snapshot", i.Snapshot), zap.Int("transactions", i.Txns),
		zap.String("ZXID", fmt.Sprintf("0x%x", i.LastZxid)), zap.Duration("took", took))
	for _, cut := range i.Healed {
		h.log.Warn("an unfinished write was cut off the transaction log",
			zap.String("file", cut.File), zap.Int64("offset", cut.Offset),
			zap.Int64("wholeRecordAt", cut.Whole), zap.Bool("removed", cut.Removed))
		if cut.Damaged {
			h.log.Error("what was cut off looks damaged rather than unfinished; the last "+
				"transaction may be lost", zap.String("file", cut.File))
		}
	}
	for _, err := range i.Skipped {
		h.log.Warn("a newer snapshot could not be used", zap.Error(err))
	}
	if i.Gaps > 0 {
		g := i.FirstGap
		h.log.Warn("transactions are missing in the log; is a file of it missing?",
			zap.Int("places", i.Gaps), zap.String("file", g.File),
			zap.String("first", fmt.Sprintf("0x%x to 0x%x", g.From, g.To)))
	}
	if i.AwaitedDigest > 0 {
		h.log.Warn("the transaction log ends before the snapshot does; is its end missing?",
			zap.String("log", fmt.Sprintf("0x%x", i.LastZxid)),
			zap.String("snapshot", fmt.Sprintf("0x%x", i.AwaitedDigest)))
	}
	if i.Mismatches > 0 {
		h.log.Warn("digests in snapshot or log do not fit the data",
			zap.Int64("mismatches", i.Mismatches))
	}
	if i.Orphans > 0 {
		h.log.Info("deleted ephemeral nodes of sessions that are gone",
			zap.Int("nodes", i.Orphans))
	}
}

// now reads the clocks. The monotonic one starts with the system, so that session ids, which are
// made of it, do not repeat after a restart.
func (h *Host) now() replica.Time {
	return replica.Time{MonoNanos: monotonicNanos(), WallMillis: time.Now().UnixMilli()}
}

// goWorker starts a goroutine that Close waits for.
func (h *Host) goWorker(f func()) {
	h.workers.Add(1)
	go func() {
		defer h.workers.Done()
		f()
	}()
}

// Done is closed when the host has stopped, by Close or by a failure.
func (h *Host) Done() <-chan struct{} { return h.done }

// Err tells why the host has stopped, which is logged by then: nil before Done is closed and after
// Close.
func (h *Host) Err() error {
	select {
	case <-h.done:
		return h.err
	default:
		return nil
	}
}

// Close stops the host: what is logged is made durable and answered, requests that come later are
// dropped. It returns the failure if the host had stopped because of one.
func (h *Host) Close(ctx context.Context) error {
	h.halt()
	select {
	case <-h.done:
		return h.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Host) halt() { h.stopOnce.Do(func() { close(h.stop) }) }

// fail stops the host because of an error that it cannot outlive.
func (h *Host) fail(err error) {
	if h.failure.CompareAndSwap(nil, &err) {
		h.log.Error("stopping: the transaction log cannot be written", zap.Error(err))
	}
	h.halt()
	h.submit(input{kind: inputWake})
}
