package systemd

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// manager is a service manager's end of the notify socket.
func manager(t *testing.T) (receive func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		buf := make([]byte, 4096)
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("nothing was sent: %v", err)
		}
		return string(buf[:n])
	}
}

func TestNotifyMessages(t *testing.T) {
	receive := manager(t)
	var n Notifier
	n.Status("recovering %d of %d partitions", 120, 400)
	n.Status("recovering 120 of 400 partitions") // the same: not sent again
	n.Ready()
	n.ExtendTimeout(3 * time.Second)
	done := n.Reloading()
	done()
	n.Stopping("stopping")
	for _, want := range []string{
		"STATUS=recovering 120 of 400 partitions",
		"READY=1",
		"EXTEND_TIMEOUT_USEC=3000000",
	} {
		if got := receive(); got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
	if got := receive(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("sent %q", got)
	}
	if got := receive(); got != "READY=1" {
		t.Errorf("sent %q", got)
	}
	if got := receive(); got != "STOPPING=1\nSTATUS=stopping" {
		t.Errorf("sent %q", got)
	}
}

func TestNotifyWithoutManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	var n Notifier
	n.Ready()
	n.Watchdog(context.Background(), nil) // returns at once
}

// The watchdog is fed only while the loop answers.
func TestWatchdogFollowsTheLoop(t *testing.T) {
	receive := manager(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answers := make(chan error)
	ended := make(chan struct{})
	var n Notifier
	go func() {
		defer close(ended)
		n.watch(ctx, 3*time.Millisecond, func(context.Context) error { return <-answers })
	}()
	answers <- nil
	if got := receive(); got != "WATCHDOG=1" {
		t.Fatalf("sent %q", got)
	}
	answers <- errors.New("the loop hangs")
	answers <- errors.New("still")
	n.Status("nothing between") // what comes next in the socket proves that no ping was sent
	if got := receive(); got != "STATUS=nothing between" {
		t.Fatalf("sent %q", got)
	}
	answers <- nil
	if got := receive(); got != "WATCHDOG=1" {
		t.Fatalf("sent %q", got)
	}
	cancel()
	close(answers)
	<-ended
}

func TestJournalEntry(t *testing.T) {
	var message string
	var priority journal.Priority
	var vars map[string]string
	log := zap.New(&journalCore{LevelEnabler: zap.InfoLevel,
		send: func(m string, p journal.Priority, v map[string]string) error {
			message, priority, vars = m, p, v
			return nil
		}})
	log.With(zap.String("topic", "book")).Warn("log was cut", zap.Int32("partition", 3),
		zap.Error(errors.New("bad checksum")), MessageID(EventTornTail))
	if message != `log was cut topic=book partition=3 error="bad checksum"` {
		t.Errorf("message %q", message)
	}
	if priority != journal.PriWarning {
		t.Errorf("priority %v", priority)
	}
	for k, want := range map[string]string{"TOPIC": "book", "PARTITION": "3",
		"ERROR": "bad checksum", "MESSAGE_ID": EventTornTail} {
		if vars[k] != want {
			t.Errorf("%s=%q, want %q", k, vars[k], want)
		}
	}
	message = ""
	log.Debug("quiet")
	if message != "" {
		t.Errorf("an entry below the level was sent: %q", message)
	}
}

func TestEventsByMessage(t *testing.T) {
	var vars map[string]string
	log := WithEvents(zap.New(&journalCore{LevelEnabler: zap.InfoLevel,
		send: func(_ string, _ journal.Priority, v map[string]string) error {
			vars = v
			return nil
		}}), map[string]string{"elected": EventElected}).With(zap.Int("epoch", 4))
	log.Info("elected", zap.Int("brokers", 3))
	if vars["MESSAGE_ID"] != EventElected || vars["EPOCH"] != "4" || vars["BROKERS"] != "3" {
		t.Errorf("%v", vars)
	}
	log.Info("something else")
	if _, has := vars["MESSAGE_ID"]; has {
		t.Errorf("%v", vars)
	}
}

func TestJournalNames(t *testing.T) {
	for key, want := range map[string]string{"topic": "TOPIC", "_x": "X", "log dir": "LOG_DIR",
		"9lives": "F9LIVES", "": "F", "message": "F_MESSAGE", "ä": "F"} {
		if got := journalName(key); got != want {
			t.Errorf("journalName(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestConsoleLine(t *testing.T) {
	var out bytes.Buffer
	log := ConsoleLogger(&out, zapcore.InfoLevel).With(zap.String("TOPIC", "a b"))
	log.Info("created", zap.Int("partitions", 2), MessageID(EventTopicCreated))
	line := out.String()
	if !strings.HasSuffix(line, " INFO created TOPIC=\"a b\" partitions=2\n") {
		t.Errorf("line %q", line)
	}
}

// Standard error is the journal only if $JOURNAL_STREAM names its very file.
func TestJournalStreamOfAnotherFile(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "1:2")
	if is, _ := journal.StderrIsJournalStream(); is {
		t.Error("standard error was taken for the journal")
	}
}

func TestUsableDir(t *testing.T) {
	dir := t.TempDir()
	if err := UsableDir("dataDir", dir, "x.service", "zkd", false); err != nil {
		t.Error(err)
	}
	err := UsableDir("dataDir", dir+"/none", "x.service", "zkd", false)
	if err == nil || !strings.Contains(err.Error(), "chown -R zkd:zkd "+dir+"/none") {
		t.Errorf("error %v", err)
	}
	if err := UsableDir("dataDir", dir+"/none", "x.service", "zkd", true); err != nil {
		t.Errorf("a directory that can be made: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:         " is not a directory; move that file away, or name a directory",
		file + "/in": ": not a directory; a part of the path is a file, name a directory",
	} {
		err := UsableDir("dataDir", path, "x.service", "zkd", true)
		if err == nil || !strings.HasPrefix(err.Error(), "dataDir="+path) ||
			!strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	t.Setenv("INVOCATION_ID", "1")
	err = UsableDir("dataDir", "/home/nobody-here/datadir", "x.service", "zkd", true)
	if err == nil || !strings.Contains(err.Error(), "ProtectHome=no") {
		t.Errorf("error %v", err)
	}
}

func TestMakeDir(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{filepath.Join(top, "a", "b", "c"), filepath.Join(top, "a") + "/"} {
		for range 2 {
			if err := makeDir(dir); err != nil {
				t.Fatal(err)
			}
		}
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			t.Error(err)
		}
	}
	t.Chdir(top)
	if err := makeDir("relative"); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeDir("file"); err == nil {
		t.Error("a file was taken for a directory")
	}
}
