package tool

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"zkafka/systemd"
)

// ErrOutput is the cause that ends the context of a tool that streams when nobody reads its output
// any more, or it cannot be written.
var ErrOutput = errors.New("standard output is gone")

// whileRead ends ctx when the output breaks, and, if it is a pipe, as soon as its last reader has
// gone: a consumer without new records would not notice that it prints for nobody.
func whileRead(
	ctx context.Context, out *systemd.Output, w io.Writer,
) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	gone, stop := readerGone(w)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-gone:
			cancel(ErrOutput)
		case <-out.Broken():
			cancel(ErrOutput)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
		stop()
	}
}

// readerGone returns a channel that is closed when nobody reads w, a pipe, any more. Of other
// outputs that cannot be known: the channel stays open. stop ends the watch.
func readerGone(w io.Writer) (gone chan struct{}, stop func()) {
	gone = make(chan struct{})
	f, ok := w.(*os.File)
	if !ok {
		return gone, func() {}
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return gone, func() {}
	}
	stopped, wake, err := os.Pipe()
	if err != nil {
		return gone, func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		fds := []unix.PollFd{
			{Fd: int32(f.Fd())}, // asks for nothing, and so is told of errors only
			{Fd: int32(stopped.Fd()), Events: unix.POLLIN},
		}
		for {
			_, err := unix.Poll(fds, -1)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
				close(gone)
			}
			return
		}
	}()
	return gone, func() {
		_ = wake.Close() // which the watch is told as a hang-up
		<-done
		_ = stopped.Close()
	}
}
