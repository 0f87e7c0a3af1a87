//go:build interop

package interop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"zkafka/zkd/client"
)

// root is the top of the repository, found from the test's working directory.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// peer is the script that brings and runs Apache's releases.
func peer(t testing.TB) string { return filepath.Join(root(t), ".ci", "peers", "peer") }

// freePort returns a TCP port nobody listens on now.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// server is a ZooKeeper server under test: ours or Apache's.
type server struct {
	t    testing.TB
	name string // "zkd", or a peer such as "zookeeper-3.9.4"
	addr string
	dir  string // holds zoo.cfg and data
	cmd  *exec.Cmd
	out  *bytes.Buffer
}

// foreign skips a test that needs more than Go where that is not to be had.
func foreign(t testing.TB) {
	t.Helper()
	if os.Getenv("INTEROP_GO_ONLY") != "" {
		t.Skip("INTEROP_GO_ONLY is set: Java, Maven or Python is missing")
	}
}

// startServer starts a server on a free port with an empty data directory and waits until it
// serves.
func startServer(t testing.TB, name string, extra ...string) *server {
	t.Helper()
	if name != "zkd" {
		foreign(t)
		if testing.Short() {
			t.Skip("-short: not against Apache's servers")
		}
	}
	s := &server{t: t, name: name, dir: t.TempDir()}
	port := freePort(t)
	s.addr = fmt.Sprintf("127.0.0.1:%d", port)
	cfg := append([]string{
		"tickTime=500",
		"dataDir=" + filepath.Join(s.dir, "data"),
		"clientPortAddress=127.0.0.1",
		fmt.Sprintf("clientPort=%d", port),
		"admin.enableServer=false",
		"maxClientCnxns=0",
		"4lw.commands.whitelist=*",
	}, extra...)
	s.write("zoo.cfg", strings.Join(cfg, "\n")+"\n")
	if err := os.MkdirAll(filepath.Join(s.dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// start runs the server on its directory and waits until it grants a session.
func (s *server) start() {
	s.t.Helper()
	s.launch()
	s.wait()
}

// launch runs the server on its directory.
func (s *server) launch() {
	s.t.Helper()
	cfg := filepath.Join(s.dir, "zoo.cfg")
	if s.name == "zkd" {
		s.cmd = exec.Command(zkdBinary(s.t), "serve", "--config", cfg)
	} else {
		s.cmd = exec.Command(peer(s.t), "zk", s.name, cfg)
	}
	s.out = new(bytes.Buffer)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// wait waits until the server grants a session.
func (s *server) wait() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{Servers: []string{s.addr}})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := c.Wait(ctx); err != nil {
		s.kill()
		s.t.Fatalf("%s does not serve: %v\n%s", s.name, err, s.out)
	}
	if err := c.Close(ctx); err != nil {
		s.t.Fatal(err)
	}
}

// kill ends the server without warning.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	if s.t.Failed() {
		s.t.Logf("output of %s:\n%s", s.name, s.out)
	}
	s.cmd = nil
}

// stop ends the server as a service manager does.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	err := s.cmd.Wait()
	if s.name == "zkd" && err != nil {
		s.t.Errorf("zkd after SIGTERM: %v\n%s", err, s.out)
	}
	s.cmd = nil
}

var built struct {
	sync.Once
	path string
	err  error
}

// zkdBinary builds ./zkd once per run of the tests.
func zkdBinary(t testing.TB) string {
	t.Helper()
	built.Do(func() {
		dir, err := os.MkdirTemp("", "zkd-interop")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "zkd")
		cmd := exec.Command("go", "build", "-o", built.path, "./zkd")
		cmd.Dir = root(t)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build zkd: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.path != "" {
		_ = os.RemoveAll(filepath.Dir(built.path))
	}
	os.Exit(code)
}
