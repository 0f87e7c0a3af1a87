package disk

import (
	"io"
	"io/fs"
	"slices"
)

type memFile struct {
	m        *Mem
	node     *memNode
	name     string
	pos      int64
	readOnly bool
	closed   bool
}

func (n *memNode) write(w write) {
	if w.data != nil {
		w.data = slices.Clone(w.data)
	}
	n.now.apply(w)
	n.pending = append(n.pending, w)
}

func (f *memFile) begin(op Op, size int) (int, error) {
	if err := f.usable(op); err != nil {
		return 0, err
	}
	return f.m.check(op, f.name, size)
}

func (f *memFile) usable(op Op) error {
	if f.closed {
		return &fs.PathError{Op: string(op), Path: f.name, Err: ErrClosed}
	}
	changes := op == OpWrite || op == OpTruncate || op == OpPreallocate
	if f.readOnly && changes {
		return &fs.PathError{Op: string(op), Path: f.name, Err: fs.ErrPermission}
	}
	return nil
}

func (f *memFile) Name() string { return f.name }

func (f *memFile) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.pos)
	f.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if _, err := f.begin(OpRead, 0); err != nil {
		return 0, err
	}
	c := &f.node.now
	if off >= c.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), c.size-off))
	have := 0
	if off < int64(len(c.data)) {
		have = copy(b[:n], c.data[off:])
	}
	clear(b[have:n])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(b []byte) (int, error) {
	n, err := f.WriteAt(b, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n, err := f.begin(OpWrite, len(b))
	if n > 0 {
		f.node.write(write{off: off, data: b[:n]})
	}
	return n, err
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if _, err := f.begin(OpTruncate, 0); err != nil {
		return err
	}
	f.node.write(write{off: size})
	return nil
}

func (f *memFile) Preallocate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if _, err := f.begin(OpPreallocate, 0); err != nil {
		return err
	}
	if size > f.node.now.size {
		f.node.write(write{off: size})
	}
	return nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(OpSync); err != nil {
		return err
	}
	fault, err := f.m.strike(OpSync, f.name)
	switch {
	case err == nil:
		for _, w := range f.node.pending {
			f.node.durable.apply(w)
		}
	case fault == nil:
		return err
	case fault.Rand != nil:
		land(&f.node.durable, f.node.pending, fault.Rand)
	}
	f.node.pending = nil // also behind a failure: nobody will try to write it again
	return err
}

func (f *memFile) Forget() {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed || f.m.steps == 0 {
		return
	}
	n := f.node
	n.now = n.durable.clone()
	for _, w := range n.pending {
		n.now.apply(w)
	}
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if _, err := f.begin(OpStat, 0); err != nil {
		return 0, err
	}
	return f.node.now.size, nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: ErrClosed}
	}
	f.closed = true
	return nil
}
