package commitlog

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/index"

	"go.uber.org/zap"
)

// Dir is one log directory, locked by this process.
type Dir struct {
	fs    disk.FS
	path  string
	log   *zap.Logger
	index *index.DB
	lock  io.Closer

	clean     bool
	lastEpoch int64

	mu    sync.Mutex  // guards what follows
	disk  checkpoints // the three files as they are on disk
	meta  Meta
	found map[TP]bool
	logs  map[TP]*Log
	gone  map[TP]bool // deleted, but a power cut might bring them back
	rng   *rand.Rand
	trash []trash

	checkpointing sync.Mutex // one Checkpoint at a time
	closed        atomic.Bool
}

// checkpoints are the three files of offsets.
type checkpoints struct {
	recovery, highWatermark, start map[TP]int64
}

// trash is a file or directory to be unlinked later.
type trash struct {
	path string
	due  time.Time
}

// OpenDir locks the directory, reads meta.properties and the checkpoints, opens the index, and
// notes whether the last stop was clean. Logs are opened by Open.
func OpenDir(o Options) (*Dir, error) {
	d := &Dir{fs: o.FS, path: o.Path, log: o.Log, logs: map[TP]*Log{}, found: map[TP]bool{},
		gone:      map[TP]bool{},
		lastEpoch: -1, rng: rand.New(rand.NewPCG(o.Seed, uint64(time.Now().UnixNano())))}
	if d.fs == nil {
		d.fs = disk.Real()
	}
	if d.log == nil {
		d.log = zap.NewNop()
	}
	if err := d.make(); err != nil {
		return nil, fmt.Errorf("%w: create log directory: %w", ErrStorage, err)
	}
	lock, err := d.fs.Lock(d.fs.PathJoin(d.path, lockFile))
	if err != nil {
		if errors.Is(err, disk.ErrHeld) {
			return nil, fmt.Errorf("%w: %s: %w", ErrLocked, d.path, err)
		}
		return nil, fmt.Errorf("%w: lock log directory: %w", ErrStorage, err)
	}
	d.lock = lock
	if err := d.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: open %s: %w", ErrStorage, d.path, err), lock.Close())
	}
	return d, nil
}

// make creates the directory if it is missing.
func (d *Dir) make() error {
	if _, err := d.fs.Stat(d.path); err == nil {
		return nil
	}
	if err := d.fs.MkdirAll(d.path, 0o755); err != nil {
		return err
	}
	return d.fs.SyncDir(d.fs.PathDir(d.path))
}

func (d *Dir) file(name string) string { return d.fs.PathJoin(d.path, name) }

func (d *Dir) load() error {
	b, err := readFile(d.fs, d.file(metaFile))
	if err != nil {
		return err
	}
	if d.meta, err = decodeMeta(b); err != nil {
		return fmt.Errorf("%s: %w", metaFile, err)
	}
	if err := d.readCheckpoints(); err != nil {
		return err
	}
	if err := d.list(); err != nil {
		return err
	}
	if d.index, _, err = index.Open(d.fs, d.path, d.log); err != nil {
		return err
	}
	if err := d.takeCleanFile(); err != nil {
		d.index.Abandon()
		return err
	}
	return nil
}

// takeCleanFile notes whether the last stop was clean and removes the mark, durably: found again
// after a power cut it would make the next start skip recovery.
func (d *Dir) takeCleanFile() error {
	b, err := readFile(d.fs, d.file(cleanFile))
	if err != nil || b == nil {
		return err
	}
	d.clean, d.lastEpoch = true, decodeClean(b)
	if err := d.fs.Remove(d.file(cleanFile)); err != nil {
		return err
	}
	return d.fs.SyncDir(d.path)
}

func (d *Dir) readCheckpoints() error {
	for _, c := range []struct {
		name     string
		into     *map[TP]int64
		required bool // a malformed one takes the directory offline, as upstream does
	}{
		{recoveryFile, &d.disk.recovery, false},
		{logStartFile, &d.disk.start, false},
		{highWatermarkFile, &d.disk.highWatermark, true},
	} {
		b, err := readFile(d.fs, d.file(c.name))
		if err != nil {
			return err
		}
		m, err := decodeOffsets(b)
		if err != nil {
			if c.required {
				return fmt.Errorf("%s: malformed checkpoint: %w", c.name, err)
			}
			d.log.Warn("malformed checkpoint is taken as empty", zap.String("dir", d.path),
				zap.String("file", c.name), zap.Error(err))
			m = map[TP]int64{}
		}
		*c.into = m
	}
	return nil
}

// The ends of the names of directories that are no live partition.
const (
	deleteSuffix = "-delete"
	futureSuffix = "-future"
	straySuffix  = "-stray"
)

// list finds the partitions.
func (d *Dir) list() error {
	names, err := d.fs.List(d.path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, index.FilePrefix) || strings.HasSuffix(name, "-checkpoint") {
			continue
		}
		if info, err := d.fs.Stat(d.file(name)); err != nil || !info.IsDir() {
			continue
		}
		switch tp, ok := parseTP(name); {
		case strings.HasSuffix(name, deleteSuffix):
			d.trash = append(d.trash, trash{path: d.file(name)})
		case strings.HasSuffix(name, futureSuffix) || strings.HasSuffix(name, straySuffix):
		case ok:
			d.found[tp] = true
		default:
			d.log.Warn("directory is no partition's and is left alone", zap.String("dir", d.path),
				zap.String("name", name))
		}
	}
	return nil
}

// parseTP splits a directory name at its last dash.
func parseTP(name string) (TP, bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 1 {
		return TP{}, false
	}
	p, err := strconv.ParseUint(name[i+1:], 10, 31)
	return TP{name[:i], int32(p)}, err == nil && strconv.FormatUint(p, 10) == name[i+1:]
}

// Path is the directory's path.
func (d *Dir) Path() string { return d.path }

// Clean says that the last process stopped cleanly, so that Open scans nothing.
func (d *Dir) Clean() bool { return d.clean }

// LastBrokerEpoch is the broker epoch the last clean stop left, -1 if unknown.
func (d *Dir) LastBrokerEpoch() int64 { return d.lastEpoch }

// Meta returns meta.properties as it was read, BrokerID -1 and ClusterID "" if there was none.
func (d *Dir) Meta() Meta {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.meta
}

// MetaPath is the path of meta.properties, for messages.
func (d *Dir) MetaPath() string { return d.file(metaFile) }

// SetMeta writes meta.properties if it changed.
func (d *Dir) SetMeta(m Meta) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.DirectoryID == "" {
		m.DirectoryID = d.meta.DirectoryID
	}
	if m == d.meta {
		return nil
	}
	if err := replaceFile(d.fs, d.path, metaFile, m.encode()); err != nil {
		return storage("write "+metaFile, err)
	}
	d.meta = m
	return nil
}

// Usage is the space of the file system that holds the directory.
func (d *Dir) Usage() (disk.Usage, error) { return d.fs.GetDiskUsage(d.path) }

// Existing lists the partitions whose directories exist, sorted by topic and partition.
func (d *Dir) Existing() []TP {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]TP, 0, len(d.found))
	for tp := range d.found {
		out = append(out, tp)
	}
	slices.SortFunc(out, compareTP)
	return out
}

// Count is the number of partitions in the directory, for placing new ones.
func (d *Dir) Count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.found)
}

// Fewest returns the directory with the fewest partitions, where a new one goes; of equals the
// first.
func Fewest(dirs []*Dir) *Dir {
	var best *Dir
	least := 0
	for _, d := range dirs {
		if n := d.Count(); best == nil || n < least {
			best, least = d, n
		}
	}
	return best
}

// Duplicates returns an error if two directories hold the same partition: nobody can tell then
// which one is right, and upstream refuses to start too.
func Duplicates(dirs []*Dir) error {
	seen := map[TP]*Dir{}
	for _, d := range dirs {
		for _, tp := range d.Existing() {
			if other := seen[tp]; other != nil {
				return fmt.Errorf("%w: partition %s is both in %s and in %s", ErrStorage, tp,
					other.path, d.path)
			}
			seen[tp] = d
		}
	}
	return nil
}

// Log returns an open log.
func (d *Dir) Log(tp TP) (*Log, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.logs[tp]
	return l, ok && l != nil
}

func (d *Dir) open() []*Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]*Log, 0, len(d.logs))
	for _, l := range d.logs {
		if l != nil {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b *Log) int { return compareTP(a.tp, b.tp) })
	return out
}

// Open opens a partition's log, recovering it after an unclean stop, or creates it. It may be
// called by several goroutines for different partitions. An unclean open cuts the log at the first
// bad batch after the recovery point.
func (d *Dir) Open(tp TP, c Config) (*Log, error) {
	d.mu.Lock()
	if _, ok := d.logs[tp]; ok {
		d.mu.Unlock()
		return nil, fmt.Errorf("log %s is already open", tp)
	}
	d.logs[tp] = nil // nobody else may open it meanwhile
	found := d.found[tp]
	jitter := d.rng.Int64()
	d.mu.Unlock()
	l, err := d.openLog(tp, c, found, jitter)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		delete(d.logs, tp)
		return nil, storage("open log "+tp.String(), err)
	}
	d.logs[tp] = l
	d.found[tp] = true
	return l, nil
}

func (d *Dir) forget(l *Log) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.logs[l.tp] == l {
		delete(d.logs, l.tp)
		delete(d.found, l.tp)
		d.gone[l.tp] = true
	}
}

// discard leaves a path to Sweep.
func (d *Dir) discard(path string, delayMs int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	due := time.Now().Add(time.Duration(delayMs) * time.Millisecond)
	d.trash = append(d.trash, trash{path, due})
}

// Sweep unlinks the files and directories whose file.delete.delay.ms is over. The host calls it
// from a timer; any goroutine may.
func (d *Dir) Sweep(now time.Time) error {
	d.mu.Lock()
	var due []string
	d.trash = slices.DeleteFunc(d.trash, func(t trash) bool {
		if t.due.After(now) {
			return false
		}
		due = append(due, t.path)
		return true
	})
	d.mu.Unlock()
	var errs []error
	for _, path := range due {
		if err := d.fs.RemoveAll(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return storage("unlink deleted files", err)
	}
	return nil
}

// Checkpoint makes the segments behind the active ones durable and writes the recovery points, log
// starts and high watermarks of all logs, and the leader epochs that changed. The host calls it
// every minute or so; any goroutine may.
func (d *Dir) Checkpoint() error {
	logs := d.open()
	for _, l := range logs {
		if err := l.flushSealed(); err != nil {
			return err
		}
		if err := l.prepareCheckpoint(); err != nil {
			return storage("write leader epochs of "+l.tp.String(), err)
		}
	}
	d.checkpointing.Lock()
	defer d.checkpointing.Unlock()
	if err := d.index.Sync(); err != nil {
		return storage("sync index", err)
	}
	return d.writeCheckpoints(logs)
}

// merge returns the offsets of the open logs plus, of those that exist but are not open, what is on
// disk already.
func (d *Dir) merge(old map[TP]int64, logs []*Log, of func(*Log) (int64, bool)) map[TP]int64 {
	out := make(map[TP]int64, len(logs))
	d.mu.Lock()
	for tp, o := range old {
		if d.found[tp] && d.logs[tp] == nil {
			out[tp] = o
		}
	}
	d.mu.Unlock()
	for _, l := range logs {
		if o, ok := of(l); ok && !l.closed.Load() {
			out[l.tp] = o
		}
	}
	return out
}

// writeCheckpoints replaces the three files. The caller holds checkpointing, or is the only one
// left.
func (d *Dir) writeCheckpoints(logs []*Log) error {
	d.mu.Lock()
	old := d.disk
	d.mu.Unlock()
	now := checkpoints{
		recovery: d.merge(old.recovery, logs, func(l *Log) (int64, bool) {
			return min(l.point.Load(), l.Flushed()), true
		}),
		start: d.merge(old.start, logs, func(l *Log) (int64, bool) {
			return l.Start(), l.Start() > (*l.segs.Load())[0].Base
		}),
		highWatermark: d.merge(old.highWatermark, logs, func(l *Log) (int64, bool) {
			return l.HighWatermark(), true
		}),
	}
	for _, c := range []struct {
		name string
		m    map[TP]int64
	}{
		{recoveryFile, now.recovery},
		{logStartFile, now.start},
		{highWatermarkFile, now.highWatermark},
	} {
		if err := putFile(d.fs, d.file(c.name), encodeOffsets(c.m), true); err != nil {
			return storage("write "+c.name, err)
		}
		if err := d.fs.Rename(d.file(c.name+".tmp"), d.file(c.name)); err != nil {
			return storage("write "+c.name, err)
		}
	}
	if err := d.fs.SyncDir(d.path); err != nil {
		return storage("sync "+d.path, err)
	}
	d.mu.Lock()
	d.disk = now
	d.mu.Unlock()
	return nil
}

// onDisk returns what the checkpoints say about a partition.
func (d *Dir) onDisk(tp TP) (point, start, mark int64, listed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	point, listed = d.disk.recovery[tp]
	return point, d.disk.start[tp], d.disk.highWatermark[tp], listed
}

// Close flushes and closes all logs, writes checkpoints and producer snapshots and then the clean
// shutdown file with the broker's epoch (-1 if unknown). No Log may be used any more. After an
// error the next start recovers as after a crash.
func (d *Dir) Close(brokerEpoch int64) error {
	if d.closed.Swap(true) {
		return fmt.Errorf("directory %s: %w", d.path, ErrClosed)
	}
	err := d.close(brokerEpoch)
	return errors.Join(err, d.lock.Close())
}

func (d *Dir) close(brokerEpoch int64) error {
	logs := d.open()
	if err := d.finish(logs); err != nil {
		for _, l := range logs {
			l.release()
		}
		d.index.Abandon()
		return storage("close "+d.path, err)
	}
	if err := d.index.Close(); err != nil {
		return storage("close index of "+d.path, err)
	}
	// The recovery points, and then the mark, promise that all of the above is on disk.
	if err := d.fs.SyncAll(d.path); err != nil {
		return storage("sync "+d.path, err)
	}
	if err := d.writeCheckpoints(logs); err != nil {
		return err
	}
	for _, l := range logs {
		l.release()
	}
	if err := replaceFile(d.fs, d.path, cleanFile, encodeClean(brokerEpoch)); err != nil {
		return storage("write "+cleanFile, err)
	}
	return nil
}

// finish writes what the logs hold in memory and makes it durable with two syncs for all of them.
func (d *Dir) finish(logs []*Log) error {
	batch := d.index.NewBatch()
	for _, l := range logs {
		if err := l.finish(batch); err != nil {
			return fmt.Errorf("log %s: %w", l.tp, err)
		}
	}
	if err := batch.Commit(); err != nil {
		return err
	}
	if err := d.fs.SyncAll(d.path); err != nil {
		return err
	}
	for _, l := range logs {
		if err := l.finished(); err != nil {
			return fmt.Errorf("log %s: %w", l.tp, err)
		}
	}
	return nil
}

// Abandon lets go of the lock, the index and the files without writing anything, as a killed
// process would; for tests and for a directory that failed.
func (d *Dir) Abandon() {
	if d.closed.Swap(true) {
		return
	}
	for _, l := range d.open() {
		l.release()
	}
	d.index.Abandon()
	_ = d.lock.Close()
}

// storage marks an error of the disk.
func storage(what string, err error) error {
	if errors.Is(err, ErrStorage) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrStorage, what, err)
}
