package systemd

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
)

// Output is a program's standard output. It remembers the first write that failed, so that nobody
// who prints has to look, and no program ends well whose output is lost.
type Output struct {
	broken chan struct{} // closed by the first write that fails

	mu  sync.Mutex
	w   io.Writer
	err error
}

// NewOutput makes w the standard output.
func NewOutput(w io.Writer) *Output { return &Output{broken: make(chan struct{}), w: w} }

// Write writes to the standard output, until that fails for the first time.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(b)
	if err != nil {
		o.err = fmt.Errorf("standard output cannot be written: %w", err)
		close(o.broken)
	}
	return n, o.err
}

// Broken is closed as soon as a write has failed.
func (o *Output) Broken() <-chan struct{} { return o.broken }

// Err is why output was lost. It is nil as long as none was, and when the reader of a pipe has
// gone: head and less do that when they have seen enough.
func (o *Output) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if errors.Is(o.err, syscall.EPIPE) {
		return nil
	}
	return o.err
}

// Check is what a program ends with: its own error, or else that its output was lost.
func (o *Output) Check(err error) error {
	lost := o.Err()
	switch {
	case lost == nil || errors.Is(err, lost):
		return err
	case err == nil || ExitCode(err) == 0:
		return lost
	}
	return err
}
