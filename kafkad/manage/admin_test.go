package manage

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestUntilSettled(t *testing.T) {
	answers := func(list ...error) (func(context.Context) error, *int) {
		n := new(int)
		return func(context.Context) error {
			*n++
			return list[min(*n, len(list))-1]
		}, n
	}
	young, n := answers(kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, nil)
	if err := untilSettled(t.Context(), young); err != nil || *n != 3 {
		t.Errorf("a coordinator that comes: %v after %d questions", err, *n)
	}
	forbidden, n := answers(kerr.GroupAuthorizationFailed, nil)
	err := untilSettled(t.Context(), forbidden)
	if !errors.Is(err, kerr.GroupAuthorizationFailed) || *n != 1 {
		t.Errorf("a final refusal: %v after %d questions", err, *n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never, n := answers(kerr.CoordinatorNotAvailable)
	err = untilSettled(ctx, never)
	if !errors.Is(err, kerr.CoordinatorNotAvailable) || *n != 1 {
		t.Errorf("no coordinator in time: %v after %d questions", err, *n)
	}
}
