package systemd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
)

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// A program fails when its output is lost, but not when the reader has seen enough.
func TestOutput(t *testing.T) {
	own := errors.New("own")
	for _, c := range []struct {
		w         io.Writer
		err, want error
	}{
		{io.Discard, nil, nil}, {io.Discard, own, own},
		{failing{syscall.ENOSPC}, nil, syscall.ENOSPC}, {failing{syscall.ENOSPC}, own, own},
		{failing{syscall.EPIPE}, nil, nil},
	} {
		out := NewOutput(c.w)
		fmt.Fprintln(out, "first")
		fmt.Fprintln(out, "second")
		if got := out.Check(c.err); !errors.Is(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%v, %v: %v", c.w, c.err, got)
		}
		select {
		case <-out.Broken():
			if c.w == io.Discard {
				t.Error("an output is broken that is not")
			}
		default:
			if c.w != io.Discard {
				t.Error("a broken output is not")
			}
		}
	}
}

func TestOutputOfFullDevice(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	out := NewOutput(full)
	fmt.Fprintln(out, "lost")
	const want = "standard output cannot be written: write /dev/full: no space left on device"
	if err := out.Check(nil); err == nil || err.Error() != want || ExitCode(err) != ExitFault {
		t.Errorf("%v", err)
	}
}
