package disk

import (
	"io/fs"
	"math/rand/v2"
	"strings"
)

// Op names an operation for Fault.
type Op string

// The operations.
const (
	OpOpen        Op = "open"
	OpCreate      Op = "create"
	OpRead        Op = "read"
	OpWrite       Op = "write"
	OpTruncate    Op = "truncate"
	OpPreallocate Op = "preallocate"
	OpSync        Op = "sync"
	OpRename      Op = "rename"
	OpRemove      Op = "remove"
	OpReadDir     Op = "readdir"
	OpStat        Op = "stat"
	OpMkdir       Op = "mkdir"
	OpSyncDir     Op = "syncdir"
	OpLock        Op = "lock"
)

// changing tells the operations after which the power may go.
func (op Op) changing() bool {
	switch op {
	case OpCreate, OpWrite, OpTruncate, OpPreallocate, OpSync, OpRename, OpRemove, OpMkdir,
		OpSyncDir:
		return true
	case OpOpen, OpRead, OpReadDir, OpStat, OpLock:
	}
	return false
}

// Fault makes operations fail.
type Fault struct {
	Op    Op     // "" for all
	Path  string // part of the name, "" for all
	Skip  int    // let so many pass first
	Times int    // fail so many, 0 for all from then on
	Err   error  // e.g. syscall.EIO
	Short int    // of a write: bytes written before it fails

	// Rand decides what reaches the disk of a sync that fails; nil: nothing.
	Rand *rand.Rand
}

// Fail adds a fault. The first that matches an operation decides.
func (m *Mem) Fail(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.Times == 0 {
		f.Times = -1
	}
	m.faults = append(m.faults, &f)
}

// Heal removes all faults.
func (m *Mem) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = nil
}

// check decides whether an operation happens and, for a write, how much of it.
func (m *Mem) check(op Op, name string, size int) (int, error) {
	fault, err := m.strike(op, name)
	switch {
	case err == nil:
		return size, nil
	case fault == nil:
		return 0, err
	}
	return min(fault.Short, size), err
}

// strike decides whether an operation fails, and by which fault; by none when the power is gone.
func (m *Mem) strike(op Op, name string) (*Fault, error) {
	if m.steps == 0 {
		return nil, &fs.PathError{Op: string(op), Path: name, Err: ErrPowerCut}
	}
	if op.changing() {
		m.done++
		if m.steps > 0 {
			m.steps--
		}
	}
	for _, f := range m.faults {
		if f.Op != "" && f.Op != op || !strings.Contains(name, f.Path) || f.Times == 0 {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f, &fs.PathError{Op: string(op), Path: name, Err: f.Err}
	}
	return nil, nil
}
