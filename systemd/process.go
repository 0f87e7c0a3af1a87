package systemd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Spawn starts a daemon without a service manager: in a session of its own, with its output
// appended to a file, and returns its process id once it has said READY=1. When it ends before, the
// error carries the end of its output and its exit code; when ctx ends before, the process id comes
// with ErrNotReady.
func Spawn(ctx context.Context, output string, args ...string) (pid int, err error) {
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	socket := filepath.Join(dir, "socket")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return 0, fmt.Errorf("open a notify socket: %w", err)
	}
	defer func() { _ = notify.Close() }()
	if err := os.MkdirAll(filepath.Dir(output), 0o750); err != nil {
		return 0, fmt.Errorf("make a directory for the daemon's output: %w", err)
	}
	log, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return 0, fmt.Errorf("open a file for the daemon's output: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(withoutManager(os.Environ()), "NOTIFY_SOCKET="+socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	start, _ := log.Seek(0, 2)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err = awaitReady(ctx, notify, ended)
	if errors.Is(err, ErrNotReady) {
		return cmd.Process.Pid, err
	}
	if err != nil {
		return 0, withCode(fmt.Errorf("the daemon has ended: %w%s", err, tail(output, start)))
	}
	return cmd.Process.Pid, nil
}

// withCode makes err end this program with the exit code of the program whose end it tells.
func withCode(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return &exitError{exit.ExitCode(), err}
	}
	return err
}

// OutputFile is where a daemon that Spawn starts for one of upstream's scripts writes: a file of
// that name in $LOG_DIR, else where temporary files live.
func OutputFile(name string) string {
	dir := os.Getenv("LOG_DIR")
	if dir == "" {
		dir = os.TempDir()
	}
	return filepath.Join(dir, name)
}

// withoutManager drops what belongs to the service manager of the calling process.
func withoutManager(env []string) []string {
	var out []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "INVOCATION_ID",
			"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES":
		default:
			out = append(out, e)
		}
	}
	return out
}

func awaitReady(ctx context.Context, notify *net.UnixConn, ended <-chan error) error {
	ready := make(chan struct{})
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := notify.Read(buf)
			if err != nil {
				return // closed by Spawn
			}
			for _, line := range bytes.Split(buf[:n], []byte("\n")) {
				if string(line) == "READY=1" {
					close(ready)
					return
				}
			}
		}
	}()
	select {
	case <-ready:
		return nil
	case err := <-ended:
		if err == nil {
			err = errors.New("it ended at once")
		}
		return err
	case <-ctx.Done():
		return ErrNotReady
	}
}

// tail is what was written to a file from a position on, at most its last lines.
func tail(file string, from int64) string {
	data, err := os.ReadFile(file)
	if err != nil || int64(len(data)) <= from {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data[from:])), "\n")
	if len(lines) > 10 {
		lines = lines[len(lines)-10:]
	}
	return "\n" + strings.Join(lines, "\n")
}

// ReadPID returns the process id in a pid file, if that process lives.
func ReadPID(file string) (pid int, alive bool) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 {
		return 0, false
	}
	err = syscall.Kill(pid, 0)
	return pid, err == nil || errors.Is(err, syscall.EPERM)
}

// Stop asks a process to end and waits until it has.
func Stop(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return ErrNotRunning
		}
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if syscall.Kill(pid, 0) != nil || zombie(pid) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d has not ended yet: %w", pid, ctx.Err())
		case <-tick.C:
		}
	}
}

// zombie: the process has ended, its parent has not looked yet.
func zombie(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	i := bytes.LastIndexByte(data, ')')
	return i >= 0 && i+2 < len(data) && data[i+2] == 'Z'
}

// Serving finds the processes of this user (of everybody, for root) that run this program's serve
// command, as the stop scripts of old find theirs by the name of a class.
func Serving() []int {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if err != nil || strings.TrimSuffix(exe, " (deleted)") != self {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil {
			continue
		}
		args := strings.Split(string(line), "\x00")
		if len(args) > 1 && (args[1] == "serve" || slices.Contains(args, "start-foreground") ||
			strings.Contains(args[0], "server-start")) {
			out = append(out, pid)
		}
	}
	return out
}
