//go:build bench

package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"zkafka/zkd/host"
	"zkafka/zkd/server"
)

// BenchmarkServer loads a server in this process, for profiles: -cpuprofile shows both sides.
func BenchmarkServer(b *testing.B) {
	for _, kind := range []Kind{Create, Set, Get} {
		b.Run(string(kind), func(b *testing.B) {
			snapCount, _ := strconv.Atoi(os.Getenv("SNAPCOUNT"))
			h, err := host.Open(host.Options{DataDir: b.TempDir(), SnapCount: snapCount})
			if err != nil {
				b.Fatal(err)
			}
			s, err := server.New(server.Options{Host: h, Addresses: []string{"127.0.0.1:0"}})
			if err != nil {
				b.Fatal(err)
			}
			s.Start(nil)
			defer func() {
				s.Close()
				if err := h.Close(context.Background()); err != nil {
					b.Fatal(err)
				}
			}()
			b.ResetTimer()
			res, err := Run(b.Context(), s.Addrs()[0].String(), Spec{
				Kind: kind, Ops: b.N, Root: fmt.Sprintf("/%s", kind), PID: os.Getpid(),
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(res.Rate(), "ops/s")
			b.ReportMetric(res.CPUPerMillion().Seconds(), "cpu-s/M")
		})
	}
}
