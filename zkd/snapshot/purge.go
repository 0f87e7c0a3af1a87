package snapshot

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"zkafka/zkd/disk"
	"zkafka/zkd/txnlog"
)

// MinRetain is the least number of snapshots that a purge keeps, whatever is asked.
const MinRetain = 3

// Purger deletes snapshots and logs that are not needed any more. It counts only snapshots that are
// known to be good: that a server has come up from, that were written to their end, or that it has
// read itself. One that only looks good may be the one whose damage makes the next start go back to
// the snapshot that a purge has taken away.
//
// Its methods may be called from several goroutines.
type Purger struct {
	fsys            disk.FS
	snapDir, logDir string
	retain          int

	mu    sync.Mutex
	known map[string]bool // names of snapshots: good or not
}

// NewPurger returns a purger that keeps the newest good snapshots, retain of them, and what is
// needed to come up from each of them.
func NewPurger(fsys disk.FS, snapDir, logDir string, retain int) *Purger {
	return &Purger{
		fsys: fsys, snapDir: snapDir, logDir: logDir, retain: max(retain, MinRetain),
		known: map[string]bool{},
	}
}

// Recovered tells the purger what a recovery has found out about snapshots.
func (p *Purger) Recovered(i *Info) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range i.Unusable {
		p.known[s.Name] = false
	}
	if i.Snapshot != "" {
		p.known[filepath.Base(i.Snapshot)] = true
	}
}

// Written tells the purger that the snapshot of a zxid was written to its end.
func (p *Purger) Written(zxid int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[FileName(zxid)] = true
}

// Purge deletes all snapshots older than those that are kept, and the logs whose transactions are
// all in the oldest one kept, and returns what it has removed. With fewer good snapshots than are
// to be kept it removes nothing. Snapshots that have to be read take their time, until ctx ends.
func (p *Purger) Purge(ctx context.Context) (removed []string, err error) {
	list, err := p.list(ctx)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	// A snapshot whose name may be gone after a power cut is no reason to delete another.
	if err := p.fsys.SyncDir(p.snapDir); err != nil {
		return nil, fmt.Errorf("purge: %w", err)
	}
	for _, name := range list {
		if err := p.fsys.Remove(name); err != nil {
			return removed, fmt.Errorf("purge: %w", err)
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// list tells what is not needed.
func (p *Purger) list(ctx context.Context) ([]string, error) {
	snaps, err := Files(p.fsys, p.snapDir)
	if err != nil {
		return nil, err
	}
	logs, err := txnlog.Files(p.fsys, p.logDir)
	if err != nil {
		return nil, err
	}
	// If there were nothing to delete even when all are good, reading them would be for nothing.
	best := p.unneeded(snaps, logs, func(s FileInfo) bool {
		good, known := p.knows(s)
		return good || !known
	})
	if len(best) == 0 {
		return nil, nil
	}
	list := p.unneeded(snaps, logs, func(s FileInfo) bool { return p.good(ctx, s) })
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("purge: %w", err)
	}
	return list, nil
}

// unneeded lists what is older than the snapshots to keep and not needed for them, the oldest
// first, snapshots before logs.
func (p *Purger) unneeded(
	snaps []FileInfo, logs []txnlog.FileInfo, good func(FileInfo) bool,
) (list []string) {
	kept, oldest := 0, int64(0)
	for _, s := range snaps {
		if kept < p.retain && good(s) {
			kept++
			oldest = s.Zxid
		}
	}
	if kept < p.retain {
		return nil
	}
	for _, s := range slices.Backward(snaps) {
		if s.Zxid < oldest {
			list = append(list, filepath.Join(p.snapDir, s.Name))
		}
	}
	needed := txnlog.Needed(logs, oldest)
	for _, l := range logs[:len(logs)-len(needed)] {
		list = append(list, filepath.Join(p.logDir, l.Name))
	}
	return list
}

func (p *Purger) knows(s FileInfo) (good, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	good, known = p.known[s.Name]
	return good, known
}

// good reads a snapshot that nothing is known about.
func (p *Purger) good(ctx context.Context, s FileInfo) bool {
	if good, known := p.knows(s); known {
		return good
	}
	if err := verify(ctx, p.fsys, filepath.Join(p.snapDir, s.Name), s.Codec); err != nil {
		return false // what an error says now it may not say at the next purge
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[s.Name] = true
	return true
}

// Purge is a purge by somebody who knows nothing yet.
func Purge(fsys disk.FS, snapDir, logDir string, retain int) (removed []string, err error) {
	return NewPurger(fsys, snapDir, logDir, retain).Purge(context.Background())
}
