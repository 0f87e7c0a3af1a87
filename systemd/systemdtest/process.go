// Package systemdtest stands in for the service manager in tests: it runs daemons, hears what they
// tell their manager, and ends them with the test.
package systemdtest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a process may take for what a test waits for.
const Patience = 30 * time.Second

// Process is a process that a test has started, with the messages it sends to its service manager.
type Process struct {
	t      testing.TB
	cmd    *exec.Cmd
	output output
	notify *net.UnixConn
	ended  chan struct{} // closed when it has ended
}

// Start starts cmd, with its output and the notify socket taken over. The process is killed when
// the test is over, and what it said is logged if the test failed.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{t: t, cmd: cmd, notify: notify, ended: make(chan struct{})}
	cmd.Env = append(cmd.Environ(), "NOTIFY_SOCKET="+socket)
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // ExitCode tells
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Kill()
		_ = notify.Close()
		_ = os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("%s said\n%s", filepath.Base(cmd.Args[0]), p.Output())
		}
	})
	return p
}

// Until waits for a message that has a line with this beginning.
func (p *Process) Until(line string) {
	p.t.Helper()
	buf := make([]byte, 4096)
	if err := p.notify.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		p.t.Fatal(err)
	}
	for {
		n, err := p.notify.Read(buf)
		if err != nil {
			p.t.Fatalf("no %s: %v", line, err)
		}
		for l := range strings.SplitSeq(string(buf[:n]), "\n") {
			if strings.HasPrefix(l, line) {
				return
			}
		}
	}
}

// Output is what the process has written so far.
func (p *Process) Output() string { return p.output.String() }

// Signal sends a signal to the process, which must live.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Kill is kill -9, if the process lives, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// Exit waits for the end and returns the exit code, -1 after a signal.
func (p *Process) Exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(Patience):
		p.t.Fatalf("%s does not end", p.cmd)
		return 0
	}
}

// Stop asks the process to end and fails the test unless it does so with exit code 0.
func (p *Process) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	if code := p.Exit(); code != 0 {
		p.t.Errorf("%s: exit code %d after SIGTERM", p.cmd, code)
	}
}

// output collects what a process writes while others read it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// FreePort is a TCP port that nobody listens on now.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
