package cmd

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"zkafka/systemd/systemdtest"
)

// runCluster starts a zkd and a kafkad, and returns the broker's address and a client of it.
func runCluster(t *testing.T) (server string, c *kgo.Client) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts servers")
	}
	file, zkPort, port := newConfig(t, "group.initial.rebalance.delay.ms=0\n")
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
