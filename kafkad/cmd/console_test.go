package cmd

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"zkafka/systemd/systemdtest"
)

// runCluster starts a zkd and a kafkad, and returns the broker's address and a client of it. More
// are lines of the broker's configuration.
func runCluster(t *testing.T, more ...string) (server string, c *kgo.Client) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts servers")
	}
	file, zkPort, port := newConfig(t, "group.initial.rebalance.delay.ms=0\n"+
		strings.Join(more, "\n")+"\n")
	zookeeper(t, zkPort)
	start(t, "kafkad", "serve", "--config", file).Until("READY=1")
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		kafka(t, port, kgo.AllowAutoTopicCreation())
}

// patient is a context that ends when a test has waited long enough.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), systemdtest.Patience)
	t.Cleanup(cancel)
	return ctx
}

func produce(t *testing.T, c *kgo.Client, topic string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		r := &kgo.Record{Topic: topic, Value: []byte(l)}
		if err := c.ProduceSync(patient(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// await polls until ok, which asks a server what it knows.
func await(t *testing.T, what string, ok func(ctx context.Context) bool) {
	t.Helper()
	ctx := patient(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok(ctx) {
		select {
		case <-ctx.Done():
			t.Fatal("not in time: " + what)
		case <-tick.C:
		}
	}
}

// committed is a group's offset in partition 0 of a topic, -1 if it has none.
func committed(ctx context.Context, c *kgo.Client, group, topic string) int64 {
	offsets, err := kadm.NewClient(c).FetchOffsets(ctx, group)
	if at, ok := offsets.Lookup(topic, 0); ok && err == nil {
		return at.At
	}
	return -1
}

// A group is where its consumer began, even if not a record came: what comes while nobody reads is
// its lag, and the next consumer reads it.
func TestConsumerCommitsItsStart(t *testing.T) {
	server, c := runCluster(t)
	produce(t, c, "t", "1", "2", "3")
	for _, tc := range []struct {
		name string
		from int64
		args []string
	}{
		{"latest", 3, nil},
		{"committed", 3, []string{"--isolation-level", "read_committed"}},
		{"earliest", 0, []string{"--from-beginning"}},
	} {
		topic, group := "t-"+tc.name, "g-"+tc.name
		produce(t, c, topic, "1", "2", "3")
		args := append([]string{"kafka-console-consumer", "--bootstrap-server", server, "--topic",
			topic, "--group", group,
			"--consumer-property", "auto.commit.interval.ms=200"}, tc.args...)
		p := start(t, args...)
		await(t, group+" has an offset", func(ctx context.Context) bool {
			return committed(ctx, c, group, topic) == 3 // of all that was printed, or of nothing
		})
		p.Signal(os.Interrupt)
		if code := p.Exit(); code != 128+int(syscall.SIGINT) {
			t.Errorf("%s: exit code %d after an interrupt", tc.name, code)
		}
		produce(t, c, topic, "4", "5")
		out, _ := systemdtest.RunProgram(t, "kafka-consumer-groups", "--bootstrap-server", server,
			"--describe", "--group", group)
		want := []string{group, topic, "0", "3", "5", "2", "-", "-", "-"}
		if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(want, " ")) {
			t.Errorf("%s: want a row %v in\n%s", tc.name, want, out)
		}
		out, code := systemdtest.RunProgram(t, append(args, "--max-messages", "2")...)
		if code != 0 || out != "4\n5\nProcessed a total of 2 messages\n" {
			t.Errorf("%s, the next time: exit code %d\n%s", tc.name, code, out)
		}
	}
}

// Where the records are gone up to a group's offset and beyond, it starts as one without.
func TestConsumerCommitsStartAfterLostRecords(t *testing.T) {
	server, c := runCluster(t, "log.retention.check.interval.ms=20")
	adm := kadm.NewClient(c)
	retention := "600000"
	_, err := adm.CreateTopic(patient(t), 1, 1, map[string]*string{"retention.ms": &retention}, "t")
	if err != nil {
		t.Fatal(err)
	}
	first := kadm.Offsets{}
	first.AddOffset("t", 0, 0, -1)
	if err := adm.CommitAllOffsets(patient(t), "g", first); err != nil {
		t.Fatal(err)
	}
	old := &kgo.Record{Topic: "t", Value: []byte("old"), Timestamp: time.Now().Add(-time.Hour)}
	if err := c.ProduceSync(patient(t), old).FirstErr(); err != nil {
		t.Fatal(err)
	}
	await(t, "the old record is gone", func(ctx context.Context) bool {
		starts, err := adm.ListStartOffsets(ctx, "t")
		return err == nil && starts["t"][0].Offset == 1
	})
	args := []string{"kafka-console-consumer", "--bootstrap-server", server, "--topic", "t",
		"--group", "g"}
	p := start(t, args...)
	await(t, "the group has an offset that exists", func(ctx context.Context) bool {
		return committed(ctx, c, "g", "t") == 1
	})
	p.Signal(os.Interrupt)
	p.Exit()
	produce(t, c, "t", "new")
	out, code := systemdtest.RunProgram(t, append(args, "--max-messages", "1")...)
	if code != 0 || out != "new\nProcessed a total of 1 messages\n" {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// With enable.auto.commit=false nothing is stored.
func TestConsumerWithoutCommits(t *testing.T) {
	server, c := runCluster(t)
	produce(t, c, "t", "1")
	out, code := systemdtest.RunProgram(t, "kafka-console-consumer", "--bootstrap-server", server,
		"--topic", "t", "--group", "g", "--from-beginning", "--max-messages", "1",
		"--consumer-property", "enable.auto.commit=false")
	if code != 0 || committed(patient(t), c, "g", "t") != -1 {
		t.Errorf("exit code %d, offset %d\n%s", code, committed(patient(t), c, "g", "t"), out)
	}
}

// A consumer of one partition has no group, and starts at the end unless told where.
func TestConsumerOfPartition(t *testing.T) {
	server, c := runCluster(t)
	produce(t, c, "t", "1", "2", "3")
	args := []string{"kafka-console-consumer", "--bootstrap-server", server, "--topic", "t",
		"--partition", "0"}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--offset", "1", "--max-messages", "2"}, "2\n3\nProcessed a total of 2 messages\n"},
		{[]string{"--from-beginning", "--max-messages", "1"}, "1\nProcessed a total of 1 messages\n"},
		{[]string{"--offset", "earliest", "--max-messages", "1"},
			"1\nProcessed a total of 1 messages\n"},
	} {
		if out, code := systemdtest.RunProgram(t, append(args, tc.args...)...); code != 0 ||
			out != tc.want {
			t.Errorf("%v: exit code %d\n%s", tc.args, code, out)
		}
	}
	groups, err := kadm.NewClient(c).ListGroups(patient(t))
	if err != nil || len(groups) != 0 {
		t.Errorf("groups %v, %v", groups, err)
	}
}

// When the reader of its output has gone, a consumer ends at once, although no record comes, and
// leaves its group.
func TestConsumerIntoClosedPipe(t *testing.T) {
	server, c := runCluster(t)
	produce(t, c, "t", "1", "2")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetReadDeadline(time.Now().Add(systemdtest.Patience)); err != nil {
		t.Fatal(err)
	}
	var head sync.WaitGroup
	head.Go(func() {
		if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Error(n, err)
		}
		r.Close()
	})
	errs, code := systemdtest.RunInto(t, w, "kafka-console-consumer", "--bootstrap-server", server,
		"--topic", "t", "--group", "g", "--from-beginning")
	head.Wait()
	const want = "Unable to write to standard out, closing consumer.\nProcessed a total of "
	if code != 0 || !strings.HasPrefix(errs, want) {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	groups, err := kadm.NewClient(c).DescribeGroups(patient(t), "g")
	if err != nil || groups["g"].State != "Empty" {
		t.Errorf("the group is %+v, %v", groups["g"], err)
	}
}

// A line that was typed before an interrupt is sent, also while its topic is being made.
func TestProducerInterruptedAtOnce(t *testing.T) {
	server, c := runCluster(t)
	cmd := systemdtest.Program("kafka-console-producer", "--bootstrap-server", server, "--topic",
		"new")
	in, lines, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	cmd.Stdin = in
	p := systemdtest.Start(t, cmd)
	in.Close()
	if _, err := lines.WriteString("This is message\n"); err != nil {
		t.Fatal(err)
	}
	await(t, "the topic is being made", func(context.Context) bool {
		return strings.Contains(p.Output(), "{new=LEADER_NOT_AVAILABLE}")
	})
	p.Signal(os.Interrupt)
	if code := p.Exit(); code != 128+int(syscall.SIGINT) {
		t.Errorf("exit code %d", code)
	}
	ends, err := kadm.NewClient(c).ListEndOffsets(patient(t), "new")
	if err != nil || ends["new"][0].Offset != 1 {
		t.Errorf("%v %v\n%s", ends, err, p.Output())
	}
}

// No program ends well whose output cannot be written.
func TestFullDevice(t *testing.T) {
	server, c := runCluster(t)
	produce(t, c, "t", "1")
	one := kadm.Offsets{}
	one.AddOffset("t", 0, 1, -1)
	if err := kadm.NewClient(c).CommitAllOffsets(patient(t), "g", one); err != nil {
		t.Fatal(err)
	}
	file, zkPort, _ := newConfig(t, "")
	zookeeper(t, zkPort)
	systemdtest.CheckFullDevice(t,
		"kafka-topics --bootstrap-server "+server+" --list",
		"kafka-topics --bootstrap-server "+server+" --describe",
		"kafka-topics --version",
		"kafka-topics --bootstrap-server "+server+" --create --topic new",
		"kafka-consumer-groups --bootstrap-server "+server+" --list",
		"kafka-broker-api-versions --bootstrap-server "+server,
		"kafka-console-consumer --bootstrap-server "+server+" --topic t --from-beginning",
		"kafka-verifiable-producer --bootstrap-server "+server+" --topic t",
		fmt.Sprintf("zookeeper-shell 127.0.0.1:%d ls /", zkPort),
		"kafkad config convert "+file, "kafkad config keys", "kafkad version", "kafkad links",
		"kafkad check --config "+file, "kafkad --help", "kafkad --version",
		"kafkad completion bash")
}

func TestClosedPipe(t *testing.T) {
	systemdtest.CheckClosedPipe(t, "kafkad", "config", "keys")
	systemdtest.CheckClosedPipe(t, "kafka-topics", "--version")
}
