//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// writer creates nodes as fast as it can and notes those that were acknowledged.
type writer struct {
	c     *client.Client
	path  string
	acked []string
	lost  int
}

func (w *writer) run(ctx context.Context) error {
	for i := 0; ctx.Err() == nil; i++ {
		p := fmt.Sprintf("%s-%d", w.path, i)
		_, err := w.c.Create(ctx, p, []byte(p), proto.OpenACL(), proto.ModePersistent)
		switch {
		case err == nil:
			w.acked = append(w.acked, p)
		case errors.Is(err, client.ErrConnectionLoss):
			w.lost++
		case errors.Is(err, context.Canceled):
		default:
			return fmt.Errorf("create %s: %w", p, err)
		}
	}
	return nil
}

// TestInteropCrash kills zkd again and again under load. Every acknowledged node must be there, no
// session may be lost, and nobody may hang.
func TestInteropCrash(t *testing.T) {
	s := startServer(t, "zkd", "snapCount=200")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writers []*writer
	errs := make(chan error, 8)
	var wg sync.WaitGroup
	for i := range cap(errs) {
		w := &writer{c: dial(t, s), path: fmt.Sprintf("/w%d", i)}
		_, err := w.c.Create(ctx, w.path+"-here", nil, proto.OpenACL(), proto.ModeEphemeral)
		check(t, err)
		writers = append(writers, w)
		wg.Go(func() { errs <- w.run(ctx) })
	}
	probe := dial(t, s)
	for range 6 {
		// Some progress, so that each crash has something to lose.
		_, st, changed, err := probe.ChildrenW(timeout(t), "/")
		check(t, err)
		for start := st.Cversion; st.Cversion < start+300; {
			event(t, changed)
			_, st, changed, err = probe.ChildrenW(timeout(t), "/")
			check(t, err)
		}
		s.kill()
		s.start()
		check(t, probe.Wait(timeout(t)))
	}
	cancel()
	wg.Wait()
	total := 0
	for range writers {
		check(t, <-errs)
	}
	for _, w := range writers {
		ops := []client.Op{client.ExistsOp(w.path + "-here")}
		for _, p := range w.acked {
			ops = append(ops, client.GetOp(p))
		}
		for i, r := range probe.Pipeline(timeout(t), ops...) {
			if r.Err != nil {
				t.Errorf("operation %d of %s: %v", i, w.path, r.Err)
				break
			}
			if i > 0 && string(r.Data) != w.acked[i-1] {
				t.Errorf("%s holds %q", w.acked[i-1], r.Data)
			}
		}
		total += len(w.acked)
		check(t, w.c.Wait(timeout(t)))
		check(t, w.c.Close(timeout(t)))
	}
	t.Logf("%d nodes acknowledged over 6 crashes, %d in doubt", total, inDoubt(writers))
	check(t, probe.Close(timeout(t)))
}

func inDoubt(writers []*writer) (n int) {
	for _, w := range writers {
		n += w.lost
	}
	return n
}
