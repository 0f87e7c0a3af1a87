package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"zkafka/systemd"
	"zkafka/systemd/systemdtest"
	"zkafka/zkd/client"
)

func TestMain(m *testing.M) {
	systemdtest.Main(m, func(args []string) int { return Main(args, "test") })
}

func start(t *testing.T, args ...string) *systemdtest.Process {
	t.Helper()
	return systemdtest.Start(t, systemdtest.Program(args...))
}

// zookeeper starts zkd on a port.
func zookeeper(t *testing.T, port int) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("dataDir=%s/data\nclientPort=%d\nadmin.enableServer=false\n", dir, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	zkd := exec.Command(systemdtest.Binary(t, "zkd"), "serve", "--config", file)
	systemdtest.Start(t, zkd).Until("READY=1")
}

// newConfig writes a server.properties with ports and directories of its own.
func newConfig(t *testing.T, more string) (file string, zkPort, port int) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "server.properties")
	zkPort, port = systemdtest.FreePort(t), systemdtest.FreePort(t)
	text := fmt.Sprintf("broker.id=1\nlog.dirs=%s/data1,%s/data2\n"+
		"zookeeper.connect=127.0.0.1:%d/kafka/01\nlisteners=PLAINTEXT://127.0.0.1:%d\n"+
		"zookeeper.session.timeout.ms=60000\noffsets.topic.replication.factor=1\n"+
		"admin.address=\n%s", dir, dir, zkPort, port, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, zkPort, port
}

// registered is the list of brokers in ZooKeeper.
func registered(t *testing.T, zkPort int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{Servers: []string{
		net.JoinHostPort("127.0.0.1", strconv.Itoa(zkPort))}, Chroot: "/kafka/01"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	names, _, err := c.Children(ctx, "/brokers/ids")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// kafka is a client of the broker.
func kafka(t *testing.T, port int, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(
		net.JoinHostPort("127.0.0.1", strconv.Itoa(port))))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// The whole life: wait for ZooKeeper, serve, die, come back at once, stop.
func TestLife(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts a server")
	}
	file, zkPort, port := newConfig(t, "")
	p := start(t, "kafkad", "serve", "--config", file)
	p.Until(fmt.Sprintf("STATUS=waiting for ZooKeeper at 127.0.0.1:%d/kafka/01", zkPort))
	p.Until("EXTEND_TIMEOUT_USEC=10000000")
	p.Signal(syscall.SIGHUP) // kept until the start is over
	zookeeper(t, zkPort)
	p.Until("STATUS=registered as broker 1, controller of cluster ")
	p.Until("READY=1")
	p.Until("RELOADING=1")
	p.Until("READY=1")
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c := kafka(t, port, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("book"))
	if err := c.ProduceSync(ctx, kgo.StringRecord("This is message")).FirstErr(); err != nil {
		t.Fatal(err)
	}

	// Killed, its registration stays for the session timeout of a minute; a new process takes it
	// over at once.
	p.Signal(syscall.SIGKILL)
	p.Exit()
	if got := registered(t, zkPort); len(got) != 1 || got[0] != "1" {
		t.Errorf("brokers %v", got)
	}
	adminAddress := net.JoinHostPort("127.0.0.1", strconv.Itoa(systemdtest.FreePort(t)))
	p = start(t, "kafkad", "serve", "--config", file, "--override", "admin.address="+adminAddress)
	p.Until("READY=1")
	consumer := kafka(t, port, kgo.ConsumeTopics("book"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	records := consumer.PollFetches(ctx).Records()
	if len(records) != 1 || string(records[0].Value) != "This is message" {
		t.Errorf("records %v", records)
	}
	adminPage(t, adminAddress)
	p.Signal(syscall.SIGKILL)
	p.Exit()
	if out, code := systemdtest.RunProgram(t, "kafkad", "fence", "--config", file); code != 0 {
		t.Errorf("fence: %d\n%s", code, out)
	}
	if got := registered(t, zkPort); len(got) != 0 {
		t.Errorf("the fenced broker is still registered: %v", got)
	}

	p = start(t, "kafkad", "serve", "--config", file)
	p.Until("READY=1")
	p.Signal(syscall.SIGHUP)
	p.Until("RELOADING=1")
	p.Until("READY=1")
	if out, code := systemdtest.RunProgram(t, "kafkad", "fence", "--config", file); code == 0 {
		t.Errorf("a living broker was fenced\n%s", out)
	}
	p.Signal(syscall.SIGTERM)
	p.Until("STOPPING=1")
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := registered(t, zkPort); len(got) != 0 {
		t.Errorf("after a clean stop: %v", got)
	}
	if out, code := systemdtest.RunProgram(t, "kafkad", "fence", "--config", file); code != 0 || out != "" {
		t.Errorf("fence after a clean stop: %d\n%s", code, out)
	}
}

// adminPage looks at metrics and health.
func adminPage(t *testing.T, address string) {
	t.Helper()
	for page, wants := range map[string][]string{
		"/health": {"ok\n"},
		"/metrics": {"kafka_controller_kafkacontroller_activecontrollercount 1\n",
			"kafka_server_replicamanager_leadercount 1\n",
			"kafka_server_replicamanager_partitioncount 1\n", "go_goroutines "},
	} {
		resp, err := http.Get("http://" + address + page)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", page, resp.StatusCode, err)
		}
		for _, want := range wants {
			if !strings.Contains(string(body), want) {
				t.Errorf("%s has no %q:\n%s", page, want, body)
			}
		}
	}
}

func TestStopWhileWaiting(t *testing.T) {
	file, _, _ := newConfig(t, "")
	p := start(t, "kafkad", "serve", "--config", file)
	p.Until("EXTEND_TIMEOUT_USEC=10000000")
	p.Signal(syscall.SIGTERM)
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestExitCodes(t *testing.T) {
	good, _, _ := newConfig(t, "")
	bad, _, _ := newConfig(t, "num.partitons=2\n")
	notDir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	toml := filepath.Join(t.TempDir(), "server.toml")
	clash := "broker.id = 1\nbroker.id.generation.enable = true\n"
	if err := os.WriteFile(toml, []byte(clash), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LOG_DIR", filepath.Join(t.TempDir(), "made")) // as upstream's scripts make it
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"kafkad", "serve", "--config", bad}, systemd.ExitConfig,
			bad + ":8: unknown setting num.partitons; did you mean num.partitions?"},
		{[]string{"kafkad", "check", "--config", good}, 0, good + ": good"},
		{[]string{"kafkad", "check", "--config", "/no/such/file"}, systemd.ExitConfig, "read the" +
			" configuration: open /no/such/file: no such file or directory; make the file, or name" +
			" another one"},
		{[]string{"kafkad", "serve", "--config", "/tmp"}, systemd.ExitConfig,
			"read the configuration: read /tmp: is a directory; name a file in it"},
		{[]string{"kafkad", "config", "convert", "/tmp"}, systemd.ExitConfig, "name a file in it"},
		{[]string{"kafkad", "check", "--config", toml}, systemd.ExitConfig,
			`write the longer name in quotes: "broker.id.generation.enable" = ...`},
		{[]string{"kafkad", "check", "--config", good, "--override", "log.dirs=" + notDir},
			systemd.ExitFault, "is not a directory"},
		{[]string{"kafkad", "serve", "--config", good, "--override", "log.dirs=" + notDir},
			systemd.ExitFault, "is not a directory"},
		{[]string{"kafka-server-start.sh"}, systemd.ExitFault, "USAGE: kafka-server-start.sh [-daemon]"},
		{[]string{"kafka-server-start", bad, "--override", "num.partitions=x"}, systemd.ExitConfig,
			"Not a number of type INT"},
		{[]string{"kafka-server-start.sh", "-daemon", bad}, systemd.ExitConfig,
			"did you mean num.partitions?"},
		{[]string{"kafka-server-start.sh", "-daemon", good, "--override", "log.dirs=" + notDir},
			systemd.ExitFault, "is not a directory"},
		{[]string{"kafkad", "version"}, 0, "kafkad test\n"},
		{[]string{"kafkad", "config", "convert", good}, 0, "log.dirs = "},
	}
	for _, tt := range tests {
		out, code := systemdtest.RunProgram(t, tt.args...)
		if code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%v: exit code %d, want %d with %q\n%s", tt.args, code, tt.code, tt.want, out)
		}
	}
}

func TestManualAndLinks(t *testing.T) {
	dir := t.TempDir()
	if out, code := systemdtest.RunProgram(t, "kafkad", "gen-man", dir); code != 0 {
		t.Fatalf("%d\n%s", code, out)
	}
	for _, page := range []string{"kafkad.8", "kafkad-serve.8", "kafkad-fence.8", "kafkad.conf.5",
		"kafka-topics.8", "kafka-server-start.8", "zookeeper-shell.8"} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil || !bytes.HasPrefix(text, []byte(".TH ")) {
			t.Errorf("%s: %v", page, err)
		}
	}
	out, _ := systemdtest.RunProgram(t, "kafkad", "links")
	for _, link := range []string{"kafka-topics.sh\n", "kafka-console-consumer\n",
		"kafka-server-stop.sh\n", "zookeeper-shell\n"} {
		if !strings.Contains(out, link) {
			t.Errorf("no link %q in\n%s", link, out)
		}
	}
}
