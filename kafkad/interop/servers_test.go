//go:build interop

package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// repo is the module's root, seen from this package.
func repo(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var build = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("ZKAFKA_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.MkdirTemp("", "zkafka-bin")
	if err != nil {
		return "", err
	}
	built = dir
	cmd := exec.Command("go", "build", "-o", dir, "zkafka/zkd", "zkafka/kafkad")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// built is the directory that build made, empty if there is none.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // what is left in the temporary directory fails no test
	}
	os.Exit(code)
}

func bin(t *testing.T, name string) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// needForeign skips a test that needs what only a machine with Java, Maven, Python and kcat has.
// The make target says loudly that it sets the variable.
func needForeign(t *testing.T) {
	t.Helper()
	if os.Getenv("INTEROP_GO_ONLY") != "" {
		t.Skip("INTEROP_GO_ONLY: Java, Maven, Python or kcat is missing on this machine")
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// output collects what a process writes; safe while it runs.
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

// process is a server under test or beside it.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
	err  error
}

func start(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: cmd, out: &output{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("--- last lines of %s\n%s", name, tail(p.out.String(), 40))
		}
	})
	return p
}

func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// stop ends the process in an orderly way and fails the test if it does not exit with status 0 (143
// for a JVM).
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%s did not stop within 30 s of SIGTERM\n%s", p.name, tail(p.out.String(), 30))
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) && exit.ExitCode() != 143 {
		p.t.Errorf("%s ended with %v\n%s", p.name, p.err, tail(p.out.String(), 30))
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// kill is kill -9, and waits until the process is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// waitPort waits until something accepts on the address, as long as the process lives.
func (p *process) waitPort(addr string) {
	p.t.Helper()
	deadline := time.After(90 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-p.done:
			p.t.Fatalf("%s ended before it listened on %s: %v\n%s", p.name, addr, p.err,
				tail(p.out.String(), 40))
		case <-deadline:
			p.t.Fatalf("%s does not listen on %s\n%s", p.name, addr, tail(p.out.String(), 40))
		}
	}
}

// startOurs starts one of our daemons and waits for READY=1 on the socket that systemd would give
// it.
func startOurs(t *testing.T, name string, args ...string) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock := filepath.Join(dir, "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: sock, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		buf, once := make([]byte, 4096), sync.Once{}
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(buf[:n])) {
				if strings.TrimSpace(line) == "READY=1" {
					once.Do(func() { close(ready) })
				}
			}
		}
	}()
	cmd := exec.Command(bin(t, name), args...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+sock)
	p := start(t, name, cmd)
	t.Cleanup(func() { conn.Close() })
	select {
	case <-ready:
	case <-p.done:
		t.Fatalf("%s ended before it was ready: %v\n%s", name, p.err, tail(p.out.String(), 40))
	case <-time.After(60 * time.Second):
		t.Fatalf("%s was not ready within 60 s\n%s", name, tail(p.out.String(), 40))
	}
	return p
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// zkd starts our coordinator on dataDir and returns its address.
func zkd(t *testing.T, dataDir string) (*process, string) {
	t.Helper()
	port := freePort(t)
	cfg := writeFile(t, filepath.Join(t.TempDir(), "zoo.cfg"), fmt.Sprintf(
		"tickTime=2000\ndataDir=%s\nclientPort=%d\nadmin.enableServer=false\n", dataDir, port))
	return startOurs(t, "zkd", "serve", "--config", cfg), fmt.Sprintf("localhost:%d", port)
}

// apacheZooKeeper starts Apache's server on dataDir and returns its address.
func apacheZooKeeper(t *testing.T, release, dataDir string) (*process, string) {
	t.Helper()
	needForeign(t)
	port := freePort(t)
	cfg := writeFile(t, filepath.Join(t.TempDir(), "zoo.cfg"), fmt.Sprintf(
		"tickTime=2000\ndataDir=%s\nclientPort=%d\nadmin.enableServer=false\n"+
			"4lw.commands.whitelist=*\n", dataDir, port))
	p := start(t, "zookeeper-"+release, peerCommand(t, "zk", "zookeeper-"+release, cfg))
	addr := fmt.Sprintf("localhost:%d", port)
	p.waitPort(addr)
	return p, addr
}

const brokerConfig = `broker.id=%d
listeners=PLAINTEXT://localhost:%d
log.dirs=%s
zookeeper.connect=%s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=5
%s
`

// kafkad starts our broker with id 0 and returns its address.
func kafkad(t *testing.T, zk, logDir, extra string) (*process, string) {
	t.Helper()
	port := freePort(t)
	cfg := writeFile(t, filepath.Join(t.TempDir(), "server.properties"),
		fmt.Sprintf(brokerConfig, 0, port, logDir, zk, "admin.address=\n"+extra))
	return startOurs(t, "kafkad", "serve", "--config", cfg), fmt.Sprintf("localhost:%d", port)
}

// apacheKafka starts Apache's broker with id 0 and returns its address.
func apacheKafka(t *testing.T, release, zk, logDir, extra string) (*process, string) {
	t.Helper()
	needForeign(t)
	port := freePort(t)
	cfg := writeFile(t, filepath.Join(t.TempDir(), "server.properties"),
		fmt.Sprintf(brokerConfig, 0, port, logDir, zk, extra))
	p := start(t, "kafka-"+release, peerCommand(t, "kafka", "kafka-"+release, cfg))
	addr := fmt.Sprintf("localhost:%d", port)
	p.waitPort(addr)
	return p, addr
}

func peerCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(repo(t), ".ci/peers/peer"), args...)
	cmd.Env = os.Environ()
	if os.Getenv("PEER_JVM") == "" {
		// A tool lives for a second or two: the second compiler only keeps the machine busy.
		cmd.Env = append(cmd.Env, "PEER_JVM=-Xmx512m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
	}
	return cmd
}

// apache runs one of Apache's tools to its end and returns standard output and standard error
// together.
func apache(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	needForeign(t)
	return runTool(t, peerCommand(t, args...), stdin)
}

// ours runs one of our tools under the name people type.
func ours(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	return runTool(t, oursCommand(t, name, args...), stdin)
}

func oursCommand(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	link := filepath.Join(t.TempDir(), name)
	daemon := "kafkad"
	if strings.HasPrefix(name, "zk") {
		daemon = "zkd"
	}
	if err := os.Symlink(bin(t, daemon), link); err != nil {
		t.Fatal(err)
	}
	return exec.Command(link, args...)
}

// runTool runs a command to its end (90 s at most) and returns standard output and standard error
// together.
func runTool(t *testing.T, cmd *exec.Cmd, stdin string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin = io.NopCloser(strings.NewReader(stdin))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, tail(out.String(), 40))
	}
	return out.String()
}

// want fails the test unless text holds every part.
func want(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: want %q in\n%s", what, part, tail(text, 30))
		}
	}
}
