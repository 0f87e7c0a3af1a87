package watch_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"zkafka/zkd/proto"
	"zkafka/zkd/watch"
)

const (
	created  = proto.EventNodeCreated
	deleted  = proto.EventNodeDeleted
	changed  = proto.EventNodeDataChanged
	children = proto.EventNodeChildrenChanged
)

func fire(m *watch.Manager[string], event proto.EventType, path string) string {
	return fmt.Sprint(m.Trigger(nil, event, path))
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("fired %s, not %s", got, want)
	}
}

func TestOneShot(t *testing.T) {
	m := watch.New[string]()
	m.AddData("/a", "x")
	m.AddData("/a", "x")
	m.AddData("/a", "y")
	m.AddChild("/a", "x")
	m.AddChild("/a", "z")
	expect(t, fire(m, children, "/b"), "[]")
	expect(t, fire(m, changed, "/a"), "[x y]")
	expect(t, fire(m, changed, "/a"), "[]")
	m.AddData("/a", "x")
	// x hears of the deletion once although it has both watches.
	expect(t, fire(m, deleted, "/a"), "[x z]")
	expect(t, fire(m, deleted, "/a"), "[]")
	if s := m.Summary(); s != (watch.Summary{}) {
		t.Errorf("left over: %+v", s)
	}
}

func TestPersistent(t *testing.T) {
	m := watch.New[string]()
	m.AddPersistent("/a", "p")
	m.AddRecursive("/a", "r")
	m.AddRecursive("/", "root")
	for range 2 {
		expect(t, fire(m, changed, "/a"), "[p r root]")
		expect(t, fire(m, created, "/a/b"), "[r root]")
		expect(t, fire(m, changed, "/ab"), "[root]")
		expect(t, fire(m, children, "/a"), "[p]")
		expect(t, fire(m, deleted, "/a"), "[p r root]")
	}
	// The modes of one watcher and path live side by side.
	m.AddData("/a", "p")
	m.AddPersistent("/a", "r")
	expect(t, fire(m, changed, "/a"), "[p r root]")
	if m.Contains("/a", "p", proto.WatcherData) {
		t.Error("the one-shot watch is still there")
	}
	for _, kind := range []int32{proto.WatcherPersistent, proto.WatcherPersistentRecursive} {
		if !m.Remove("/a", "r", kind) || m.Remove("/a", "r", kind) {
			t.Errorf("kind %d was not removed once", kind)
		}
	}
	expect(t, fire(m, changed, "/a/b"), "[root]")
	m.RemoveAll("root")
	expect(t, fire(m, changed, "/a/b"), "[]")
}

func TestRemoveTypes(t *testing.T) {
	m := watch.New[string]()
	m.AddData("/a", "x")
	m.AddChild("/a", "x")
	if !m.Contains("/a", "x", proto.WatcherAny) || m.Contains("/a", "y", proto.WatcherAny) {
		t.Error("contains is wrong")
	}
	if m.Remove("/a", "x", proto.WatcherPersistent) {
		t.Error("removed what is not there")
	}
	if !m.Remove("/a", "x", proto.WatcherChildren) || m.Remove("/a", "x", proto.WatcherChildren) {
		t.Error("the child watch was not removed once")
	}
	expect(t, fire(m, changed, "/a"), "[x]")
	m.AddData("/a", "x")
	m.AddRecursive("/a", "x")
	if !m.Remove("/a", "x", proto.WatcherAny) || m.Contains("/a", "x", proto.WatcherAny) {
		t.Error("any does not remove all")
	}
}

// TestAgainstModel compares random histories with a model that keeps no index.
func TestAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := watch.New[int]()
	type reg struct {
		path string
		w    int
		kind int // 0 data, 1 child, 2 persistent, 3 recursive
	}
	var model []reg
	paths := []string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/x"}
	below := func(p, top string) bool {
		return p == top || top == "/" || len(p) > len(top) && p[:len(top)+1] == top+"/"
	}
	drop := func(f func(reg) bool) { model = slices.DeleteFunc(model, f) }
	for step := range 20_000 {
		r := reg{paths[rng.IntN(len(paths))], rng.IntN(20), rng.IntN(4)}
		switch rng.IntN(6) {
		case 0, 1, 2:
			add := []func(string, int){m.AddData, m.AddChild, m.AddPersistent, m.AddRecursive}
			add[r.kind](r.path, r.w)
			if !slices.Contains(model, r) {
				model = append(model, r)
			}
		case 3:
			m.RemoveAll(r.w)
			drop(func(x reg) bool { return x.w == r.w })
		default:
			event := []proto.EventType{created, deleted, changed, children}[rng.IntN(4)]
			want := map[int]bool{}
			for _, x := range model {
				data := x.path == r.path && (x.kind == 0 || x.kind == 2) ||
					x.kind == 3 && below(r.path, x.path)
				child := x.path == r.path && (x.kind == 1 || x.kind == 2)
				if event == children {
					data = false
				} else {
					child = child && event == deleted
				}
				if data || child {
					want[x.w] = true
				}
			}
			got := m.Trigger(nil, event, r.path)
			if len(got) != len(want) {
				t.Fatalf("step %d: %s %s fired %v, not %v", step, event, r.path, got, want)
			}
			for _, w := range got {
				if !want[w] {
					t.Fatalf("step %d: %s %s fired %d", step, event, r.path, w)
				}
			}
			drop(func(x reg) bool {
				return x.path == r.path && (x.kind == 0 && event != children ||
					x.kind == 1 && (event == children || event == deleted))
			})
		}
	}
}
