// Package systemd is the process of a daemon on its host, from start to exit code, and how it talks
// to the service manager and the journal: readiness, status, reload, watchdog, passed sockets, and
// a logger whose entries are journal entries with fields when standard error is the journal.
// Outside systemd the messages are quiet no-ops and the logger writes readable lines. The unit
// files lie beside it.
package systemd

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Notifier sends state changes to the service manager. The zero value works; methods may be called
// from any goroutine. Errors are not reported: a daemon must not fail because nobody listens.
type Notifier struct {
	mu     sync.Mutex
	status string
}

// Ready says that the daemon serves.
func (n *Notifier) Ready() { n.send("READY=1") }

// Status replaces the line that `systemctl status` shows. Equal lines are sent once.
func (n *Notifier) Status(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	n.mu.Lock()
	same := n.status == text
	n.mu.Unlock()
	if !same {
		n.send(n.remember(text))
	}
}

// Stopping says that a clean stop has begun.
func (n *Notifier) Stopping(status string) { n.send("STOPPING=1", n.remember(status)) }

// Reloading begins a reload; the returned function ends it and restores the status line. The clock
// value lets newer service managers tell this reload from an earlier one.
func (n *Notifier) Reloading() (done func()) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // cannot fail with this clock
	n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
	return func() { n.send("READY=1") }
}

// ExtendTimeout asks for more time to start or stop, counted from now.
func (n *Notifier) ExtendTimeout(d time.Duration) {
	n.send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

// KeepExtending asks for more time every second until stop is called or ctx ends: for work whose
// length is not known. A start or stop that hangs outside such work still runs into its limit.
func (n *Notifier) KeepExtending(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var extending sync.WaitGroup
	extending.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			n.ExtendTimeout(10 * time.Second)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() { cancel(); extending.Wait() }
}

// Watchdog pings the service manager at a third of its interval as long as alive answers within
// that time. Alive must go through the loop that serves requests: when that loop hangs, the pings
// stop and the service manager ends the process. Without a watchdog it returns at once.
func (n *Notifier) Watchdog(ctx context.Context, alive func(ctx context.Context) error) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	n.watch(ctx, interval, alive)
}

func (n *Notifier) watch(
	ctx context.Context, interval time.Duration, alive func(ctx context.Context) error,
) {
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		probe, cancel := context.WithTimeout(ctx, interval/3)
		err := alive(probe)
		cancel()
		if err == nil {
			n.send("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Listeners are the stream sockets that the service manager passed (LISTEN_FDS), nil without any.
func Listeners() ([]net.Listener, error) {
	list, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take over passed sockets: %w", err)
	}
	out := list[:0]
	for _, l := range list {
		if l != nil { // a datagram socket or a pipe
			out = append(out, l)
		}
	}
	return out, nil
}

func (n *Notifier) remember(status string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.status = status
	return "STATUS=" + status
}

func (n *Notifier) send(lines ...string) {
	text := ""
	for i, l := range lines {
		if i > 0 {
			text += "\n"
		}
		text += l
	}
	_, _ = daemon.SdNotify(false, text)
}
