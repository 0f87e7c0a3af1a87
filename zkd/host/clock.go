package host

import (
	"time"

	"golang.org/x/sys/unix"
)

var processStart = time.Now()

// bootNanos is CLOCK_MONOTONIC at processStart.
var bootNanos = func() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}()

// monotonicNanos is CLOCK_MONOTONIC without a system call: time.Since is served by the vDSO.
func monotonicNanos() int64 { return bootNanos + int64(time.Since(processStart)) }

// Nanos returns the monotonic clock of all hosts of the process, for the arrival time of requests.
func Nanos() int64 { return monotonicNanos() }
