//go:build interop

package interop

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// What Apache's kafka-topics of 2.8.2 and ours are told to do, each in a chroot of its own. Only
// commands without chance in them: where replicas begin is drawn when a topic is created.
var znodeCommands = []string{
	"--create --topic t --replica-assignment 4:3:0,3:1:5 --config retention.ms=1000",
	"--alter --topic t --partitions 10",
	"--alter --topic t --config max.message.bytes=5000 --delete-config retention.ms",
	"--create --topic t --partitions 1 --replication-factor 1",
	"--create --topic t --partitions 1 --replication-factor 1 --if-not-exists",
	"--create --topic a.b --replica-assignment 1",
	"--create --topic a_b --partitions 1 --replication-factor 1",
	"--create --topic many --partitions 1 --replication-factor 7",
	"--alter --topic t --partitions 3",
	"--alter --topic nosuch --partitions 3",
	"--describe --topic t",
	"--describe --topics-with-overrides",
	"--delete --topic a.b",
	"--delete --topic a.b",
	"--list",
	"--list --exclude-internal",
	"--delete --topic __consumer_offsets",
	"--alter --topic __consumer_offsets --partitions 9",
}

// The znodes that our kafka-topics --zookeeper leaves, and what it says, are those of Apache's.
func TestInteropTopicsByZnodesLikeApache(t *testing.T) {
	needForeign(t)
	_, addr := zkd(t, t.TempDir())
	apacheTree, apacheSaid := manageByZnodes(t, addr+"/apache", func(args ...string) *exec.Cmd {
		return peerCommand(t, append([]string{"kafka-topics", "kafka-2.8.2"}, args...)...)
	})
	tree, said := manageByZnodes(t, addr+"/ours", func(args ...string) *exec.Cmd {
		return oursCommand(t, "kafka-topics.sh", args...)
	})
	for i, c := range znodeCommands {
		if said[i] != apacheSaid[i] {
			t.Errorf("%s\n     ours said %s\nApache's said %s", c, said[i], apacheSaid[i])
		}
	}
	if !slices.Equal(tree, apacheTree) {
		t.Errorf("the trees differ; ours:\n%s\nApache's:\n%s", strings.Join(tree, "\n"),
			strings.Join(apacheTree, "\n"))
	}
}

// manageByZnodes runs the commands in a cluster that consists of znodes only: six brokers in three
// racks, and the topic that groups live in. It returns the znodes with their data, and what each
// command said with its exit code.
func manageByZnodes(
	t *testing.T, connect string, command func(args ...string) *exec.Cmd,
) (tree, said []string) {
	t.Helper()
	servers, chroot, err := client.ParseServers(connect)
	if err != nil {
		t.Fatal(err)
	}
	zk, err := client.Dial(t.Context(), client.Options{Servers: servers,
		SessionTimeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer zk.Close(t.Context())
	put := func(path string, data []byte) {
		_, err := zk.CreateRecursive(t.Context(), chroot+path, data, proto.OpenACL(),
			proto.ModePersistent)
		if err != nil && !errors.Is(err, proto.ErrNodeExists) {
			t.Fatal(path, err)
		}
	}
	for _, path := range znode.InitialPaths {
		put(path, nil)
	}
	for id, rack := range []string{"rack1", "rack3", "rack3", "rack2", "rack2", "rack1"} {
		put(znode.PathBroker(int32(id)), znode.EncodeRegistration(znode.Registration{
			Rack: rack, JMXPort: -1,
			Endpoints: []cluster.Endpoint{{Listener: "PLAINTEXT", Host: "localhost", Port: 1}},
		}, 0))
	}
	put(znode.PathTopic("__consumer_offsets"), []byte(`{"version":1,"partitions":{"0":[0]}}`))
	for _, c := range znodeCommands {
		cmd := command(append([]string{"--zookeeper", connect}, strings.Fields(c)...)...)
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		said = append(said, cmd.ProcessState.String()+"\n"+string(out))
	}
	return znodesBelow(t, zk, chroot, ""), said
}

// znodesBelow lists the nodes below a path, which is relative to chroot, with their data.
func znodesBelow(t *testing.T, zk *client.Client, chroot, path string) []string {
	names, _, err := zk.Children(t.Context(), chroot+path)
	if err != nil {
		t.Fatal(path, err)
	}
	slices.Sort(names)
	var out []string
	for _, n := range names {
		p := path + "/" + n
		data, _, err := zk.Get(t.Context(), chroot+p)
		if err != nil {
			t.Fatal(p, err)
		}
		out = append(append(out, p+" = "+string(data)), znodesBelow(t, zk, chroot, p)...)
	}
	return out
}
