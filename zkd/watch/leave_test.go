package watch_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"zkafka/zkd/proto"
	"zkafka/zkd/watch"
)

// TestOrderAfterLeaving: watchers are told in the order in which they registered, whoever has left
// in between, and one that comes back is the last.
func TestOrderAfterLeaving(t *testing.T) {
	const n = 500
	m := watch.New[int]()
	var want []int
	for w := range n {
		m.AddPersistent("/a", w)
		m.AddData("/b", w)
		want = append(want, w)
	}
	leave := func(w int) {
		if w%2 == 0 {
			m.RemoveAll(w)
		} else if !m.Remove("/a", w, proto.WatcherPersistent) {
			t.Fatalf("%d was not there", w)
		}
		i := slices.Index(want, w)
		want = slices.Delete(want, i, i+1)
	}
	for w := range n {
		if w%7 != 0 {
			leave(w)
		}
		if w%50 == 0 {
			m.AddPersistent("/a", n+w)
			want = append(want, n+w)
		}
		if got := m.Trigger(nil, proto.EventNodeDataChanged, "/a"); !slices.Equal(got, want) {
			t.Fatalf("after %d told %v, not %v", w, got, want)
		}
	}
	for _, w := range slices.Clone(want) {
		if !m.Contains("/a", w, proto.WatcherPersistent) {
			t.Fatalf("%d has lost its watch", w)
		}
		m.RemoveAll(w)
	}
	if got := m.Trigger(nil, proto.EventNodeDataChanged, "/a"); len(got) != 0 {
		t.Errorf("told %v, who have left", got)
	}
}

// TestLeavingIsLinear: the time that watchers take to register, to register again and to leave grows
// with their number, also when all of them watch the same few paths.
func TestLeavingIsLinear(t *testing.T) {
	run := func(watchers int) time.Duration {
		paths := []string{"/a", "/a/b", "/a/c"}
		return threadTime(func() {
			m := watch.New[int]()
			for range 2 {
				for w := range watchers {
					for _, path := range paths {
						m.AddData(path, w)
						m.AddPersistent(path, w)
					}
				}
			}
			m.AddRecursive("/", -1) // makes every event look at all ancestors
			for i := range watchers {
				m.Trigger(nil, proto.EventNodeDeleted, fmt.Sprintf("/a/d/%d", i))
			}
			for w := range watchers {
				m.Remove(paths[0], w, proto.WatcherAny)
				m.RemoveAll(w)
			}
		})
	}
	const n = 2000
	small, large := fastest(run, n), fastest(run, 16*n)
	if large > 16*4*small {
		t.Errorf("%d watchers take %v, %d take %v", n, small, 16*n, large)
	}
}

// fastest is the least time that run takes in a few attempts.
func fastest(run func(int) time.Duration, n int) time.Duration {
	least := run(n)
	for range 2 {
		least = min(least, run(n))
	}
	return least
}

// threadTime is the processor time that f takes, which other processes do not make longer.
func threadTime(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadNow()
	f()
	return threadNow() - begin
}

func threadNow() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}
