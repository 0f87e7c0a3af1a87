package partition

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/producer"
)

// The scripts under testdata drive one replica; each command prints what it caused and, unless it
// only asks, the state after it. See run for the verbs.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		e := &env{}
		datadriven.RunTest(t, path, e.run)
	})
}

type env struct{ r *Replica }

func (e *env) run(t *testing.T, d *datadriven.TestData) string {
	var out strings.Builder
	switch d.Cmd {
	case "new": // self start end high min-isr flush
		var s Settings
		self, start, end, high := 1, 0, 0, 0
		s.MinInsyncReplicas = 1
		flush := 0
		for key, v := range map[string]*int{"self": &self, "start": &start, "end": &end,
			"high": &high, "min-isr": &s.MinInsyncReplicas, "flush": &flush} {
			d.MaybeScanArgs(t, key, v)
		}
		s.FlushMessages = int64(flush)
		e.r = New(int32(self), int64(start), int64(end), int64(high), &producer.State{}, s)
	case "settings":
		s := e.r.settings
		d.MaybeScanArgs(t, "min-isr", &s.MinInsyncReplicas)
		e.r.SetSettings(s)
	case "lead": // leader epoch isr replicas
		out.WriteString(e.lead(t, d))
	case "append":
		for line := range strings.Lines(d.Input) {
			out.WriteString(e.append(t, strings.Fields(line)))
		}
	case "flushed":
		var end int
		d.ScanArgs(t, "end", &end)
		fmt.Fprintf(&out, "again=%v\n", e.r.Flushed(int64(end)))
	case "fetch":
		var id, offset int
		d.ScanArgs(t, "id", &id)
		d.ScanArgs(t, "offset", &offset)
		fmt.Fprintf(&out, "%s\n", e.r.FollowerFetch(int32(id), int64(offset)).Name())
	case "cancel":
		fmt.Fprintf(&out, "%v\n", e.r.Cancel(d.CmdArgs[0].Key))
	case "check":
		var epoch int
		d.ScanArgs(t, "epoch", &epoch)
		return e.r.CheckLeader(int32(epoch)).String() + "\n"
	case "log-start":
		var start int
		d.ScanArgs(t, "start", &start)
		e.r.SetLogStart(int64(start))
	case "stop":
		e.r.Stop()
	case "fail":
		e.r.Fail()
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	e.r.Completions(func(c Completion) { fmt.Fprintf(&out, "done %v %s\n", c.Token, c.Err.Name()) })
	fmt.Fprintf(&out, "%s epoch=%d start=%d stable=%d high=%d end=%d waiting=%d\n",
		e.r.Role(), e.r.Epoch(), e.r.LogStart(), e.r.LastStable(), e.r.HighWatermark(), e.r.LogEnd(),
		e.r.Waiting())
	return out.String()
}

func (e *env) lead(t *testing.T, d *datadriven.TestData) string {
	var s cluster.PartitionState
	var leader, epoch int
	var isr, replicas []int
	d.ScanArgs(t, "leader", &leader)
	d.ScanArgs(t, "epoch", &epoch)
	d.ScanArgs(t, "isr", &isr)
	replicas = isr
	d.MaybeScanArgs(t, "replicas", &replicas)
	s.Leader, s.LeaderEpoch = int32(leader), int32(epoch)
	for _, id := range isr {
		s.ISR = append(s.ISR, int32(id))
	}
	for _, id := range replicas {
		s.Replicas = append(s.Replicas, int32(id))
	}
	if code := e.r.LeaderAndIsr(&s); code != errcode.None {
		return code.String() + "\n"
	}
	return ""
}

// append runs "token count acks [pid epoch seq] [txn] [internal] [abort] [commit]"; of a marker seq is
// the coordinator's epoch.
func (e *env) append(t *testing.T, f []string) string {
	a := Append{Token: f[0], Producer: producer.Batch{ProducerID: -1}}
	fmt.Sscan(f[1], &a.Count)
	fmt.Sscan(f[2], &a.Acks)
	if len(f) >= 6 {
		fmt.Sscan(strings.Join(f[3:6], " "), &a.Producer.ProducerID, &a.Producer.Epoch,
			&a.Producer.FirstSequence)
		a.Producer.LastSequence = a.Producer.FirstSequence + a.Count - 1
	}
	for _, flag := range f[3:] {
		a.Producer.Transactional = a.Producer.Transactional || flag == "txn"
		a.Internal = a.Internal || flag == "internal"
		if flag == "abort" || flag == "commit" {
			a.Marker = &producer.Marker{ProducerID: a.Producer.ProducerID, Epoch: a.Producer.Epoch,
				CoordinatorEpoch: a.Producer.FirstSequence, Aborted: flag == "abort"}
		}
	}
	d := e.r.Propose(&a)
	switch {
	case d.Err != errcode.None:
		return fmt.Sprintf("%s: %s %s\n", f[0], d.Err.Name(), d.Message)
	case d.Duplicate:
		e.r.Wait(&a, d)
		return fmt.Sprintf("%s: duplicate of %d-%d\n", f[0], d.Base, d.Last)
	}
	flush := ""
	if e.r.Appended(&a, d) {
		flush = ", flush"
	}
	return fmt.Sprintf("%s: write %d-%d epoch %d%s\n", f[0], d.Base, d.Last, d.Epoch, flush)
}
