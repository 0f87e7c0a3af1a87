package cmd

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"zkafka/systemd"
	"zkafka/systemd/systemdtest"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

func TestMain(m *testing.M) {
	systemdtest.Main(m, func(args []string) int { return Main(args, "test") })
}

func start(t *testing.T, args ...string) *systemdtest.Process {
	t.Helper()
	return systemdtest.Start(t, systemdtest.Program(args...))
}

// newConfig writes a configuration with a client port and an admin port of its own.
func newConfig(t *testing.T, more string) (file, dataDir string, port, adminPort int) {
	t.Helper()
	dir := t.TempDir()
	file, dataDir = filepath.Join(dir, "zoo.cfg"), filepath.Join(dir, "data")
	port, adminPort = systemdtest.FreePort(t), systemdtest.FreePort(t)
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
	p.Until(fmt.Sprintf("STATUS=standalone, serving clients on [::]:%d", port))
	p.Until("READY=1")

	out, code := systemdtest.RunProgram(t, "zkd", "status", "--config", file)
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
	p.Signal(syscall.SIGHUP)
	p.Until("RELOADING=1")
	p.Until("READY=1")
	p.Signal(syscall.SIGTERM)
	p.Until("STOPPING=1")
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(p.Output(), "the old one stays in force") {
		t.Error("a bad reload went unsaid")
	}
	if out, code := systemdtest.RunProgram(t, "zkd", "status", "--config", file); code != systemd.ExitConfig {
		t.Errorf("status with a bad file: %d %s", code, out)
	}
}

// An authentication scheme that is not there is told at start.
func TestServeTellsMissingScheme(t *testing.T) {
	file, _, _, _ := newConfig(t, "authProvider.1=x.X509AuthenticationProvider\n")
	p := start(t, "zkd", "serve", "--config", file)
	p.Until("READY=1")
	p.Stop() // what it has written is all here then
	want := "WARN " + file + ":4: authProvider.1=x.X509AuthenticationProvider is not built in"
	if got := strings.Count(p.Output(), want); got != 1 {
		t.Errorf("told %d times\n%s", got, p.Output())
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
	p.Until("READY=1")
	writeNode(t, port, "/kept", "acknowledged")
	p.Signal(syscall.SIGKILL)
	p.Exit()
	p = start(t, "zkd", "serve", "--config", file)
	p.Until("READY=1")
	if got := readNode(t, port, "/kept"); got != "acknowledged" {
		t.Errorf("the node holds %q", got)
	}
	p.Signal(syscall.SIGINT)
	if code := p.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestDamagedLog: a flipped bit keeps the daemon from starting, and what it then says helps.
func TestDamagedLog(t *testing.T) {
	file, dataDir, port, _ := newConfig(t, "")
	p := start(t, "zkd", "serve", "--config", file)
	p.Until("READY=1")
	for _, path := range []string{"/kept", "/damaged", "/behind"} {
		writeNode(t, port, path, path)
	}
	p.Kill()
	log := filepath.Join(dataDir, "version-2", "log.1")
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("/damaged"))] ^= 1
	if err := os.WriteFile(log, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := systemdtest.RunProgram(t, "zkd", "serve", "--config", file)
	way := regexp.MustCompile("truncate -s ([0-9]+) " + regexp.QuoteMeta(log)).FindStringSubmatch(out)
	if code != systemd.ExitFault || !strings.Contains(out, log+" is corrupt at offset ") || way == nil {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if again, err := os.ReadFile(log); err != nil || !bytes.Equal(again, b) {
		t.Fatalf("the log was changed: %v", err)
	}
	size, err := strconv.ParseInt(way[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(log, size); err != nil {
		t.Fatal(err)
	}
	p = start(t, "zkd", "serve", "--config", file)
	p.Until("READY=1")
	if got := readNode(t, port, "/kept"); got != "/kept" {
		t.Errorf("the node holds %q", got)
	}
}

// TestFullDisk: a log that cannot be written ends the daemon, and the journal says so once.
func TestFullDisk(t *testing.T) {
	file, _, port, _ := newConfig(t, "")
	cmd := systemdtest.Program("zkd", "serve", "--config", file)
	cmd.Args = append([]string{"sh", "-c", `ulimit -f 1024; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	p := systemdtest.Start(t, cmd)
	p.Until("READY=1")
	ctx, cancel := context.WithTimeout(context.Background(), systemdtest.Patience)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{Servers: []string{fmt.Sprintf("127.0.0.1:%d", port)}})
	if err != nil {
		t.Fatal(err)
	}
	if code := p.Exit(); code != systemd.ExitFault { // the session is the first write
		t.Errorf("exit code %d", code)
	}
	cancel()
	_ = c.Close(ctx)
	if n := strings.Count(p.Output(), "file too large"); n != 1 {
		t.Errorf("the error was told %d times", n)
	}
}

func TestExitCodes(t *testing.T) {
	good, dataDir, port, _ := newConfig(t, "")
	bad, _, _, _ := newConfig(t, "tickTim=2000\n")
	ensemble, _, _, _ := newConfig(t, "initLimit=10\nsyncLimit=5\nserver.1=a:2888:3888\n"+
		"server.2=b:2888:3888\n")
	sasl, _, _, _ := newConfig(t, "authProvider.1=x.SASLAuthenticationProvider\n")
	busy, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	notDir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LOG_DIR", t.TempDir())
	t.Setenv("ZOOPIDFILE", filepath.Join(t.TempDir(), "pid")) // so that the daemon itself finds the fault
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"zkd", "serve", "--config", bad}, systemd.ExitConfig,
			bad + ":4: unknown setting tickTim; did you mean tickTime?"},
		{[]string{"zkd", "check", "--config", bad}, systemd.ExitConfig, "did you mean tickTime?"},
		{[]string{"zkd", "check", "--config", good}, 0, good + ": good"},
		{[]string{"zkd", "serve", "--config", ensemble}, systemd.ExitConfig, ensemble +
			":7: server.2 is of an ensemble, and this version serves alone: it would not share one tree" +
			" with the others; remove the server lines to run this server alone"},
		{[]string{"zkd", "serve", "--config", "/no/such/file"}, systemd.ExitConfig, "read the" +
			" configuration: open /no/such/file: no such file or directory; make the file, or name" +
			" another one"},
		{[]string{"zkd", "check", "--config", "/tmp"}, systemd.ExitConfig,
			"read the configuration: read /tmp: is a directory; name a file in it"},
		{[]string{"zkd", "config", "convert", "/tmp"}, systemd.ExitConfig, "name a file in it"},
		{[]string{"zkd", "check", "--config", sasl}, 0, "warning: " + sasl + ":4: authProvider.1=" +
			"x.SASLAuthenticationProvider is not built in: clients cannot authenticate with the scheme" +
			" sasl"},
		{[]string{"zkd", "serve", "--config", good}, systemd.ExitFault, "find who has it: ss -ltnp"},
		{[]string{"zkd", "serve", "--config", good, "--override", "dataDir=" + notDir}, systemd.ExitFault,
			"is not a directory"},
		{[]string{"zkd", "serve", "--config", good, "--override", "x"}, systemd.ExitConfig, "key=value"},
		{[]string{"zkd", "status", "--config", good, "--override", "clientPort=1"}, systemd.ExitFault,
			"Error contacting service. It is probably not running."},
		{[]string{"zookeeper-server-start.sh"}, systemd.ExitFault, "USAGE: "},
		{[]string{"zookeeper-server-start.sh", "-daemon", bad}, systemd.ExitConfig,
			"did you mean tickTime?"},
		{[]string{"zookeeper-server-start", bad}, systemd.ExitConfig, "did you mean tickTime?"},
		{[]string{"zkServer.sh", "start", bad}, systemd.ExitConfig, "did you mean tickTime?"},
		{[]string{"zkServer.sh", "restart", bad}, systemd.ExitConfig, "did you mean tickTime?"},
		{[]string{"zkServer.sh", "start-foreground", bad}, systemd.ExitConfig, "tickTime?"},
		{[]string{"zkServer.sh", "status", bad}, systemd.ExitConfig, "did you mean tickTime?"},
		{[]string{"zkServer.sh", "start", good}, systemd.ExitFault, "find who has it: ss -ltnp"},
		{[]string{"zkd", "config", "convert"}, systemd.ExitFault,
			"accepts 1 arg(s), received 0; see zkd config convert --help"},
		{[]string{"zkd", "serve", "--foo"}, systemd.ExitFault, "unknown flag: --foo; see zkd serve --help"},
		{[]string{"zkServer.sh", "foo"}, systemd.ExitFault,
			`unknown command "foo" for "zkServer.sh"; see zkServer.sh --help`},
		{[]string{"zkd", "version"}, 0, "zkd test\n"},
		{[]string{"zkd", "--version"}, 0, "zkd test\n"},
	}
	for _, tt := range tests {
		out, code := systemdtest.RunProgram(t, tt.args...)
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
	out, code := systemdtest.RunProgram(t, "zkd", "check", "--config", good)
	if code != 0 || !strings.Contains(out, "echo 1 > "+dataDir+"/myid") {
		t.Errorf("empty myid: %d\n%s", code, out)
	}
}

// zkServer.sh without a unit: a process in the background, with upstream's words and pid file.
func TestServerScript(t *testing.T) {
	file, dataDir, port, _ := newConfig(t, "")
	t.Setenv("ZOOCFGDIR", filepath.Dir(file))
	out, code := systemdtest.RunProgram(t, "/usr/bin/zkServer.sh", "start")
	if code != 0 || !strings.HasSuffix(out, "Starting zookeeper ... STARTED\n") {
		t.Fatalf("start: %d\n%s", code, out)
	}
	stop := func() (string, int) { return systemdtest.RunProgram(t, "zkServer", "stop", "zoo.cfg") }
	t.Cleanup(func() { stop() })
	if out, code = systemdtest.RunProgram(t, "zkServer.sh", "status"); code != 0 ||
		!strings.HasSuffix(out, "Mode: standalone\n") {
		t.Errorf("status: %d\n%s", code, out)
	}
	if out, code = systemdtest.RunProgram(t, "zkServer.sh", "start"); code != 1 ||
		!strings.Contains(out, "already running as process ") {
		t.Errorf("second start: %d\n%s", code, out)
	}
	if out, code = systemdtest.RunProgram(t, "zkServer.sh", "restart"); code != 0 {
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
	out, code := systemdtest.RunProgram(t, "zkd", "config", "convert", file)
	if code != 0 || !strings.Contains(out, "dataDir = \""+dataDir+"\"\n") {
		t.Errorf("%d\n%s", code, out)
	}
	dir := t.TempDir()
	if out, code := systemdtest.RunProgram(t, "zkd", "gen-man", dir); code != 0 {
		t.Fatalf("%d\n%s", code, out)
	}
	for _, page := range []string{"zkd.8", "zkd-serve.8", "zkd-cli.8", "zkServer.8", "zkCli.8", "zkd.conf.5"} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil || !bytes.HasPrefix(text, []byte(".TH ")) {
			t.Errorf("%s: %v", page, err)
		}
	}
	out, _ = systemdtest.RunProgram(t, "zkd", "links")
	if !strings.Contains(out, "zkServer.sh\n") || !strings.Contains(out, "zkCli\n") {
		t.Errorf("links\n%s", out)
	}
}
