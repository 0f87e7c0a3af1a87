package cmd

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// The test binary is the program, too: processes that tests start come here.
func TestMain(m *testing.M) {
	if os.Getenv("ZKD_TEST_PROGRAM") != "" {
		os.Exit(Main(os.Args, "test"))
	}
	os.Exit(m.Run())
}

// process is a zkd that a test has started, with the messages it sends to its service manager.
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
	p.cmd.Env = append(os.Environ(), "ZKD_TEST_PROGRAM=1", "NOTIFY_SOCKET="+socket,
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
func newConfig(t *testing.T, more string) (file, dataDir string, port, adminPort int) {
	t.Helper()
	dir := t.TempDir()
	file, dataDir = filepath.Join(dir, "zoo.cfg"), filepath.Join(dir, "data")
	port, adminPort = freePort(t), freePort(t)
	text := fmt.Sprintf("dataDir=%s\nclientPort=%d\nadmin.serverPort=%d\n%s", dataDir, port,
		adminPort, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, dataDir, port, adminPort
}

func TestServeReloadStop(t *testing.T) {
	file, _, port, adminPort := newConfig(t, "tickTime=2000\n")
	p := start(t, "zkd", "serve", "--config", file)
	p.until(fmt.Sprintf("STATUS=standalone, serving clients on [::]:%d", port))
	p.until("READY=1")

	out, code := run(t, "zkd", "status", "--config", file)
	want := fmt.Sprintf("Client port found: %d. Client address: localhost. Client SSL: false.\n"+
		"Mode: standalone\n", port)
	if out != want || code != 0 {
		t.Errorf("status %d:\n%s", code, out)
	}
	resp, err := http.Get(fmt.Sprintf("http://localhost:%d/commands", adminPort))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("admin pages: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}

	writeNode(t, port, "/kept", "across a restart")
	if err := os.WriteFile(file, []byte("tickTime=x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.until("RELOADING=1")
	p.until("READY=1")
	p.signal(syscall.SIGTERM)
	p.until("STOPPING=1")
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.output)
	}
	if !strings.Contains(p.output.String(), "the old one stays in force") {
		t.Errorf("a bad reload went unsaid:\n%s", p.output)
	}
	if out, code := run(t, "zkd", "status", "--config", file); code != exitConfig {
		t.Errorf("status with a bad file: %d %s", code, out)
	}
}

func writeNode(t *testing.T, port int, path, data string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{Servers: []string{fmt.Sprintf("127.0.0.1:%d", port)}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Create(ctx, path, []byte(data), proto.OpenACL(), proto.ModePersistent); err != nil {
		t.Fatal(err)
	}
}

func readNode(t *testing.T, port int, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{Servers: []string{fmt.Sprintf("127.0.0.1:%d", port)}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	data, _, err := c.Get(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRestartAfterKill(t *testing.T) {
	file, _, port, _ := newConfig(t, "")
	p := start(t, "zkd", "serve", "--config", file)
	p.until("READY=1")
	writeNode(t, port, "/kept", "acknowledged")
	p.signal(syscall.SIGKILL)
	p.exit()
	p = start(t, "zkd", "serve", "--config", file)
	p.until("READY=1")
	if got := readNode(t, port, "/kept"); got != "acknowledged" {
		t.Errorf("the node holds %q", got)
	}
	p.signal(syscall.SIGINT)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.output)
	}
}

func TestExitCodes(t *testing.T) {
	good, dataDir, port, _ := newConfig(t, "")
	bad, _, _, _ := newConfig(t, "tickTim=2000\n")
	ensemble, _, _, _ := newConfig(t, "initLimit=10\nsyncLimit=5\nserver.1=a:2888:3888\n"+
		"server.2=b:2888:3888\n")
	busy, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	notDir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"zkd", "serve", "--config", bad}, exitConfig,
			bad + ":4: unknown setting tickTim; did you mean tickTime?"},
		{[]string{"zkd", "check", "--config", bad}, exitConfig, "did you mean tickTime?"},
		{[]string{"zkd", "check", "--config", good}, 0, good + ": good"},
		{[]string{"zkd", "serve", "--config", ensemble}, exitConfig, "names an ensemble"},
		{[]string{"zkd", "serve", "--config", "/no/such/file"}, exitConfig, "/no/such/file"},
		{[]string{"zkd", "serve", "--config", good}, exitFault, "find who has it: ss -ltnp"},
		{[]string{"zkd", "serve", "--config", good, "--override", "dataDir=" + notDir}, exitFault,
			"is not a directory"},
		{[]string{"zkd", "serve", "--config", good, "--override", "x"}, exitConfig, "key=value"},
		{[]string{"zkd", "status", "--config", good, "--override", "clientPort=1"}, exitFault,
			"Error contacting service. It is probably not running."},
		{[]string{"zookeeper-server-start.sh"}, exitFault, "USAGE: "},
		{[]string{"zkd", "version"}, 0, "zkd test\n"},
		{[]string{"zkd", "--version"}, 0, "zkd test\n"},
	}
	for _, tt := range tests {
		out, code := run(t, tt.args...)
		if code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%v: exit code %d, want %d with %q\n%s", tt.args, code, tt.code, tt.want, out)
		}
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dataDir, "myid"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := run(t, "zkd", "check", "--config", good)
	if code != 0 || !strings.Contains(out, "echo 1 > "+dataDir+"/myid") {
		t.Errorf("empty myid: %d\n%s", code, out)
	}
}

// zkServer.sh without a unit: a process in the background, with upstream's words and pid file.
func TestServerScript(t *testing.T) {
	file, dataDir, port, _ := newConfig(t, "")
	t.Setenv("ZOOCFGDIR", filepath.Dir(file))
	out, code := run(t, "/usr/bin/zkServer.sh", "start")
	if code != 0 || !strings.HasSuffix(out, "Starting zookeeper ... STARTED\n") {
		t.Fatalf("start: %d\n%s", code, out)
	}
	stop := func() (string, int) { return run(t, "zkServer", "stop", "zoo.cfg") }
	t.Cleanup(func() { stop() })
	if out, code = run(t, "zkServer.sh", "status"); code != 0 ||
		!strings.HasSuffix(out, "Mode: standalone\n") {
		t.Errorf("status: %d\n%s", code, out)
	}
	if out, code = run(t, "zkServer.sh", "start"); code != 1 ||
		!strings.Contains(out, "already running as process ") {
		t.Errorf("second start: %d\n%s", code, out)
	}
	if out, code = run(t, "zkServer.sh", "restart"); code != 0 {
		t.Errorf("restart: %d\n%s", code, out)
	}
	writeNode(t, port, "/x", "")
	if out, code = stop(); code != 0 || !strings.HasSuffix(out, "Stopping zookeeper ... STOPPED\n") {
		t.Errorf("stop: %d\n%s", code, out)
	}
	out, code = stop()
	want := "no zookeeper to stop (could not find file " + dataDir + "/zookeeper_server.pid)"
	if code != 0 || !strings.Contains(out, want) {
		t.Errorf("second stop: %d\n%s", code, out)
	}
}

func TestConvertAndManual(t *testing.T) {
	file, dataDir, _, _ := newConfig(t, "server.1=a:2888:3888\n")
	out, code := run(t, "zkd", "config", "convert", file)
	if code != 0 || !strings.Contains(out, "dataDir = \""+dataDir+"\"\n") {
		t.Errorf("%d\n%s", code, out)
	}
	dir := t.TempDir()
	if out, code := run(t, "zkd", "gen-man", dir); code != 0 {
		t.Fatalf("%d\n%s", code, out)
	}
	for _, page := range []string{"zkd.8", "zkd-serve.8", "zkd-cli.8", "zkServer.8", "zkCli.8", "zkd.conf.5"} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil || !bytes.HasPrefix(text, []byte(".TH ")) {
			t.Errorf("%s: %v", page, err)
		}
	}
	out, _ = run(t, "zkd", "links")
	if !strings.Contains(out, "zkServer.sh\n") || !strings.Contains(out, "zkCli\n") {
		t.Errorf("links\n%s", out)
	}
}
