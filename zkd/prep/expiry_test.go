package prep_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"zkafka/zkd/prep"
	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
)

// TestManySessionsEndLinear: when many sessions with ephemerals end together, the time to prepare
// their closing grows with their number, whether their ephemerals are applied or in flight.
func TestManySessionsEndLinear(t *testing.T) {
	const each = 5 // ephemerals of a session
	run := func(sessions int) time.Duration {
		tr := tree.New()
		p := newPrep(t, tr, prep.Options{})
		for s := range int64(sessions) {
			for i := range each {
				var txn prep.Txn
				p.Prepare(&txn, &prep.Request{
					Session: s + 1, Op: proto.OpCreate, Body: &proto.CreateRequest{
						Path: fmt.Sprintf("/e%d-%d", s, i), ACL: proto.OpenACL(),
						Flags: proto.ModeEphemeral,
					},
				})
				if s < int64(sessions)/2 {
					tr.Apply(&txn.Txn)
					p.Applied(txn.Header.Zxid)
				}
			}
		}
		took := threadTime(func() {
			for s := range int64(sessions) {
				var txn prep.Txn
				p.Prepare(&txn, &prep.Request{Session: s + 1, Op: proto.OpCloseSession})
				if n := len(txn.Body.(*proto.CloseSessionTxn).Paths); n != each {
					t.Fatalf("session %d leaves with %d ephemerals, not %d", s, n, each)
				}
			}
		})
		return took
	}
	const n = 250
	small, large := fastest(run, n), fastest(run, 16*n)
	if large > 16*4*small {
		t.Errorf("%d sessions take %v, %d take %v", n, small, 16*n, large)
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
