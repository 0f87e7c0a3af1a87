package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/index"
	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
	"zkafka/kafkad/segment"
)

// stored is a batch as the model knows it.
type stored struct {
	first, last int64
	maxTime     int64
	epoch       int32
	bytes       []byte
}

// model is what a partition may hold after a crash: a prefix of batches that reaches at least to
// durable, or, if an operation was under way, the batches or the cut of that operation too.
type model struct {
	tp      TP
	batches []stored
	end     int64
	durable int64
	start   int64 // highest log start asked for
	pending []stored
}

func (m *model) cut(to int64) {
	for len(m.batches) > 0 && m.batches[len(m.batches)-1].last >= to {
		m.batches = m.batches[:len(m.batches)-1]
	}
	m.end, m.durable = to, min(m.durable, to)
}

// crasher drives one directory through random work and power cuts.
type crasher struct {
	t      *testing.T
	rng    *rand.Rand
	mem    *disk.Mem
	dir    *Dir
	logs   map[TP]*Log
	models map[TP]*model
	config Config
	clock  int64
	epoch  int32
	seqs   map[int64]int32
	out    bool // the power is out
	left   int  // calls until it goes
	trace  []string
}

var errPower = errors.New("power is out")

func (c *crasher) logf(format string, args ...any) {
	c.trace = append(c.trace, fmt.Sprintf(format, args...))
}

func (c *crasher) fatalf(format string, args ...any) {
	c.t.Helper()
	n := max(len(c.trace)-60, 0)
	c.t.Fatalf(format+"\n%s", append(args, strings.Join(c.trace[n:], "\n"))...)
}

// arm makes the power go after some more calls to the file system. The index's own files are
// spared: pebble stops the process when its log cannot be written, and being ahead is a case of its
// own.
func (c *crasher) arm(calls int) {
	c.left, c.out = calls, false
	c.mem.SetFault(func(op disk.Op, path string) error {
		if strings.Contains(path, index.FilePrefix) || op == disk.OpRead || op == disk.OpOpen {
			return nil
		}
		if c.left--; c.left < 0 {
			c.out = true
			return errPower
		}
		return nil
	})
}

func (c *crasher) open() {
	c.t.Helper()
	dir, err := OpenDir(Options{FS: c.mem, Path: "/data"})
	if err != nil {
		c.fatalf("open directory: %v", err)
	}
	c.dir, c.logs = dir, map[TP]*Log{}
	for _, tp := range dir.Existing() {
		l, err := dir.Open(tp, c.config)
		if err != nil {
			c.fatalf("open %s: %v", tp, err)
		}
		c.logs[tp] = l
	}
}

func (c *crasher) ok(err error) bool {
	c.t.Helper()
	if err == nil {
		return true
	}
	if !c.out {
		c.fatalf("error with the power on: %v", err)
	}
	return false
}

func (c *crasher) anyModel() *model {
	tps := make([]TP, 0, len(c.models))
	for p := int32(0); p < 3; p++ {
		if tp := (TP{"topic", p}); c.models[tp] != nil {
			tps = append(tps, tp)
		}
	}
	if len(tps) == 0 || c.rng.IntN(40) == 0 && len(tps) < 3 {
		tp := TP{"topic", int32(len(tps))}
		for c.models[tp] != nil {
			tp.Partition = (tp.Partition + 1) % 3
		}
		c.logf("create %s", tp)
		l, err := c.dir.Open(tp, c.config)
		if !c.ok(err) {
			return nil
		}
		c.logs[tp], c.models[tp] = l, &model{tp: tp}
		return c.models[tp]
	}
	return c.models[tps[c.rng.IntN(len(tps))]]
}

// batch makes the next batch: data, or with the smaller chance the end of an open transaction.
func (c *crasher) batch(m *model, before []stored) stored {
	if c.rng.IntN(4) == 0 {
		return c.transactional(m, before)
	}
	b := record.NewBuilder(record.None, record.Levels{})
	n := 1 + c.rng.IntN(5)
	id := int64(c.rng.IntN(4)) - 1
	key := int64(m.tp.Partition)*100 + id
	if id >= 0 {
		b.SetProducer(id, 0, c.seqs[key], false)
		c.seqs[key] += int32(n)
	}
	maxTime := int64(0)
	for range n {
		c.clock += int64(c.rng.IntN(20)) - 5
		maxTime = max(maxTime, c.clock)
		b.Add(c.clock, []byte(strconv.Itoa(c.rng.IntN(1e9))), make([]byte, c.rng.IntN(300)), nil)
	}
	batch, err := b.Build()
	if err != nil {
		c.fatalf("build: %v", err)
	}
	return c.place(m, before, batch, maxTime)
}

// place puts a batch behind the log's end and the batches that come before it.
func (c *crasher) place(m *model, before []stored, batch record.Batch, maxTime int64) stored {
	base := m.end
	if n := len(before); n > 0 {
		base = before[n-1].last + 1
	}
	last := record.Set{Batch: batch}.Assign(base, c.epoch, record.NoTimestamp)
	return stored{base, last, maxTime, c.epoch, batch}
}

// append writes a batch as a leader does, or several at once as a follower.
func (c *crasher) append(m *model, l *Log) {
	n := 1
	if c.rng.IntN(5) == 0 {
		n += c.rng.IntN(5)
	}
	var set []byte
	m.pending = nil
	for range n {
		s := c.batch(m, m.pending)
		set = append(set, s.bytes...)
		m.pending = append(m.pending, s)
	}
	c.logf("%s append %d-%d epoch %d", m.tp, m.end, m.pending[n-1].last, c.epoch)
	if !c.ok(l.Append(set, c.clock)) {
		return
	}
	tell(c.t, l.Producers(), set)
	m.batches, m.end, m.pending = append(m.batches, m.pending...), m.pending[n-1].last+1, nil
}

// step does one random thing.
func (c *crasher) step() {
	m := c.anyModel()
	if m == nil {
		return
	}
	l := c.logs[m.tp]
	switch n := c.rng.IntN(100); {
	case n < 60:
		c.append(m, l)
	case n < 75:
		end := m.end
		if c.ok(l.Flush()) {
			m.durable = max(m.durable, end)
			c.logf("%s flushed to %d", m.tp, m.durable)
		}
	case n < 81:
		c.logf("checkpoint")
		l.SetHighWatermark(m.end)
		c.ok(c.dir.Checkpoint())
	case n < 86:
		removed, err := l.Retain(c.clock, m.end)
		c.ok(err)
		m.start = max(m.start, l.Start())
		c.logf("%s retain removed %d, start %d", m.tp, removed, l.Start())
	case n < 89 && m.end > l.Start():
		to := l.Start() + c.rng.Int64N(m.end-l.Start()) + 1
		for _, s := range m.batches { // leaders and followers cut between batches
			if s.first <= to && to <= s.last {
				to = s.first
			}
		}
		if to <= l.Start() {
			return
		}
		c.logf("%s truncate to %d", m.tp, to)
		m.durable = min(m.durable, to)
		if c.ok(l.Truncate(to)) {
			m.cut(to)
		}
		c.reseq(m)
	case n < 91:
		to := l.Start() + c.rng.Int64N(m.end-l.Start()+1)
		c.logf("%s start %d", m.tp, to)
		m.start = max(m.start, to)
		c.ok(l.SetStart(to))
	case n < 93:
		c.epoch++
		l.AssignEpoch(c.epoch, m.end)
	case n < 95:
		c.ok(c.dir.Sweep(time.Now().Add(time.Hour)))
	case n < 96:
		c.logf("%s delete", m.tp)
		if c.ok(l.Delete()) {
			delete(c.models, m.tp)
			delete(c.logs, m.tp)
		} else {
			m.durable = 0
		}
	case n < 98:
		c.restart()
	}
}

// reseq lets producers start anew: a cut may have taken their last batches.
func (c *crasher) reseq(m *model) {
	for id := range int64(4) {
		delete(c.seqs, int64(m.tp.Partition)*100+id)
	}
}

// restart stops cleanly and starts again; everything must be as it was.
func (c *crasher) restart() {
	c.logf("clean restart")
	if !c.ok(c.dir.Close(7)) {
		return
	}
	if c.rng.IntN(3) == 0 {
		c.dropIndex()
	}
	c.left = 1 << 30
	if c.rng.IntN(3) == 0 {
		c.loseTxns()
	}
	c.open()
	if !c.dir.Clean() || c.dir.LastBrokerEpoch() != 7 {
		c.fatalf("clean stop not recognised")
	}
	for _, m := range c.models {
		m.durable = m.end
		if l := c.logs[m.tp]; l == nil || l.End() != m.end {
			c.fatalf("%s: end after a clean restart is not %d", m.tp, m.end)
		}
		c.verify(m)
	}
	c.left = 20 + c.rng.IntN(400)
}

func (c *crasher) dropIndex() {
	c.logf("index lost")
	names, err := c.mem.List("/data")
	if err != nil {
		c.fatalf("list: %v", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, index.FilePrefix) {
			if err := c.mem.Remove("/data/" + n); err != nil {
				c.fatalf("%v", err)
			}
		}
	}
}

// crash cuts the power and starts again.
func (c *crasher) crash() {
	c.logf("power cut")
	old := c.dir
	c.mem.SetFault(nil)
	next := c.mem.Crash(c.rng)
	old.Abandon()
	c.mem = next
	if c.rng.IntN(3) == 0 {
		c.dropIndex()
	}
	if c.rng.IntN(3) == 0 {
		c.loseTxns()
	}
	c.open()
	for tp, m := range c.models {
		l := c.logs[tp]
		if l == nil {
			if m.durable > 0 {
				c.fatalf("%s is gone, %d was durable", tp, m.durable)
			}
			delete(c.models, tp)
			continue
		}
		if m.pending != nil {
			m.batches, m.pending = append(m.batches, m.pending...), nil
		}
		if l.End() < m.durable {
			c.fatalf("%s ends at %d, %d was durable", tp, l.End(), m.durable)
		}
		m.cut(l.End())
		c.verify(m)
	}
	for tp, l := range c.logs {
		if c.models[tp] == nil { // a deletion or creation that was under way
			if err := l.Delete(); err != nil {
				c.fatalf("delete %s: %v", tp, err)
			}
			delete(c.logs, tp)
		}
	}
	c.seqs = map[int64]int32{}
}

// verify compares the log with the model.
func (c *crasher) verify(m *model) {
	c.t.Helper()
	l := c.logs[m.tp]
	if l.Start() > m.start && l.Start() > l.End() {
		c.fatalf("%s starts at %d, asked for %d, end %d", m.tp, l.Start(), m.start, l.End())
	}
	if hw := l.HighWatermark(); hw < l.Start() || hw > l.End() {
		c.fatalf("%s: high watermark %d outside %d..%d", m.tp, hw, l.Start(), l.End())
	}
	want := &producer.State{}
	for i := range m.batches {
		s := &m.batches[i]
		tell(c.t, want, s.bytes)
		if s.last < l.Start() {
			continue
		}
		if s.first < (*l.segs.Load())[0].Base {
			continue
		}
		c.verifyBatch(m, l, s)
	}
	var size int64
	next := (*l.segs.Load())[0].Base
	for _, s := range m.batches {
		if s.first >= next {
			size += int64(len(s.bytes))
		}
	}
	if size != l.Size() {
		c.fatalf("%s holds %d bytes instead of %d", m.tp, l.Size(), size)
	}
	got := map[int64]producer.Info{}
	for _, i := range l.Producers().Producers() {
		got[i.ProducerID] = i
	}
	for _, s := range m.batches {
		meta, _ := record.ParseMeta(s.bytes)
		if meta.ProducerID < 0 || meta.Control() || s.first < max(l.Start(), m.start) {
			continue
		}
		for _, w := range want.Producers() {
			if w.ProducerID == meta.ProducerID && got[w.ProducerID].LastSequence != w.LastSequence {
				c.fatalf("%s: producer %d at %d instead of %d", m.tp, w.ProducerID,
					got[w.ProducerID].LastSequence, w.LastSequence)
			}
		}
	}
	c.verifyTime(m, l)
	c.verifyCommitted(m, l)
}

func (c *crasher) verifyBatch(m *model, l *Log, s *stored) {
	c.t.Helper()
	at := max(s.first, l.Start())
	span, err := l.Read(at+c.rng.Int64N(s.last-at+1), 1, l.End(), true)
	if err != nil {
		c.fatalf("%s: read %d: %v", m.tp, at, err)
	}
	got, err := span.AppendTo(nil)
	span.Release()
	if err != nil || !bytes.Equal(got, s.bytes) {
		c.fatalf("%s: batch %d-%d reads as %d bytes, err %v", m.tp, s.first, s.last, len(got), err)
	}
	if e := l.EpochAt(at); e != s.epoch {
		c.fatalf("%s: epoch at %d is %d instead of %d: %v", m.tp, at, e, s.epoch, l.Epochs())
	}
}

func (c *crasher) verifyTime(m *model, l *Log) {
	c.t.Helper()
	ts := c.clock - c.rng.Int64N(100)
	want, found := TimedOffset{}, false
	for _, s := range m.batches {
		meta, _ := record.ParseMeta(s.bytes)
		_ = record.EachOf(s.bytes, &meta, func(_ *record.Meta, r *record.Record) error {
			if !found && r.Timestamp >= ts && r.Offset >= l.Start() {
				want, found = TimedOffset{r.Offset, r.Timestamp, s.epoch}, true
			}
			return nil
		})
	}
	got, ok, err := l.OffsetForTime(ts)
	if err != nil || ok != found || got != want {
		c.fatalf("%s: offset for %d is %v %v instead of %v %v, err %v", m.tp, ts, got, ok, want,
			found, err)
	}
}

func envInt(name string, def int64) int64 {
	if v, err := strconv.ParseInt(os.Getenv(name), 10, 64); err == nil {
		return v
	}
	return def
}

// TestCrash does random work on three partitions and cuts the power at random calls to the file
// system, again and again. CRASH_RUNS and CRASH_SEED replay.
func TestCrash(t *testing.T) {
	runs, seed := envInt("CRASH_RUNS", 1000), envInt("CRASH_SEED", 0)
	if testing.Short() {
		runs = min(runs, 50)
	}
	for i := range runs {
		crashRun(t, uint64(seed+i))
		if t.Failed() {
			t.Fatalf("CRASH_SEED=%d CRASH_RUNS=1 replays", seed+i)
		}
	}
}

func crashRun(t *testing.T, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Logf("CRASH_SEED=%d CRASH_RUNS=1 replays", seed)
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 1))
	c := &crasher{t: t, rng: rng, mem: disk.NewMem(), models: map[TP]*model{},
		seqs: map[int64]int32{}, clock: 1000}
	c.config = DefaultConfig()
	c.config.SegmentBytes = 1000 + rng.Int64N(4000)
	c.config.IndexIntervalBytes = rng.Int64N(600)
	c.config.RetentionBytes = c.config.SegmentBytes * (1 + rng.Int64N(4))
	c.config.FileDeleteDelayMs = 0
	c.open()
	for range 2 {
		c.arm(20 + rng.IntN(400))
		for n := 10 + rng.IntN(70); n > 0 && !c.out; n-- {
			c.step()
		}
		c.crash()
	}
	c.dir.Abandon()
}

// TestFaults lets the disk fail now and then while the power stays on: whatever was acknowledged
// is read back, and the log goes on after a full disk.
func TestFaults(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		c := &crasher{t: t, rng: rng, mem: disk.NewMem(), models: map[TP]*model{},
			seqs: map[int64]int32{}, clock: 1000, config: DefaultConfig()}
		c.config.SegmentBytes = 2000
		c.open()
		tp := TP{"topic", 0}
		l, err := c.dir.Open(tp, c.config)
		if err != nil {
			t.Fatal(err)
		}
		m := &model{tp: tp}
		c.logs[tp], c.models[tp] = l, m
		c.mem.SetFault(func(op disk.Op, path string) error {
			if !strings.Contains(path, index.FilePrefix) && (op == disk.OpWrite ||
				op == disk.OpCreate) && rng.IntN(4) == 0 {
				return syscall.ENOSPC
			}
			return nil
		})
		failed := 0
		for range 60 {
			s := c.batch(m, nil)
			if err := l.Append(s.bytes, c.clock); err != nil {
				if !errors.Is(err, ErrStorage) || !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("full disk yields %v", err)
				}
				failed++
				continue
			}
			m.batches, m.end = append(m.batches, s), s.last+1
			tell(t, l.Producers(), s.bytes)
		}
		c.mem.SetFault(nil)
		if failed == 0 {
			t.Fatal("no append failed")
		}
		c.verify(m)
		if err := c.dir.Close(1); err != nil {
			t.Fatal(err)
		}
		for _, s := range l.Segments() { // Apache would append behind half an entry
			name := "/data/topic-0/" + segment.Name(s.Base, segment.TxnIndexSuffix)
			if b, err := readFile(c.mem, name); err != nil || len(b)%34 != 0 {
				t.Fatalf("%s: %d bytes, %v", name, len(b), err)
			}
		}
		c.open()
		c.verify(m)
		c.dir.Abandon()
	}
}
