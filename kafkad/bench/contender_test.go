//go:build bench

package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// contender is a pair of servers: a ZooKeeper and a broker on it.
type contender struct {
	name          string
	zooKeeper     func(conf string) *exec.Cmd
	broker        func(conf string) *exec.Cmd
	dir           string
	zkAddr, kafka string
	zk, running   *exec.Cmd
	got           map[string][]float64 // row to samples, in the order they were taken
}

// contenders are both pairs: kafkad on zkd, and Apache's broker on Apache's ZooKeeper.
func contenders(t *testing.T) []*contender {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(root, "bin")
	if b := os.Getenv("ZKAFKA_BIN"); b != "" {
		bin = b
	}
	peer := filepath.Join(root, ".ci/peers/peer")
	const zooKeeper, kafka = "zookeeper-3.9.4", "kafka-3.9.2"
	// Downloading them is no part of a start.
	if out, err := exec.Command(peer, "get", zooKeeper, kafka).CombinedOutput(); err != nil {
		t.Fatalf("bring the peers: %v\n%s", err, out)
	}
	return []*contender{{
		name:      "ours",
		zooKeeper: func(c string) *exec.Cmd { return exec.Command(bin+"/zkd", "serve", "--config", c) },
		broker:    func(c string) *exec.Cmd { return exec.Command(bin+"/kafkad", "serve", "--config", c) },
	}, {
		name:      "Apache",
		zooKeeper: func(c string) *exec.Cmd { return exec.Command(peer, "zk", zooKeeper, c) },
		broker: func(c string) *exec.Cmd {
			cmd := exec.Command(peer, "kafka", kafka, c)
			// The heap that upstream's own start script gives a broker.
			cmd.Env = append(os.Environ(), "PEER_JVM=-Xmx1G -Xms1G -XX:+UseG1GC -XX:MaxGCPauseMillis=20")
			return cmd
		},
	}}
}

// open starts both servers, empty.
func (c *contender) open(ctx context.Context, t *testing.T) {
	c.got = map[string][]float64{}
	c.dir = t.TempDir()
	c.zkAddr, c.kafka = freeAddr(t), freeAddr(t)
	c.configure(t)
	c.zk = start(t, c.zooKeeper(filepath.Join(c.dir, "zoo.cfg")))
	t.Cleanup(func() { stop(t, c.zk) })
	awaitPort(t, c.zkAddr)
	c.note("start-up, empty", c.startBroker(ctx, t, "__no_such_topic", 0).Seconds())
}

func (c *contender) note(row string, v float64) { c.got[row] = append(c.got[row], v) }

func (c *contender) pid() int { return c.running.Process.Pid }

// configure writes the files of both servers, in the form that both understand.
func (c *contender) configure(t *testing.T) {
	zkHost, zkPort, _ := net.SplitHostPort(c.zkAddr)
	zoo := fmt.Sprintf("tickTime=2000\ndataDir=%s/zk\nclientPort=%s\nclientPortAddress=%s\n"+
		"admin.enableServer=false\n", c.dir, zkPort, zkHost)
	kafka := fmt.Sprintf("broker.id=0\nlisteners=PLAINTEXT://%s\nzookeeper.connect=%s\n"+
		"log.dirs=%s/kafka\noffsets.topic.replication.factor=1\n"+
		"transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n",
		c.kafka, c.zkAddr, c.dir)
	for name, text := range map[string]string{"zoo.cfg": zoo, "server.properties": kafka} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"zk", "kafka"} {
		if err := os.MkdirAll(filepath.Join(c.dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// startBroker starts the broker and measures until it answers Metadata with leaders for all
// partitions of the topic.
func (c *contender) startBroker(ctx context.Context, t *testing.T, topic string, n int) time.Duration {
	began := time.Now()
	c.running = start(t, c.broker(filepath.Join(c.dir, "server.properties")))
	wait, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := AwaitLeaders(wait, Load{Brokers: []string{c.kafka}, Topic: topic, Partitions: n}); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// touchMemory writes and removes a file of the size of a run. In a virtual machine that reports
// free pages, memory that was free for seconds belongs to the host, and whoever writes it first
// pays three times the price of the copy: that must not fall to whichever server happens to run
// then.
func (c *contender) touchMemory(t *testing.T, bytes int64) {
	name := filepath.Join(c.dir, "touch")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	defer f.Close()
	chunk := make([]byte, 1<<20)
	defer unix.Sync() // what others left for the disk must not be written in the next run either
	for n := int64(0); n < bytes; n += int64(len(chunk)) {
		if _, err := f.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
}

func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func awaitPort(t *testing.T, addr string) {
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		<-time.After(pollInterval)
	}
	t.Fatalf("nothing listens on %s", addr)
}

func start(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	var log strings.Builder
	cmd.Stderr, cmd.Stdout = &log, &log
	// A server of a test that dies must die too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%v said:\n%s", cmd.Args, log.String())
		}
	})
	return cmd
}

// stop ends a server the way a service manager does.
func stop(t *testing.T, cmd *exec.Cmd) {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return // stopped before
	}
	err := cmd.Wait()
	// A JVM reports the signal as its exit status.
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 143 {
		t.Errorf("%v: %v", cmd.Args, err)
	}
}
