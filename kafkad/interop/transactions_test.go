//go:build interop

package interop

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ledger is a topic with transactions, on a broker that is now Apache's and now ours, and what
// consumers must find in it.
type ledger struct {
	swapped
	all     []string
	dropped map[string]bool   // of aborted transactions
	open    int               // number of the first record of an open transaction, -1 without one
	files   map[string][]byte // the .txnindex files as Apache's broker left them
}

const ledgerTopic = "ledger"

// writer is a producer, transactional if it has an id.
func (l *ledger) writer(id string) *kgo.Client {
	l.t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(l.addr), kgo.DefaultProduceTopic(ledgerTopic),
		kgo.ProducerBatchCompression(kgo.NoCompression()), // for many segments
		kgo.MetadataMinAge(100 * time.Millisecond)}
	if id != "" {
		opts = append(opts, kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Minute))
	}
	cl, err := kgo.NewClient(opts...)
	l.ok(err)
	l.t.Cleanup(cl.Close)
	return cl
}

func (l *ledger) ok(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// write produces one record and waits for it, so that the order is known.
func (l *ledger) write(cl *kgo.Client, value string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	value += strings.Repeat(".", 200)
	l.ok(cl.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr())
	l.all = append(l.all, value)
}

func (l *ledger) end(cl *kgo.Client, how kgo.TransactionEndTry) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	l.ok(cl.EndTransaction(ctx, how))
}

// fill writes interleaved transactions of three producers, every second aborted, with records
// outside of transactions between, over several segments.
func (l *ledger) fill(rounds int) {
	l.t.Helper()
	var writers []*kgo.Client
	for i := range 3 {
		writers = append(writers, l.writer(fmt.Sprintf("writer-%d", i)))
	}
	plain := l.writer("")
	defer plain.Close()
	open := map[int][]string{}
	for n := range rounds {
		for i, w := range writers {
			if n%(i+2) == 0 { // transactions of different lengths
				if len(open[i]) > 0 {
					abort := (n/(i+2)+i)%2 == 0
					l.end(w, kgo.TransactionEndTry(!abort))
					for _, v := range open[i] {
						l.dropped[v] = abort
					}
					open[i] = nil
				}
				l.ok(w.BeginTransaction())
			}
			l.write(w, fmt.Sprintf("writer %d record %d ", i, len(l.all)))
			open[i] = append(open[i], l.all[len(l.all)-1])
		}
		if n%3 == 0 {
			l.write(plain, fmt.Sprintf("plain record %d ", len(l.all)))
		}
	}
	for _, w := range writers { // the last record before an open transaction is a marker
		l.end(w, kgo.TryCommit)
		w.Close()
	}
}

// committed are the records that consumers of committed ones get, in order.
func (l *ledger) committed() (values []string) {
	for i, v := range l.all {
		if i == l.open {
			break
		}
		if !l.dropped[v] {
			values = append(values, v)
		}
	}
	return values
}

// read consumes the topic to its end as the isolation level has it, with franz-go.
func (l *ledger) read(level kgo.IsolationLevel, maxBytes int32) (values []string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.addr), kgo.ConsumeTopics(ledgerTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(level),
		kgo.KeepControlRecords(), kgo.FetchMaxPartitionBytes(maxBytes),
		kgo.MetadataMinAge(100*time.Millisecond))
	l.ok(err)
	defer cl.Close()
	for end, next := int64(-1), int64(0); next != end; {
		fetches := cl.PollFetches(ctx)
		l.ok(fetches.Err())
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			end = p.HighWatermark
			if level == kgo.ReadCommitted() {
				end = p.LastStableOffset
			}
			for _, r := range p.Records {
				next = r.Offset + 1
				if !r.Attrs.IsControl() {
					values = append(values, string(r.Value))
				}
			}
		})
	}
	return values
}

var ledgerLine = regexp.MustCompile(`(?m)^(writer \d|plain) record \d+ \.+$`)

// console is the same with Apache's console consumer.
func (l *ledger) console(level string) []string {
	l.t.Helper()
	out := shell(l.t, "3.9.2")("", "kafka-console-consumer --topic "+ledgerTopic+
		" --from-beginning --timeout-ms 5000 --isolation-level "+level+
		" --consumer-property max.partition.fetch.bytes=3000 --bootstrap-server "+l.addr)
	return ledgerLine.FindAllString(out, -1)
}

func (l *ledger) compare(what string, got, want []string) {
	l.t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			l.t.Fatalf("%s: %d records instead of %d; they differ from number %d on: %.60q and %.60q",
				what, len(got), len(want), i, got[i:min(i+1, len(got))], want[i:min(i+1, len(want))])
		}
	}
}

// check reads with several clients, in large and in small pieces.
func (l *ledger) check(who string) {
	l.t.Helper()
	for _, maxBytes := range []int32{1 << 20, 2500} {
		what := fmt.Sprintf("%s, fetches of %d bytes", who, maxBytes)
		l.compare(what+", committed", l.read(kgo.ReadCommitted(), maxBytes), l.committed())
		l.compare(what+", all", l.read(kgo.ReadUncommitted(), maxBytes), l.all)
	}
	l.compare(who+", Java, committed", l.console("read_committed"), l.committed())
}

// names lists the files of the partition with one of the suffixes.
func (l *ledger) names(suffixes ...string) (names []string) {
	l.t.Helper()
	for _, suffix := range suffixes {
		found, err := filepath.Glob(filepath.Join(l.logDir, ledgerTopic+"-0", "*"+suffix))
		l.ok(err)
		names = append(names, found...)
	}
	return names
}

// sameFiles compares the .txnindex files with what Apache's broker wrote.
func (l *ledger) sameFiles(who string) {
	l.t.Helper()
	if now := l.names(".txnindex"); len(now) != len(l.files) {
		l.t.Errorf("%s: %d .txnindex files instead of %d", who, len(now), len(l.files))
	}
	for name, want := range l.files {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			l.t.Errorf("%s: %s: %v\n%x instead of\n%x", who, filepath.Base(name), err, got, want)
		}
	}
}

func (l *ledger) remove(names []string) {
	l.t.Helper()
	for _, name := range names {
		l.ok(os.Remove(name))
	}
}

// start makes the topic on Apache's broker and fills it; one transaction stays open behind, and
// more comes after it.
func (l *ledger) start() {
	l.t.Helper()
	l.apache()
	l.tool("", "kafka-topics --create --topic "+ledgerTopic+" --partitions 1"+
		" --replication-factor 1 --config segment.bytes=6000")
	l.fill(60)
	stay := l.writer("stays-open")
	l.ok(stay.BeginTransaction())
	l.open = len(l.all)
	l.write(stay, fmt.Sprintf("writer 9 record %d ", len(l.all)))
	l.fill(4)
	l.check("Apache")
	l.broker.stop()
	if dir := os.Getenv("CAPTURE"); dir != "" { // for kafkad/commitlog/testdata
		l.ok(os.CopyFS(dir, os.DirFS(filepath.Join(l.logDir, ledgerTopic+"-0"))))
	}
	l.files = map[string][]byte{}
	entries := 0
	for _, name := range l.names(".txnindex") {
		b, err := os.ReadFile(name)
		l.ok(err)
		if len(b) > 0 {
			l.files[name] = b
		}
		entries += len(b) / 34
	}
	if n := len(l.names(".log")); n < 8 || len(l.files) < 5 || entries < 10 {
		l.t.Fatalf("%d segments, %d of them with %d aborted transactions", n, len(l.files), entries)
	}
}

// Transactions that Apache's broker wrote: consumers of committed records get those and no others
// from us, whatever happens to the files that list the aborted ones, and from Apache's broker when
// it gets the directory back. A transaction that is open stops them.
func TestInteropTransactions(t *testing.T) {
	needForeign(t)
	_, zk := zkd(t, t.TempDir())
	l := &ledger{swapped: swapped{t: t, zk: zk, logDir: t.TempDir()}, open: -1,
		dropped: map[string]bool{}}
	l.start()

	l.ours()
	l.check("kafkad on Apache's log.dirs")
	l.compare("kafkad, Java, all", l.console("read_uncommitted"), l.all)
	l.sameFiles("kafkad on Apache's log.dirs")
	l.broker.kill()
	l.ours()
	l.check("kafkad after kill -9 of kafkad")
	l.sameFiles("kafkad after kill -9 of kafkad")
	l.broker.stop()

	// What an operator does to have all indexes made anew.
	l.remove(l.names(".txnindex", ".index", ".timeindex"))
	l.ours()
	l.check("kafkad without index files")
	l.sameFiles("kafkad without index files")
	l.broker.stop()
	if testing.Short() {
		return
	}
	l.apache()
	l.check("Apache on kafkad's log.dirs")
	l.sameFiles("Apache on kafkad's log.dirs")
	l.broker.kill()

	l.ours()
	l.check("kafkad after kill -9 of Apache")
	l.sameFiles("kafkad after kill -9 of Apache")
	l.broker.stop()
	l.apache()
	l.check("Apache after kafkad after kill -9 of Apache")
	l.broker.stop()

	l.ours()
	plain := l.writer("")
	for range 30 { // into the last segment, and new ones
		l.write(plain, fmt.Sprintf("plain record %d ", len(l.all)))
	}
	plain.Close()
	l.broker.kill()
	l.gone()
	l.apache()
	l.check("Apache after kill -9 of kafkad")

	// Its producer comes back: the open transaction is aborted.
	stay := l.writer("stays-open")
	l.ok(stay.BeginTransaction())
	l.write(stay, fmt.Sprintf("writer 9 record %d ", len(l.all)))
	l.end(stay, kgo.TryCommit)
	l.dropped[l.all[l.open]], l.open = true, -1
	l.check("Apache after the open transaction was aborted")
	l.broker.stop()
	l.ours()
	l.check("kafkad after the open transaction was aborted")
}
