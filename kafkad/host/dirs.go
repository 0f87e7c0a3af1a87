package host

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/disk"
)

// DirSet is the broker's log dirs, locked by this process. A dir that cannot be opened is left out
// and reported: its partitions are offline, the others serve.
type DirSet struct {
	dirs   []*commitlog.Dir
	failed map[string]error // by path
	fs     disk.FS
	log    *zap.Logger
}

// OpenDirs locks the log dirs and reads their meta.properties. It fails if another process holds
// one of them, if they disagree about broker or cluster, or if none is usable. fs nil means the
// operating system's.
func OpenDirs(paths []string, fs disk.FS, log *zap.Logger) (*DirSet, error) {
	if log == nil {
		log = zap.NewNop()
	}
	if fs == nil {
		fs = disk.Real()
	}
	set := &DirSet{failed: map[string]error{}, fs: fs, log: log}
	for _, path := range paths {
		d, err := commitlog.OpenDir(commitlog.Options{FS: fs, Path: path, Log: log})
		if errors.Is(err, commitlog.ErrLocked) {
			set.Abandon()
			return nil, fmt.Errorf("lock log dir %s: %w", path, err)
		}
		if err != nil {
			set.failed[path] = err
			continue
		}
		set.dirs = append(set.dirs, d)
	}
	if len(set.dirs) == 0 {
		var all error
		for _, path := range paths {
			all = errors.Join(all, set.failed[path])
		}
		return nil, fmt.Errorf("no log dir is usable: %w", all)
	}
	if err := set.agree(); err != nil {
		set.Abandon()
		return nil, err
	}
	for path, err := range set.failed {
		log.Error("log dir is offline", zap.String("dir", path), zap.Error(err))
	}
	return set, nil
}

// agree checks that all dirs belong to the same broker of the same cluster.
func (s *DirSet) agree() error {
	for _, key := range []string{brokerKey, clusterKey} {
		marked := s.marked(key)
		for _, d := range s.dirs {
			if value := mark(d, key); value != "" && value != mark(marked, key) {
				return fmt.Errorf("%s says %s=%s, but %s says %s=%s: take the log dir that is "+
					"not this broker's out of log.dirs", marked.MetaPath(), key,
					mark(marked, key), d.MetaPath(), key, value)
			}
		}
	}
	return nil
}

// The keys of meta.properties that tell whose a log dir is.
const (
	brokerKey  = "broker.id"
	clusterKey = "cluster.id"
)

// mark is what a dir's meta.properties says, "" if nothing.
func mark(d *commitlog.Dir, key string) string {
	m := d.Meta()
	if key == clusterKey {
		return m.ClusterID
	}
	if m.BrokerID < 0 {
		return ""
	}
	return strconv.Itoa(int(m.BrokerID))
}

// marked returns the first dir whose meta.properties has the key, nil if there is none.
func (s *DirSet) marked(key string) *commitlog.Dir {
	for _, d := range s.dirs {
		if mark(d, key) != "" {
			return d
		}
	}
	return nil
}

// BrokerID is the id in meta.properties, -1 if there is none yet.
func (s *DirSet) BrokerID() int32 {
	for _, d := range s.dirs {
		if m := d.Meta(); m.BrokerID >= 0 {
			return m.BrokerID
		}
	}
	return -1
}

// ClusterID is the cluster id in meta.properties, "" if there is none yet.
func (s *DirSet) ClusterID() string {
	for _, d := range s.dirs {
		if m := d.Meta(); m.ClusterID != "" {
			return m.ClusterID
		}
	}
	return ""
}

// setMeta checks that the dirs belong to this broker and marks new ones.
func (s *DirSet) setMeta(broker int32, clusterID string) error {
	if id := s.BrokerID(); id >= 0 && id != broker {
		return fmt.Errorf("%s says broker.id=%d, but the configuration says broker.id=%d: set "+
			"broker.id to %d again, or point log.dirs to the log dirs of broker %d or to empty ones",
			s.marked(brokerKey).MetaPath(), id, broker, id, broker)
	}
	if id := s.ClusterID(); id != "" && id != clusterID {
		return fmt.Errorf("%s says cluster.id=%s, but the cluster at zookeeper.connect is %s: "+
			"point zookeeper.connect to the cluster that the log dir belongs to, or log.dirs to "+
			"empty directories", s.marked(clusterKey).MetaPath(), id, clusterID)
	}
	for _, d := range s.dirs {
		m := d.Meta()
		m.BrokerID, m.ClusterID = broker, clusterID
		if err := d.SetMeta(m); err != nil {
			return fmt.Errorf("mark log dir %s: %w", d.Path(), err)
		}
	}
	return nil
}

// Abandon lets go of the dirs without writing anything, for a start that fails before Open.
func (s *DirSet) Abandon() {
	for _, d := range s.dirs {
		d.Abandon()
	}
}

// recoverLogs opens every log found on disk, several at a time, and reports the progress.
func (h *Host) recoverLogs(ctx context.Context) error {
	type job struct {
		dir *commitlog.Dir
		tp  TP
	}
	var jobs []job
	for _, d := range h.dirs.dirs {
		for _, tp := range d.Existing() {
			jobs = append(jobs, job{d, tp})
		}
	}
	workers := max(h.opts.Config.RecoveryThreadsPerDataDir*len(h.dirs.dirs), runtime.GOMAXPROCS(0))
	var (
		next, done atomic.Int64
		wg         sync.WaitGroup
		mu         sync.Mutex
		opened     []*Partition
		broken     = map[*commitlog.Dir]error{}
	)
	for range min(workers, len(jobs)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				j := jobs[i]
				p, err := h.openPartition(j.dir, j.tp)
				mu.Lock()
				if err != nil {
					broken[j.dir] = fmt.Errorf("open %s: %w", j.tp, err)
				} else {
					opened = append(opened, p)
				}
				mu.Unlock()
				h.progress(int(done.Add(1)), len(jobs))
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, p := range opened {
		if other := h.lookup(p.TP); other != nil {
			return fmt.Errorf("%s is in both %s and %s: remove one of them",
				p.TP, other.log.Dir().Path(), p.log.Dir().Path())
		}
		h.insert(p)
	}
	for d, err := range broken {
		h.failDir(d, err)
	}
	return nil
}

// progress tells the service manager how far the recovery is, at every percent.
func (h *Host) progress(done, total int) {
	if h.opts.OnStatus != nil && (done == total || done*100/total != (done-1)*100/total) {
		h.opts.OnStatus(fmt.Sprintf("recovering %d of %d partitions", done, total))
	}
}

// failDir takes a log dir out of service after a disk error. It may be called by anybody, the owner
// of a partition included: another goroutine does the work.
func (h *Host) failDir(d *commitlog.Dir, err error) {
	h.mu.Lock()
	_, again := h.failed[d]
	if !again {
		h.failed[d] = err
	}
	h.mu.Unlock()
	if again {
		return
	}
	h.log.Error("disk error, log dir goes offline", zap.String("dir", d.Path()), zap.Error(err))
	select {
	case h.failures <- d:
	default: // as many slots as dirs, and each dir fails once
	}
}

// takeOffline puts all partitions of a failed dir offline.
func (h *Host) takeOffline(d *commitlog.Dir) {
	h.control.Lock()
	defer h.control.Unlock()
	for _, p := range h.all() {
		if p.log.Dir() != d {
			continue
		}
		p.own(func() {
			p.machine.Fail()
			p.publish()
		})
		h.announce(Leadership{TP: p.TP})
	}
}

// report tells the daemon that a log dir is gone, or that it was the last one.
func (h *Host) report(d *commitlog.Dir) {
	h.mu.Lock()
	dead := len(h.failed) == len(h.dirs.dirs)
	err := h.failed[d]
	h.mu.Unlock()
	switch {
	case dead && h.opts.OnFatal != nil:
		h.opts.OnFatal(fmt.Errorf("no log dir works any more, the last to fail was %s: %w",
			d.Path(), err))
	case !dead && h.opts.OnDirFailed != nil:
		h.opts.OnDirFailed()
	}
}

// usableDirs are the dirs where a new log may go, and whether any configured dir is offline.
func (h *Host) usableDirs() (usable []*commitlog.Dir, someOffline bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.dirs.dirs {
		if _, failed := h.failed[d]; !failed {
			usable = append(usable, d)
		}
	}
	return usable, len(h.failed)+len(h.dirs.failed) > 0
}
