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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"zkafka/zkd/client"
)

// The test binary is the program, too: processes that tests start come here.
func TestMain(m *testing.M) {
	if os.Getenv("KAFKAD_TEST_PROGRAM") != "" {
		os.Exit(Main(os.Args, "test"))
	}
	os.Exit(m.Run())
}

// process is a kafkad that a test has started, with the messages it sends to its service manager.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	output *buffer
	notify *net.UnixConn
	exited chan error
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, output: &buffer{}, notify: notify, exited: make(chan error, 1)}
	p.cmd = exec.Command(os.Args[0], args[1:]...)
	p.cmd.Args[0] = args[0]
	p.cmd.Env = append(os.Environ(), "KAFKAD_TEST_PROGRAM=1", "NOTIFY_SOCKET="+socket,
		"GORACE=atexit_sleep_ms=0") // else each process of a race build sleeps a second
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { p.exited <- p.cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-ended
		notify.Close()
	})
	return p
}

// until waits for a message that has a line with this beginning.
func (p *process) until(line string) {
	p.t.Helper()
	buf := make([]byte, 4096)
	if err := p.notify.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	for {
		n, err := p.notify.Read(buf)
		if err != nil {
			p.t.Fatalf("no %s: %v\n%s", line, err, p.output)
		}
		for _, l := range strings.Split(string(buf[:n]), "\n") {
			if strings.HasPrefix(l, line) {
				return
			}
		}
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		p.t.Fatalf("it does not end\n%s", p.output)
		return 0
	}
}

// run runs a command to its end.
func run(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	p := start(t, args...)
	code = p.exit()
	return p.output.String(), code
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// newConfig writes a configuration with a client port and an admin port of its own.
// zookeeper builds zkd and starts it on a port; the returned function stops it.
func zookeeper(t *testing.T, port int) (stop func()) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "zkd")
	build := exec.Command("go", "build", "-o", program, "zkafka/zkd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build zkd: %v\n%s", err, out)
	}
	file := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("dataDir=%s/data\nclientPort=%d\nadmin.enableServer=false\n", dir, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", "--config", file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// newConfig writes a server.properties with ports and directories of its own.
func newConfig(t *testing.T, more string) (file string, zkPort, port int) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "server.properties")
	zkPort, port = freePort(t), freePort(t)
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
	p.until(fmt.Sprintf("STATUS=waiting for ZooKeeper at 127.0.0.1:%d/kafka/01", zkPort))
	p.until("EXTEND_TIMEOUT_USEC=10000000")
	p.signal(syscall.SIGHUP) // kept until the start is over
	zookeeper(t, zkPort)
	p.until("STATUS=registered as broker 1, controller of cluster ")
	p.until("READY=1")
	p.until("RELOADING=1")
	p.until("READY=1")
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c := kafka(t, port, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("book"))
	if err := c.ProduceSync(ctx, kgo.StringRecord("This is message")).FirstErr(); err != nil {
		t.Fatal(err)
	}

	// Killed, its registration stays for the session timeout of a minute; a new process takes it
	// over at once.
	p.signal(syscall.SIGKILL)
	p.exit()
	if got := registered(t, zkPort); len(got) != 1 || got[0] != "1" {
		t.Errorf("brokers %v", got)
	}
	adminAddress := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	p = start(t, "kafkad", "serve", "--config", file, "--override", "admin.address="+adminAddress)
	p.until("READY=1")
	consumer := kafka(t, port, kgo.ConsumeTopics("book"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	records := consumer.PollFetches(ctx).Records()
	if len(records) != 1 || string(records[0].Value) != "This is message" {
		t.Errorf("records %v", records)
	}
	adminPage(t, adminAddress)
	p.signal(syscall.SIGKILL)
	p.exit()
	if out, code := run(t, "kafkad", "fence", "--config", file); code != 0 {
		t.Errorf("fence: %d\n%s", code, out)
	}
	if got := registered(t, zkPort); len(got) != 0 {
		t.Errorf("the fenced broker is still registered: %v", got)
	}

	p = start(t, "kafkad", "serve", "--config", file)
	p.until("READY=1")
	p.signal(syscall.SIGHUP)
	p.until("RELOADING=1")
	p.until("READY=1")
	if out, code := run(t, "kafkad", "fence", "--config", file); code == 0 {
		t.Errorf("a living broker was fenced\n%s", out)
	}
	p.signal(syscall.SIGTERM)
	p.until("STOPPING=1")
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.output)
	}
	if got := registered(t, zkPort); len(got) != 0 {
		t.Errorf("after a clean stop: %v", got)
	}
	if out, code := run(t, "kafkad", "fence", "--config", file); code != 0 || out != "" {
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
	p.until("EXTEND_TIMEOUT_USEC=10000000")
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.output)
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
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"kafkad", "serve", "--config", bad}, exitConfig,
			bad + ":8: unknown setting num.partitons; did you mean num.partitions?"},
		{[]string{"kafkad", "check", "--config", good}, 0, good + ": good"},
		{[]string{"kafkad", "check", "--config", toml}, exitConfig,
			`write the longer name in quotes: "broker.id.generation.enable" = ...`},
		{[]string{"kafkad", "check", "--config", good, "--override", "log.dirs=" + notDir},
			exitFault, "is not a directory"},
		{[]string{"kafkad", "serve", "--config", good, "--override", "log.dirs=" + notDir},
			exitFault, "is not a directory"},
		{[]string{"kafka-server-start.sh"}, exitFault, "USAGE: kafka-server-start.sh [-daemon]"},
		{[]string{"kafka-server-start", bad, "--override", "num.partitions=x"}, exitConfig,
			"Not a number of type INT"},
		{[]string{"kafkad", "version"}, 0, "kafkad test\n"},
		{[]string{"kafkad", "config", "convert", good}, 0, "log.dirs = "},
	}
	for _, tt := range tests {
		out, code := run(t, tt.args...)
		if code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%v: exit code %d, want %d with %q\n%s", tt.args, code, tt.code, tt.want, out)
		}
	}
}

func TestManualAndLinks(t *testing.T) {
	dir := t.TempDir()
	if out, code := run(t, "kafkad", "gen-man", dir); code != 0 {
		t.Fatalf("%d\n%s", code, out)
	}
	for _, page := range []string{"kafkad.8", "kafkad-serve.8", "kafkad-fence.8", "kafkad.conf.5",
		"kafka-topics.8", "kafka-server-start.8", "zookeeper-shell.8"} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil || !bytes.HasPrefix(text, []byte(".TH ")) {
			t.Errorf("%s: %v", page, err)
		}
	}
	out, _ := run(t, "kafkad", "links")
	for _, link := range []string{"kafka-topics.sh\n", "kafka-console-consumer\n",
		"kafka-server-stop.sh\n", "zookeeper-shell\n"} {
		if !strings.Contains(out, link) {
			t.Errorf("no link %q in\n%s", link, out)
		}
	}
}
