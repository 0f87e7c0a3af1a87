package host

import (
	"io"
	"strings"
	"testing"
	"time"

	"zkafka/kafkad/disk"
)

// What was flushed is in the next checkpoint, although nothing was appended since the last one:
// a start after a crash reads everything behind the recovery point again.
func TestFlushMovesTheRecoveryPoint(t *testing.T) {
	for name, flush := range map[string]func(h *Host, p *Partition){
		"by time": func(h *Host, _ *Partition) { h.flushByTime(time.Now()) },
		"by messages": func(_ *Host, p *Partition) {
			end := p.log.End()
			p.flushed(end, p.log.Flush())
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := disk.NewMem()
			h := open(t, fs, map[string]string{"flush.ms": "1"})
			lead(t, h, state("t", 0, 0, 1))
			if _, err := h.Append(t.Context(), TP{Topic: "t"}, batch("x"), 1, 0); err != nil {
				t.Fatal(err)
			}
			h.checkpoint(time.Now())
			if got := recoveryPoints(t, fs); !strings.Contains(got, "\nt 0 0\n") {
				t.Fatalf("before the flush:\n%s", got)
			}
			flush(h, h.LookupName("t", 0))
			h.checkpoint(time.Now())
			if got := recoveryPoints(t, fs); !strings.Contains(got, "\nt 0 1\n") {
				t.Errorf("behind the flush:\n%s", got)
			}
		})
	}
}

func recoveryPoints(t *testing.T, fs disk.FS) string {
	t.Helper()
	f, err := fs.Open("/data/recovery-point-offset-checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
