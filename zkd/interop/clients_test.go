//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// syncBuffer is what a process has printed so far.
type syncBuffer struct {
	mu   sync.Mutex
	b    bytes.Buffer
	seen int
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

// expect waits until text appears after what was expected before.
func (s *syncBuffer) expect(t *testing.T, text string) {
	t.Helper()
	ctx := timeout(t)
	for {
		s.mu.Lock()
		rest := s.b.String()[s.seen:]
		if i := strings.Index(rest, text); i >= 0 {
			s.seen += i + len(text)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		select {
		case <-time.After(10 * time.Millisecond): // another process: there is nothing to wait on
		case <-ctx.Done():
			t.Fatalf("%q was not printed; instead\n%s", text, rest)
		}
	}
}

// TestInteropKazoo runs testdata/kazoo_check.py with the Python client, against Apache's server
// too, so that the script itself is checked.
func TestInteropKazoo(t *testing.T) {
	foreign(t)
	python := kazoo(t)
	for _, name := range []string{"zookeeper-3.9.4", "zkd"} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, name)
			cmd := exec.CommandContext(timeout(t), python, "testdata/kazoo_check.py", s.addr)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// kazoo installs the Python client in an environment of its own, once per machine.
func kazoo(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	check(t, err)
	dir := filepath.Join(cache, "zkafka-interop", "kazoo-2.10.0")
	python := filepath.Join(dir, "bin", "python")
	if exec.CommandContext(t.Context(), python, "-c", "import kazoo").Run() == nil {
		return python
	}
	check(t, os.MkdirAll(dir, 0o755))
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		{filepath.Join(dir, "bin", "pip"), "install", "-q", "kazoo==2.10.0"},
	} {
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return python
}

// quiet drops what go-zookeeper logs.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// TestInteropGoZookeeper runs the Go community's client.
func TestInteropGoZookeeper(t *testing.T) {
	for _, name := range []string{"zookeeper-3.9.4", "zkd"} {
		t.Run(name, func(t *testing.T) { goZookeeper(t, startServer(t, name)) })
	}
}

func goConnect(t *testing.T, s *server) *zk.Conn {
	t.Helper()
	c, _, err := zk.Connect([]string{s.addr}, 5*time.Second, zk.WithLogger(quiet{}))
	check(t, err)
	t.Cleanup(c.Close)
	goSession(t, c, true)
	return c
}

// goSession waits until the client has a session, or has lost its server. The library's channel of
// events drops some when it is full, so that only its state can be trusted.
func goSession(t *testing.T, c *zk.Conn, want bool) {
	t.Helper()
	ctx := timeout(t)
	for (c.State() == zk.StateHasSession) != want {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("state %v", c.State())
		}
	}
}

func goEvent(t *testing.T, ch <-chan zk.Event, kind zk.EventType) {
	t.Helper()
	select {
	case e := <-ch:
		if e.Type != kind {
			t.Errorf("event %v, want %v", e, kind)
		}
	case <-timeout(t).Done():
		t.Errorf("no event %v", kind)
	}
}

func goZookeeper(t *testing.T, s *server) {
	c, other := goConnect(t, s), goConnect(t, s)
	open := zk.WorldACL(zk.PermAll)
	_, err := c.Create("/go", []byte("one"), 0, open)
	check(t, err)
	data, st, watch, err := c.GetW("/go")
	check(t, err)
	if string(data) != "one" || st.Version != 0 {
		t.Errorf("got %q %+v", data, st)
	}
	_, err = other.Set("/go", []byte("two"), 0)
	check(t, err)
	goEvent(t, watch, zk.EventNodeDataChanged)
	if _, err := other.Set("/go", nil, 0); !errors.Is(err, zk.ErrBadVersion) {
		t.Errorf("old version: %v", err)
	}
	_, _, watch, err = c.ChildrenW("/go")
	check(t, err)
	p, err := other.Create("/go/s-", nil, zk.FlagEphemeral|zk.FlagSequence, open)
	check(t, err)
	if p != "/go/s-0000000000" {
		t.Errorf("created %q", p)
	}
	goEvent(t, watch, zk.EventNodeChildrenChanged)
	p, err = c.CreateProtectedEphemeralSequential("/go/lock-", nil, open)
	check(t, err)
	names, _, err := c.Children("/go")
	check(t, err)
	if len(names) != 2 || !slices.Contains(names, strings.TrimPrefix(p, "/go/")) {
		t.Errorf("children %v with %s", names, p)
	}
	res, err := c.Multi(
		&zk.CreateRequest{Path: "/go/m", Acl: open},
		&zk.SetDataRequest{Path: "/go", Data: []byte("three"), Version: 1},
		&zk.CheckVersionRequest{Path: "/go", Version: 2},
		&zk.DeleteRequest{Path: "/go/m", Version: -1})
	if err != nil || len(res) != 4 || res[0].String != "/go/m" || res[1].Stat.Version != 2 {
		t.Errorf("multi %v, %v", res, err)
	}
	_, err = c.Multi(&zk.DeleteRequest{Path: "/go/none", Version: -1})
	if !errors.Is(err, zk.ErrNoNode) {
		t.Errorf("failed multi: %v", err)
	}
	check(t, c.AddAuth("digest", []byte("u:p")))
	_, err = c.Create("/go/mine", nil, 0, zk.AuthACL(zk.PermAll))
	check(t, err)
	acl, _, err := c.GetACL("/go/mine")
	check(t, err)
	if want := zk.DigestACL(zk.PermAll, "u", "p"); !slices.Equal(acl, want) {
		t.Errorf("ACL %v, want %v", acl, want)
	}
	if _, _, err := other.Get("/go/mine"); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("get by a stranger: %v", err)
	}
	_, _, gone, err := c.ExistsW("/go/s-0000000000")
	check(t, err)
	other.Close()
	goEvent(t, gone, zk.EventNodeDeleted)

	// The session lives through a crash of the server.
	id := c.SessionID()
	_, _, watch, err = c.GetW("/go")
	check(t, err)
	s.kill()
	goSession(t, c, false)
	s.start()
	goSession(t, c, true)
	if c.SessionID() != id {
		t.Error("another session after the restart")
	}
	third := goConnect(t, s)
	_, err = third.Set("/go", []byte(fmt.Sprint(id)), -1)
	check(t, err)
	goEvent(t, watch, zk.EventNodeDataChanged)
	if found, _, err := third.Exists(p); err != nil || !found {
		t.Errorf("the ephemeral after the restart: %v %v", found, err)
	}
}
