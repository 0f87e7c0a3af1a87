package host_test

import (
	"context"
	"errors"
	"testing"

	"zkafka/zkd/disk"
	"zkafka/zkd/host"
	"zkafka/zkd/replica"
)

// TestViewGivenUp: a view whose caller has gone does not run any more, for what it writes to may
// be in use otherwise.
func TestViewGivenUp(t *testing.T) {
	h := open(t, disk.NewMem(), host.Options{})
	defer closeHost(t, h)
	entered, leave := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		first <- h.View(context.Background(), func(*replica.Machine) {
			close(entered)
			<-leave
		})
	}()
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ran := false
	if err := h.View(ctx, func(*replica.Machine) { ran = true }); !errors.Is(err, ctx.Err()) {
		t.Error(err)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := h.View(context.Background(), func(*replica.Machine) {}); err != nil {
		t.Error(err)
	}
	if ran {
		t.Error("it ran")
	}
}
