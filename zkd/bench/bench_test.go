//go:build bench

package bench

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestRun loads the server at $ADDR, whose process is $PID, $ROUNDS times with each kind.
func TestRun(t *testing.T) {
	addr := os.Getenv("ADDR")
	if addr == "" {
		t.Skip("ADDR is not set")
	}
	pid, _ := strconv.Atoi(os.Getenv("PID"))
	rounds, _ := strconv.Atoi(os.Getenv("ROUNDS"))
	ops, _ := strconv.Atoi(os.Getenv("OPS"))
	if ops == 0 {
		ops = 200_000
	}
	for round := range max(rounds, 1) {
		for _, kind := range []Kind{Create, Set, Get} {
			res, err := Run(t.Context(), addr, Spec{
				Kind: kind, Ops: ops, PID: pid,
				Root: fmt.Sprintf("/bench-%d-%s-%d", time.Now().UnixNano(), kind, round),
			})
			if err != nil {
				t.Fatal(err)
			}
			mem, _ := Memory(max(pid, 1))
			fmt.Printf("%-6s %9.0f/s  cpu %6.2f s/M  p50 %v p99 %v max %v  rss %d MB\n", kind,
				res.Rate(), res.CPUPerMillion().Seconds(), res.P50, res.P99, res.Max, mem>>20)
		}
	}
}
