package host_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"zkafka/zkd/disk"
	"zkafka/zkd/host"
	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
)

// runs is how often a crash test cuts the power, $CRASH_RUNS or few.
func runs(t *testing.T) (n int, seed uint64) {
	n, seed = 25, uint64(time.Now().UnixNano())
	if s := os.Getenv("CRASH_RUNS"); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		n = v
	}
	if s := os.Getenv("CRASH_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = v
	}
	return n, seed
}

// TestCrashHost cuts the power of a whole server while clients write, kills its process, or fails a
// sync of its disk. After the restart every write that was acknowledged is there, and no write that
// was never sent; the digests of the log fit.
func TestCrashHost(t *testing.T) {
	n, seed := runs(t)
	for i := range n {
		s := seed + uint64(i)
		t.Run(fmt.Sprintf("CRASH_SEED=%#x", s), func(t *testing.T) {
			crashOnce(t, rand.New(rand.NewPCG(s, 1)))
		})
	}
}

// writer is one client: it owns a node and sets it to 1, 2, 3, ...
type writer struct {
	path         string
	sent, stored int
}

func crashOnce(t *testing.T, rng *rand.Rand) {
	fs := disk.NewMem()
	writers := make([]*writer, 4)
	for i := range writers {
		writers[i] = &writer{path: fmt.Sprintf("/w%d", i)}
	}
	const lives = 4
	for range lives {
		o := host.Options{
			FS: fs, DataDir: "/data", PreallocBytes: 4096, SnapCount: 20 + rng.IntN(60),
			SnapRetainCount: 3, PurgeInterval: time.Hour,
		}
		fs.CutAfter(rng.IntN(150))
		if rng.IntN(3) == 0 {
			f := disk.Fault{Op: disk.OpSync, Err: syscall.EIO, Times: 1, Skip: rng.IntN(20)}
			if rng.IntN(2) == 0 {
				f.Rand = rng
			}
			fs.Fail(f)
		}
		h, err := host.Open(o)
		if err == nil {
			live(t, h, writers)
		}
		if rng.IntN(2) == 0 {
			fs = fs.Kill()
		} else {
			fs = fs.Crash(rng)
		}
	}
	h, err := host.Open(host.Options{FS: fs, DataDir: "/data", PreallocBytes: 4096})
	if err != nil {
		t.Fatalf("the server does not start again: %v", err)
	}
	defer closeHost(t, h)
	c := attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	for _, w := range writers {
		b, err := c.get(w.path)
		if err != nil && w.stored > 0 {
			t.Errorf("%s is lost, it was set to %d: %v", w.path, w.stored, err)
			continue
		}
		if err != nil {
			continue
		}
		got, err := strconv.Atoi(string(b))
		if err != nil || got < w.stored || got > w.sent {
			t.Errorf("%s holds %q; %d was acknowledged, %d was sent", w.path, b, w.stored, w.sent)
		}
	}
	if err := h.View(context.Background(), func(m *replica.Machine) {
		if n := m.Status().Digest.Mismatches; n != 0 {
			t.Errorf("%d digests do not fit", n)
		}
	}); err != nil {
		t.Error(err)
	}
}

// live lets the writers write until the power is cut.
func live(t *testing.T, h *host.Host, writers []*writer) {
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() { w.run(t, h) })
	}
	wg.Wait()
	<-h.Done()
}

func (w *writer) run(t *testing.T, h *host.Host) {
	const window = 8
	c := attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		return
	}
	if err := c.create(w.path, []byte(strconv.Itoa(w.sent))); err == nil {
		w.stored = max(w.stored, w.sent)
	}
	for {
		first := w.sent + 1
		var b []byte
		for range window {
			w.sent++
			b = c.request(b, proto.OpSetData, &proto.SetDataRequest{
				Path: w.path, Data: []byte(strconv.Itoa(w.sent)), Version: -1,
			})
		}
		c.sendFrames(b)
		for i := range window {
			if _, err := c.reply(); err != nil {
				return
			}
			w.stored = first + i
		}
	}
}
