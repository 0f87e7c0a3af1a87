//go:build interop

package interop

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestInteropDifferentialRecords sends the same random requests, raw and in lock step, to Apache
// Kafka 3.9.2 and to kafkad and compares the decoded answers field by field. The seed is fixed, so
// that a build does not fail by chance: $KAFKAD_DIFF_SEED tries another one, $KAFKAD_DIFF_COUNT
// another number of requests, $KAFKAD_DIFF_KEEP goes on until so many requests differ.
//
// Compared by what they stand for are topic ids, fetch sessions, producer ids, addresses, cluster
// ids, and times of append. The generator does not send what brings out where kafkad differs on
// purpose, see "Differences" in docs/compat.md, nor these:
//
//   - a partition that one request of a fetch session both forgets and asks for
//   - several faults in one topic of CreateTopics, CreatePartitions or AlterConfigs: which is named
//     first depends on the order of checks, and of hash tables
//   - APPEND of an empty item to a list
func TestInteropDifferentialRecords(t *testing.T) {
	needForeign(t)
	number := func(name string, n int) int {
		if v := os.Getenv(name); v != "" {
			n, _ = strconv.Atoi(v)
		}
		return n
	}
	count := 6000
	if testing.Short() {
		count = 1500
	}
	count = number("KAFKAD_DIFF_COUNT", count)
	extra := "log.cleaner.enable=false\nauto.create.topics.enable=true\nnum.partitions=2\n"
	_, zk := zkd(t, t.TempDir())
	d := &recordDiffer{t: t, seed: number("KAFKAD_DIFF_SEED", 1), keep: number("KAFKAD_DIFF_KEEP", 1)}
	_, addr := apacheKafka(t, "3.9.2", zk+"/apache", t.TempDir(), extra)
	d.sides[0] = newBrokerSide("apache", addr)
	_, addr = kafkad(t, zk+"/ours", t.TempDir(), extra)
	d.sides[1] = newBrokerSide("kafkad", addr)
	d.g = newRequests(rand.New(rand.NewPCG(uint64(d.seed), 0)), time.Now())
	d.prepare()
	if !t.Failed() {
		d.run(count)
	}
}

// recordDiffer runs the comparison; sides are Apache's broker and ours.
type recordDiffer struct {
	t      *testing.T
	seed   int
	keep   int
	differ int
	sides  [2]*brokerSide
	g      *requests
	codes  map[string]int
	recent []string
}

// prepare makes the topics of the generator.
func (d *recordDiffer) prepare() {
	d.codes = map[string]int{}
	for _, s := range d.sides {
		s.awaitController(d.t)
	}
	d.exchange(0, d.g.topics())
	for _, name := range recordTopics() {
		d.settle(name, recordPartitions)
	}
	for _, s := range d.sides {
		s.awaitProducerIDs(d.t)
	}
}

func (d *recordDiffer) run(count int) {
	began := time.Now()
	for i := range count {
		q := d.g.next()
		d.recent = append(d.recent[max(0, len(d.recent)-20):], q.String())
		if !d.exchange(i+1, q) {
			if d.differ++; d.differ >= d.keep {
				return
			}
		}
		for _, name := range q.settles {
			d.settle(name, d.g.admin[name])
		}
	}
	d.t.Logf("seed %d: %d requests alike in %v; outcomes: %v", d.seed, count-d.differ,
		time.Since(began).Round(time.Millisecond), d.codes)
}

// exchange sends a request to both and compares the answers.
func (d *recordDiffer) exchange(i int, q request) bool {
	var got [2][]string
	var errs [2]error
	var answers [2]kmsg.Response
	for k, s := range d.sides {
		answers[k], errs[k] = s.ask(q)
		if errs[k] == nil && answers[k] != nil {
			s.share(answers[k])
		}
		if errs[k] != nil && !errors.Is(errs[k], io.EOF) {
			d.t.Fatalf("request %d to %s: %v\n%s", i, s.name, errs[k], q)
		}
	}
	allowText(answers)
	allowRoom(answers)
	for k := range got {
		if got[k] = nil; answers[k] != nil {
			got[k] = fields(answers[k])
		}
	}
	if (errs[0] == nil) == (errs[1] == nil) && slices.Equal(got[0], got[1]) {
		d.note(q, answers[0], errs[0])
		d.g.answered(q, answers[0])
		return true
	}
	d.t.Errorf("request %d (KAFKAD_DIFF_SEED=%d KAFKAD_DIFF_COUNT=%d) %s\n%s", i, d.seed, i, q,
		contrast(got, errs))
	d.g.answered(q, answers[0])
	return false
}

// allowText lets kafkad say what is wrong with a record set where Apache's broker says nothing.
func allowText(answers [2]kmsg.Response) {
	apache, ok := answers[0].(*kmsg.ProduceResponse)
	ours, both := answers[1].(*kmsg.ProduceResponse)
	if !ok || !both {
		return
	}
	for i := range min(len(apache.Topics), len(ours.Topics)) {
		a, o := apache.Topics[i].Partitions, ours.Topics[i].Partitions
		for j := range min(len(a), len(o)) {
			if a[j].ErrorMessage == nil && a[j].ErrorCode != 0 {
				o[j].ErrorMessage = nil
			}
		}
	}
}

// allowRoom makes the records for versions before 4 equally many: how many fit depends on how well
// a broker's compressors do when they are converted.
func allowRoom(answers [2]kmsg.Response) {
	apache, ok := answers[0].(*kmsg.FetchResponse)
	ours, both := answers[1].(*kmsg.FetchResponse)
	if !ok || !both || apache.Version >= 4 {
		return
	}
	for i := range min(len(apache.Topics), len(ours.Topics)) {
		a, o := apache.Topics[i].Partitions, ours.Topics[i].Partitions
		for j := range min(len(a), len(o)) {
			n := min(wholeEntries(a[j].RecordBatches), wholeEntries(o[j].RecordBatches))
			a[j].RecordBatches = firstEntries(a[j].RecordBatches, n)
			o[j].RecordBatches = firstEntries(o[j].RecordBatches, n)
		}
	}
}

// contrast shows both answers, marking the lines that are not in the other one; of long answers
// only those.
func contrast(got [2][]string, errs [2]error) string {
	var b strings.Builder
	for k, name := range []string{"apache", "kafkad"} {
		fmt.Fprintf(&b, "%s:\n", name)
		if errs[k] != nil {
			fmt.Fprintf(&b, "  closed the connection: %v\n", errs[k])
		}
		for _, line := range got[k] {
			mark := "> "
			if slices.Contains(got[1-k], line) {
				if mark = "  "; len(got[k]) > 60 {
					continue
				}
			}
			fmt.Fprintf(&b, "%s%s\n", mark, line)
		}
	}
	return b.String()
}

// note counts the outcomes, so that a reader of the log sees that the generator does its work.
func (d *recordDiffer) note(q request, resp kmsg.Response, err error) {
	name := kmsg.NameForKey(q.req.Key())
	if err != nil || resp == nil {
		d.codes[fmt.Sprintf("%s %v", name, err)]++
		return
	}
	for _, line := range fields(resp) {
		if key, value, _ := strings.Cut(line, " = "); strings.HasSuffix(key, "ErrorCode") {
			d.codes[name+" "+value]++
		}
	}
}

// settle waits until both brokers have done with a topic: it has so many partitions with leaders,
// or it is gone and may be created again. The ids of those that exist are learned.
func (d *recordDiffer) settle(name string, partitions int) {
	for _, s := range d.sides {
		what := fmt.Sprintf("%s: topic %s with %d partitions after\n%s\n", s.name, name, partitions,
			strings.Join(d.recent, "\n"))
		await(d.t, what, func() bool { return s.settled(d.t, name, partitions) })
	}
}

// fields flattens a message to lines of "path = value".
func fields(message any) []string {
	var out []string
	flatten("", reflect.ValueOf(message), &out)
	return out
}

func flatten(path string, v reflect.Value, out *[]string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			flatten(path, v.Elem(), out)
			return
		}
		*out = append(*out, path+" = null")
	case reflect.Struct:
		if tags, ok := v.Interface().(kmsg.Tags); ok {
			if tags.Len() > 0 {
				*out = append(*out, fmt.Sprintf("%s = %d unknown tags", path, tags.Len()))
			}
			return
		}
		for i := range v.NumField() {
			flatten(path+"."+v.Type().Field(i).Name, v.Field(i), out)
		}
	case reflect.Slice:
		if records, ok := v.Interface().([]byte); ok && records != nil {
			for i, line := range canonicalRecords(records) {
				*out = append(*out, fmt.Sprintf("%s[%d] = %s", path, i, line))
			}
			return
		}
		if v.IsNil() {
			*out = append(*out, path+" = none")
		}
		for i := range v.Len() {
			flatten(fmt.Sprintf("%s[%d]", path, i), v.Index(i), out)
		}
	case reflect.Array: // an id
		if !v.IsZero() {
			*out = append(*out, fmt.Sprintf("%s = %q", path, v.Interface()))
		}
	default:
		*out = append(*out, fmt.Sprintf("%s = %#v", path, v.Interface()))
	}
}
