package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
	"zkafka/kafkad/segment"
)

// tell feeds batches that were appended to the producer state.
func tell(t testing.TB, st *producer.State, b []byte) (ended []producer.Completed) {
	t.Helper()
	for len(b) > 0 {
		m, err := record.ParseMeta(b)
		if err != nil {
			t.Fatal(err)
		}
		if !m.Control() {
			st.Update(producer.FromMeta(&m))
		} else if marker, ok, err := producer.ReadMarker(b[:m.Size], &m); err != nil {
			t.Fatal(err)
		} else if ok {
			if done, ok := st.UpdateMarker(marker); ok {
				ended = append(ended, done)
			}
		}
		b = b[m.Size:]
	}
	return ended
}

// transactional makes a batch of one of three transactional producers: data, or if it has a
// transaction open, perhaps its end.
func (c *crasher) transactional(m *model, before []stored) stored {
	id := 10 + c.rng.Int64N(3)
	var st producer.State
	for _, s := range slices.Concat(m.batches, before) {
		tell(c.t, &st, s.bytes)
	}
	open := slices.ContainsFunc(st.Producers(), func(p producer.Info) bool {
		return p.ProducerID == id && p.TxnFirstOffset >= 0
	})
	c.clock++
	if open && c.rng.IntN(2) == 0 || !open && c.rng.IntN(10) == 0 {
		kind := record.MarkerType(c.rng.IntN(2))
		return c.place(m, before, record.BuildMarker(kind, id, 0, 1, c.clock), c.clock)
	}
	b := record.NewBuilder(record.None, record.Levels{})
	b.SetProducer(id, 0, c.rng.Int32N(1000), true)
	for range 1 + c.rng.IntN(3) {
		b.Add(c.clock, nil, make([]byte, c.rng.IntN(100)), nil)
	}
	batch, err := b.Build()
	if err != nil {
		c.fatalf("build: %v", err)
	}
	return c.place(m, before, batch, c.clock)
}

// loseTxns removes or spoils lists of aborted transactions while nobody looks.
func (c *crasher) loseTxns() {
	for p := range int32(3) {
		tp := TP{"topic", p}
		names, err := c.mem.List("/data/" + tp.String())
		if err != nil {
			continue
		}
		for _, name := range names {
			path := "/data/" + tp.String() + "/" + name
			if !strings.HasSuffix(name, segment.TxnIndexSuffix) || c.rng.IntN(2) == 0 {
				continue
			}
			b, err := readFile(c.mem, path)
			if err != nil {
				c.fatalf("%v", err)
			}
			how := c.rng.IntN(3)
			c.logf("%s of %d bytes is spoilt: %d", path, len(b), how)
			switch how {
			case 0:
				err = c.mem.Remove(path)
			case 1:
				err = write(c.mem, path, b[:c.rng.IntN(len(b)+1)])
			case 2:
				clear(b[c.rng.IntN(len(b)/34+1)*34:])
				err = write(c.mem, path, b)
			}
			if err != nil {
				c.fatalf("%v", err)
			}
		}
	}
}

func write(fs disk.FS, path string, b []byte) error {
	f, err := fs.OpenFile(path, disk.Create)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Truncate(int64(len(b))), f.SyncData(), f.Close())
}

// verifyCommitted reads as a consumer of committed records does, from random offsets to the last
// stable one, and compares with what the model knows to be committed.
func (c *crasher) verifyCommitted(m *model, l *Log) {
	c.t.Helper()
	want, aborted := committed(c.t, m.batches, l.Start())
	stable := l.End()
	if first, ok := l.Producers().FirstOpen(); ok {
		stable = first
	}
	from := l.Start()
	if stable > from {
		from += c.rng.Int64N(stable - from)
	}
	got := consume(c.t, l, from, stable, 1+c.rng.IntN(3000))
	want = slices.DeleteFunc(want, func(o int64) bool { return o < from || o >= stable })
	if !slices.Equal(got, want) {
		c.fatalf("%s from %d to %d: committed are batches\n%v, not\n%v", m.tp, from, stable, want, got)
	}
	if m.start > 0 {
		return // what began below may be known no more
	}
	var have []segment.Aborted
	for _, s := range *l.segs.Load() {
		if err := l.settleTxns(s); err != nil {
			c.fatalf("settle %d: %v", s.Base, err)
		}
		b, err := readFile(l.fs, s.Txns.Path())
		// A failed write may have left half an entry that is not trimmed yet.
		if n := 34 * s.Txns.Len(); err != nil || int64(len(b)) < n || int64(len(b)) > n+17 {
			c.fatalf("%d bytes in list of %d, %v", len(b), s.Txns.Len(), err)
		}
		if _, err := s.Txns.Collect(0, 1<<60, func(a segment.Aborted) {
			have = append(have, a)
			if a.Marker < s.Base {
				c.fatalf("marker %d in segment %d", a.Marker, s.Base)
			}
		}); err != nil {
			c.fatalf("collect: %v", err)
		}
	}
	if !slices.Equal(have, aborted) {
		c.fatalf("%s: aborted are %+v, not %+v", m.tp, aborted, have)
	}
}

// committed returns the first offsets of the data batches from an offset on that are not of an
// aborted transaction, and the aborted transactions of all.
func committed(t testing.TB, batches []stored, from int64) (data []int64,
	aborted []segment.Aborted) {
	var st producer.State
	drop := map[int64]bool{}
	for _, s := range batches {
		for _, done := range tell(t, &st, s.bytes) {
			if !done.Aborted {
				continue
			}
			aborted = append(aborted, abortedEntry(done))
			for _, x := range batches {
				b := record.Batch(x.bytes)
				if b.ProducerID() == done.ProducerID && x.first >= done.FirstOffset &&
					x.last <= done.LastOffset {
					drop[x.first] = true
				}
			}
		}
	}
	for _, s := range batches {
		if !record.Batch(s.bytes).Control() && !drop[s.first] && s.first >= from {
			data = append(data, s.first)
		}
	}
	return data, aborted
}

// visit reads once as a client that wants committed records does, and calls fn for each whole batch
// that is no marker; dropped says that the client does not deliver it. next is where it goes on.
func visit(l *Log, offset, upTo int64, maxBytes int, fn func(b record.Batch, dropped bool)) (
	next int64, err error,
) {
	span, aborted, err := l.ReadCommitted(offset, maxBytes, upTo, true, nil)
	if err != nil {
		return offset, err
	}
	b, err := span.AppendTo(nil)
	span.Release()
	if err != nil || len(b) == 0 {
		return offset, fmt.Errorf("read %d of %d: %d bytes, %w", offset, upTo, len(b), err)
	}
	active := map[int64]bool{}
	for len(b) >= record.HeaderSize && record.EntrySize(b) <= len(b) {
		m, err := record.ParseMeta(b)
		if err != nil {
			return offset, err
		}
		aborted = slices.DeleteFunc(aborted, func(a Aborted) bool {
			if a.FirstOffset > m.LastOffset {
				return false
			}
			active[a.ProducerID] = true
			return true
		})
		switch batch := record.Batch(b[:m.Size]); {
		case !m.Control():
			fn(batch, m.Transactional() && active[m.ProducerID])
		default:
			if kind, _, _ := batch.Marker(); kind == record.Abort {
				delete(active, m.ProducerID)
			}
		}
		next = m.LastOffset + 1
		b = b[m.Size:]
	}
	for _, a := range aborted {
		// The end of what is read may be taken for a batch too far.
		if a.FirstOffset > next+100 {
			return next, fmt.Errorf("aborted transaction from %d for records %d to %d",
				a.FirstOffset, offset, next)
		}
	}
	return next, nil
}

// consume reads committed batches from the offset on and returns their first offsets.
func consume(t testing.TB, l *Log, from, upTo int64, maxBytes int) (data []int64) {
	t.Helper()
	for offset := from; offset < upTo; {
		next, err := visit(l, offset, upTo, maxBytes, func(b record.Batch, dropped bool) {
			if !dropped && b.BaseOffset() >= offset {
				data = append(data, b.BaseOffset())
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		offset = next
	}
	return data
}

// scripted fills a log with small segments by a script and returns its batches: "1+" is data in a
// transaction of producer 1, "1A" and "1C" end it, "=" is data of nobody, "|" begins a segment.
func scripted(t *testing.T, l *Log, script string) (batches []stored) {
	t.Helper()
	for word := range strings.FieldsSeq(script) {
		if word == "|" {
			if err := l.roll(l.End(), l.End()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		id := int64(word[0] - '0')
		var batch record.Batch
		switch word[len(word)-1] {
		case 'A':
			batch = record.BuildMarker(record.Abort, id, 0, 1, 5)
		case 'C':
			batch = record.BuildMarker(record.Commit, id, 0, 1, 5)
		default:
			b := record.NewBuilder(record.None, record.Levels{})
			if word != "=" {
				b.SetProducer(id, 0, 0, true)
			}
			b.Add(5, nil, []byte(word), nil)
			var err error
			if batch, err = b.Build(); err != nil {
				t.Fatal(err)
			}
		}
		base := l.End()
		last := record.Set{Batch: batch}.Assign(base, 0, record.NoTimestamp)
		if err := l.Append(batch, 0); err != nil {
			t.Fatal(err)
		}
		tell(t, l.Producers(), batch)
		batches = append(batches, stored{first: base, last: last, bytes: batch})
	}
	return batches
}

// story has transactions that span segments, segments without any, and one left open.
const story = "1+ 2+ = 1A 2+ | 3+ = 3C = | = = | 2+ = 1+ | 1+ 2A = 1C | 3+ = 3A 1+ 2+ | 1A 2A 4+ = | ="

// checkCommitted reads from every offset and compares with the batches.
func checkCommitted(t *testing.T, what string, l *Log, batches []stored) {
	t.Helper()
	all, _ := committed(t, batches, 0)
	stable := l.End()
	if first, open := l.Producers().FirstOpen(); open {
		stable = first
	}
	for from := l.Start(); from < stable; from++ {
		want := slices.DeleteFunc(slices.Clone(all), func(o int64) bool {
			return o < from || o >= stable
		})
		for _, maxBytes := range []int{1, 150, 1 << 20} {
			if got := consume(t, l, from, stable, maxBytes); !slices.Equal(got, want) {
				t.Errorf("%s, from %d: %v instead of %v", what, from, got, want)
			}
		}
	}
}

// removeTxns removes the lists of aborted transactions and returns their names.
func removeTxns(t *testing.T, mem *disk.Mem) (gone []string) {
	t.Helper()
	names, err := mem.List("/data/topic-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, segment.TxnIndexSuffix) {
			gone = append(gone, name)
			if err := mem.Remove("/data/topic-0/" + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	return gone
}

// TestCommitted reads what a script wrote: at once, after a clean stop and after a crash, with the
// lists of aborted transactions removed or not, with and without the index.
func TestCommitted(t *testing.T) {
	for _, clean := range []bool{true, false} {
		for _, lists := range []bool{true, false} {
			for _, indexed := range []bool{true, false} {
				mem := disk.NewMem()
				d := mustOpen(t, mem, "/data")
				l := mustLog(t, d, TP{"topic", 0}, DefaultConfig())
				batches := scripted(t, l, story)
				checkCommitted(t, "fresh", l, batches)
				c := &crasher{t: t, mem: mem}
				if clean {
					if err := d.Close(1); err != nil {
						t.Fatal(err)
					}
				} else {
					if err := errors.Join(l.flushSealed(), d.Checkpoint()); err != nil {
						t.Fatal(err)
					}
					d.Abandon()
				}
				if !indexed {
					c.dropIndex()
				}
				if !lists {
					removeTxns(t, mem)
				}
				l = mustLog(t, mustOpen(t, mem, "/data"), TP{"topic", 0}, DefaultConfig())
				checkCommitted(t, fmt.Sprintf("clean %v, lists %v, index %v", clean, lists, indexed), l,
					batches)
			}
		}
	}
}

// TestFlushCoversAborts: below the recovery point the entries are on the disk, with their names.
func TestFlushCoversAborts(t *testing.T) {
	for seed := range uint64(20) {
		mem := disk.NewMem()
		l := mustLog(t, mustOpen(t, mem, "/data"), TP{"topic", 0}, DefaultConfig())
		for _, words := range []string{"1+", "1A", "= | 2+", "= 2A"} {
			scripted(t, l, words)
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		after := mem.Crash(rand.New(rand.NewPCG(seed, 1)))
		for _, base := range []int64{0, 3} {
			name := "/data/topic-0/" + segment.Name(base, segment.TxnIndexSuffix)
			if b, err := readFile(after, name); err != nil || len(b) != 34 {
				t.Fatalf("seed %d: %s has %d bytes, %v", seed, name, len(b), err)
			}
		}
	}
}

// TestTruncateBeforeSettled cuts into a segment whose list is missing and was not asked for yet.
func TestTruncateBeforeSettled(t *testing.T) {
	mem := disk.NewMem()
	d := mustOpen(t, mem, "/data")
	l := mustLog(t, d, TP{"topic", 0}, DefaultConfig())
	batches := scripted(t, l, "1+ = | 1A 2+ = 2A 1+ | 1A = | =")
	if err := d.Close(1); err != nil {
		t.Fatal(err)
	}
	if gone := removeTxns(t, mem); len(gone) != 2 {
		t.Fatal(gone)
	}
	l = mustLog(t, mustOpen(t, mem, "/data"), TP{"topic", 0}, DefaultConfig())
	if err := l.Truncate(5); err != nil { // the marker of 2 goes
		t.Fatal(err)
	}
	batches = append(batches[:5], scripted(t, l, "2A 2+ 2C =")...)
	checkCommitted(t, "after the cut", l, batches)
	if n := l.active().Txns.Len(); n != 2 {
		t.Errorf("%d entries", n)
	}
}

// TestListGoesWithSegment: retention and truncation leave no list behind.
func TestListGoesWithSegment(t *testing.T) {
	mem := disk.NewMem()
	d := mustOpen(t, mem, "/data")
	l := mustLog(t, d, TP{"topic", 0}, DefaultConfig())
	scripted(t, l, "1+ 1A | 1+ 1A | 1+ 1A | =")
	c := l.Config()
	c.RetentionBytes = l.Size() - l.Segments()[0].Size
	l.SetConfig(c)
	if n, err := l.Retain(0, l.End()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := l.Truncate(3); err != nil {
		t.Fatal(err)
	}
	if gone := removeTxns(t, mem); !slices.Equal(gone, []string{"00000000000000000002.txnindex"}) {
		t.Error(gone)
	}
}

// TestSwappedList: a segment that Apache's log cleaner was about to put in place of others brings
// its own index files, and those of the segment it replaces go.
func TestSwappedList(t *testing.T) {
	mem := disk.NewMem()
	d := mustOpen(t, mem, "/data")
	l := mustLog(t, d, TP{"topic", 0}, DefaultConfig())
	batches := scripted(t, l, "1+ 2+ 1A | = 2A = | = 1+ 1A =")
	if err := d.Close(1); err != nil {
		t.Fatal(err)
	}
	at := func(base int64, suffix string) string { return "/data/topic-0/" + segment.Name(base, suffix) }
	var cleaned, list []byte
	for _, base := range []int64{0, 3} {
		for into, suffix := range map[*[]byte]string{&cleaned: ".log", &list: ".txnindex"} {
			b, err := readFile(mem, at(base, suffix))
			if err != nil || len(b) == 0 {
				t.Fatal(err)
			}
			*into = append(*into, b...)
		}
	}
	stale := []byte("of the segment that is replaced")
	for name, b := range map[string][]byte{
		at(0, ".log.swap"): cleaned, at(0, ".txnindex.swap"): list, at(0, ".index.swap"): nil,
		at(0, ".index"): stale, at(0, ".timeindex"): stale, at(3, ".index"): stale,
	} {
		if err := write(mem, name, b); err != nil {
			t.Fatal(err)
		}
	}
	l = mustLog(t, mustOpen(t, mem, "/data"), TP{"topic", 0}, DefaultConfig())
	checkCommitted(t, "after the swap", l, batches)
	if n := (*l.segs.Load())[0].Txns.Len(); n != 2 || len(l.Segments()) != 2 {
		t.Errorf("%d entries, %d segments", n, len(l.Segments()))
	}
	for name, want := range map[string]bool{at(0, ".index"): true, at(0, ".timeindex"): false,
		at(3, ".index"): false, at(3, ".txnindex"): false} {
		b, err := readFile(mem, name)
		if err != nil || (b != nil) != want || bytes.Equal(b, stale) {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
}

// TestReadCommittedIsFree: where nothing was aborted, and behind the last abort, committed reads
// cost what others cost.
func TestReadCommittedIsFree(t *testing.T) {
	d := mustOpen(t, nil, t.TempDir())
	for topic, script := range map[string]string{"none": "= = = =", "behind": "1+ 1A | = = ="} {
		l := mustLog(t, d, TP{topic, 0}, DefaultConfig())
		scripted(t, l, script)
		offset, end := l.End()-2, l.End()
		dst := make([]Aborted, 0, 1)
		read := func() {
			span, err := l.Read(offset, 1<<20, end, true)
			if err != nil || span.Len() == 0 {
				t.Fatal(span, err)
			}
			span.Release()
		}
		readCommitted := func() {
			span, list, err := l.ReadCommitted(offset, 1<<20, end, true, dst)
			if err != nil || span.Len() == 0 || len(list) > 0 {
				t.Fatal(span, list, err)
			}
			span.Release()
		}
		plain, committed := testing.AllocsPerRun(100, read), testing.AllocsPerRun(100, readCommitted)
		if committed > plain {
			t.Errorf("%s: %v allocations instead of %v", topic, committed, plain)
		}
		var set record.Set
		data := scriptedBatch(t, l)
		n := testing.AllocsPerRun(100, func() {
			set.Batch = data
			set.Assign(l.End(), 0, record.NoTimestamp)
			if err := l.Append(data, 0); err != nil {
				t.Fatal(err)
			}
		})
		if n > 0 {
			t.Errorf("%s: an append allocates %v times", topic, n)
		}
	}
}

func scriptedBatch(t *testing.T, l *Log) record.Batch {
	t.Helper()
	return scripted(t, l, "=")[0].bytes
}

// TestRetentionBetween: when retention comes between the reading of records and the search for what
// was aborted among them, the search says that it cannot know, unless all it needs is left.
func TestRetentionBetween(t *testing.T) {
	for removed, want := range []bool{true, false, false} {
		d := mustOpen(t, disk.NewMem(), "/data")
		l := mustLog(t, d, TP{"topic", 0}, DefaultConfig())
		scripted(t, l, "1+ = | = 1A | = = | =")
		span, err := l.Read(0, 1<<20, l.End(), true)
		if err != nil {
			t.Fatal(err)
		}
		c := l.Config()
		c.RetentionBytes = l.Size()
		for _, s := range l.Segments()[:removed] {
			c.RetentionBytes -= s.Size
		}
		l.SetConfig(c)
		if removed > 0 {
			if n, err := l.Retain(0, l.End()); n != removed || err != nil {
				t.Fatal(n, err)
			}
		}
		list, whole, err := l.collect(&span, 0, l.End(), nil)
		if err != nil || whole != want || whole && len(list) != 1 {
			t.Errorf("%d segments removed: %v %v %v", removed, list, whole, err)
		}
		span.Release()
		if _, _, err := l.ReadCommitted(0, 1<<20, l.End(), true, nil); (err == nil) != want ||
			err != nil && !errors.Is(err, ErrOutOfRange) {
			t.Errorf("%d segments removed: %v", removed, err)
		}
	}
}

// TestApacheAborts opens the first three segments of a topic that TestInteropTransactions (package
// interop, with CAPTURE) had a 3.9.2 broker write. Made anew, the lists are byte for byte Apache's.
func TestApacheAborts(t *testing.T) {
	const source = "testdata/aborted39/ledger-0"
	var batches []stored
	want := map[string][]byte{}
	for _, base := range []int64{0, 23, 48} {
		for _, suffix := range []string{segment.LogSuffix, segment.TxnIndexSuffix} {
			name := segment.Name(base, suffix)
			b, err := os.ReadFile(filepath.Join(source, name))
			if err != nil {
				t.Fatal(err)
			}
			if suffix == segment.TxnIndexSuffix {
				want[name] = b
				continue
			}
			for len(b) > 0 {
				m, err := record.ParseMeta(b)
				if err != nil {
					t.Fatal(err)
				}
				batches = append(batches, stored{first: m.BaseOffset, last: m.LastOffset,
					bytes: b[:m.Size]})
				b = b[m.Size:]
			}
		}
	}
	for _, clean := range []bool{true, false} {
		for _, removed := range [][]string{nil, {"*.txnindex", "*.index"}, {"*.snapshot", "*index"}} {
			path := t.TempDir()
			dir := filepath.Join(path, "ledger-0")
			if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
				t.Fatal(err)
			}
			for _, pattern := range removed {
				names, err := filepath.Glob(filepath.Join(dir, pattern))
				if err != nil || len(names) < 2 {
					t.Fatal(names, err)
				}
				for _, name := range names {
					if err := os.Remove(name); err != nil {
						t.Fatal(err)
					}
				}
			}
			if clean {
				if err := os.WriteFile(filepath.Join(path, cleanFile), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			what := fmt.Sprintf("clean %v, without %v", clean, removed)
			l := mustLog(t, mustOpen(t, nil, path), TP{"ledger", 0}, DefaultConfig())
			checkCommitted(t, what, l, batches)
			for name, b := range want {
				if got, err := os.ReadFile(filepath.Join(dir, name)); !bytes.Equal(got, b) {
					t.Errorf("%s: %s: %v\n%x instead of\n%x", what, name, err, got, b)
				}
			}
		}
	}
}

// TestConcurrentCommitted has readers look while transactions are written, segments rolled, retained
// and flushed. What a batch holds tells how its transaction will end.
func TestConcurrentCommitted(t *testing.T) {
	c := DefaultConfig()
	c.SegmentBytes, c.IndexIntervalBytes, c.RetentionBytes, c.FileDeleteDelayMs = 3000, 200, 20000, 0
	d := mustOpen(t, nil, t.TempDir())
	l := mustLog(t, d, TP{"topic", 0}, c)
	var stable atomic.Int64
	stop := make(chan struct{})
	failed := make(chan error, 4)
	work := func(f func() error) {
		for {
			select {
			case <-stop:
				failed <- nil
				return
			default:
			}
			if err := f(); err != nil {
				failed <- err
				return
			}
		}
	}
	read := func() (wrong error) {
		upTo := stable.Load()
		from := l.Start()
		if from >= upTo {
			return nil
		}
		from += rand.Int64N(upTo - from)
		_, err := visit(l, from, upTo, 2000, func(b record.Batch, dropped bool) {
			if ends := bytes.Contains(b, []byte("abort")); dropped != ends {
				wrong = fmt.Errorf("read from %d to %d: batch at %d, dropped %v", from, upTo,
					b.BaseOffset(), dropped)
			}
		})
		if errors.Is(err, ErrOutOfRange) && l.Start() > from {
			return nil
		}
		return errors.Join(wrong, err)
	}
	go work(read)
	go work(read)
	go work(func() error { return errors.Join(l.Flush(), d.Checkpoint()) })
	go work(func() error { return d.Sweep(time.Now().Add(time.Hour)) })
	rng := rand.New(rand.NewPCG(1, 1))
	fate := map[int64]record.MarkerType{}
	for range 4000 {
		id := rng.Int64N(3)
		kind, open := fate[id]
		var batch record.Batch
		if open && rng.IntN(4) == 0 {
			batch = record.BuildMarker(kind, id, 0, 1, 5)
			delete(fate, id)
		} else {
			if !open {
				fate[id] = record.MarkerType(rng.IntN(2))
			}
			b := record.NewBuilder(record.None, record.Levels{})
			b.SetProducer(id, 0, 0, true)
			b.Add(5, nil, []byte(map[record.MarkerType]string{record.Abort: "abort",
				record.Commit: "commit"}[fate[id]]), nil)
			var err error
			if batch, err = b.Build(); err != nil {
				t.Fatal(err)
			}
		}
		record.Set{Batch: batch}.Assign(l.End(), 0, record.NoTimestamp)
		if err := l.Append(batch, 0); err != nil {
			t.Fatal(err)
		}
		tell(t, l.Producers(), batch)
		end, ok := l.Producers().FirstOpen()
		if !ok {
			end = l.End()
		}
		stable.Store(end)
		if _, err := l.Retain(0, l.End()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	for range 4 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
