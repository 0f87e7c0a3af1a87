package errcode

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The client library carries the same table, made from the protocol's own definition.
func TestTableAgreesWithClients(t *testing.T) {
	// Code 6 got its present name in 2.4; the library keeps the older one.
	for c := Code(-1); c <= TransactionAbortable; c++ {
		want := kerr.TypedErrorForCode(int16(c))
		if c == None {
			continue
		}
		if c == 99 {
			if c.Known() {
				t.Error("99 is not a code")
			}
			continue
		}
		if !c.Known() || want == nil {
			t.Fatalf("%d: known %v, client %v", c, c.Known(), want)
		}
		if c.Name() != want.Message && c != NotLeaderOrFollower {
			t.Errorf("%d is %s, clients say %s", c, c.Name(), want.Message)
		}
		if c.Message() == "" {
			t.Errorf("%s has no message", c)
		}
	}
}

func TestOf(t *testing.T) {
	if Of(nil) != None || None.Err() != nil {
		t.Error("nil and None must mean the same")
	}
	if got := Of(fmt.Errorf("append: %w", NotEnoughReplicas)); got != NotEnoughReplicas {
		t.Errorf("wrapped code: %s", got)
	}
	if got := Of(errors.New("disk")); got != UnknownServerError {
		t.Errorf("foreign error: %s", got)
	}
	if got := Of(Code(7).Err()); got != RequestTimedOut {
		t.Errorf("code 7: %s", got)
	}
}
