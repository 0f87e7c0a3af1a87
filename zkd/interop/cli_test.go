//go:build interop

package interop

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"zkafka/zkd/cli"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// everyday is a session at the prompt that every server must answer alike.
const everyday = `ls /
create /b
create -s -e /b/s-
create /b/x "two words" world:anyone:cdrwa
ls -s /b
ls -R /b
ls -w /b
create /b/y
get -w /b/x
set /b/x v2
set -s /b/x v3
set -v 99 /b/x v4
get /b
get -b /b/x
get -x /b/x
getAcl /b/x
getAcl -s /b/x
setAcl /b/x world:anyone:r,ip:1.2.3.4:cdrwa
getAcl /b/x
setAcl /b/x foo
addauth digest u:p
create /b/mine data auth::cdrwa
getAcl /b/mine
sync /b
stat /b
stat /nope
stat -w /b/x
delete -v 7 /b/x
delete /b
deleteall /b
deleteall /a
create /e
create -e /e1 data
create /e1/x
create /e
create /d/
ls /d//e
delete /
history
redo 3
redo 99
printwatches off
printwatches
ls e
ls
ls /e watch
stat /e watch
get /e watch
set /e -- -5
get /e
frob
create -c -e /cont
close
ls /
connect SERVER
ls /
delete /e
quit
`

// recent is what servers before 3.7 do not answer.
const recent = `create -e /r
whoami
getEphemerals
getEphemerals /r
getAllChildrenNumber /zookeeper
delete /r
quit
`

// TestInteropPrompt compares our command line with Apache's, command by command, on Apache's
// server, and then on ours.
func TestInteropPrompt(t *testing.T) {
	apache := startServer(t, "zookeeper-3.9.4")
	for _, script := range []string{everyday, recent} {
		wantOut, wantErr := javaCLI(t, apache, script)
		ours := startServer(t, "zkd")
		for _, s := range []*server{apache, ours} {
			gotOut, gotErr := ourCLI(t, s, script)
			if gotOut != wantOut {
				t.Errorf("output on %s\n%s", s.name, diff(gotOut, wantOut))
			}
			if gotErr != wantErr {
				t.Errorf("errors on %s\n%s", s.name, diff(gotErr, wantErr))
			}
		}
		gotOut, gotErr := javaCLI(t, ours, script) // and Apache's command line on our server
		if gotOut != wantOut {
			t.Errorf("output of Apache's zkCli on zkd\n%s", diff(gotOut, wantOut))
		}
		if gotErr != wantErr {
			t.Errorf("errors of Apache's zkCli on zkd\n%s", diff(gotErr, wantErr))
		}
	}
}

func ourCLI(t *testing.T, s *server, script string) (out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	cli.Run(t.Context(), []string{"-server", s.addr}, cli.Options{
		In: strings.NewReader(strings.ReplaceAll(script, "SERVER", s.addr)), Out: &o, Err: &e,
	})
	return normal(s, o.String()), normal(s, e.String())
}

func javaCLI(t *testing.T, s *server, script string) (out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	cmd := exec.CommandContext(t.Context(), peer(t), "zkCli", "zookeeper-3.9.4", "-server", s.addr)
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(script, "SERVER", s.addr))
	cmd.Stdout, cmd.Stderr = &o, &e
	cmd.Env = append(cmd.Environ(), "TZ=UTC", "PEER_LOG=OFF")
	if err := cmd.Run(); err != nil {
		t.Fatalf("zkCli: %v\n%s", err, e.String())
	}
	return normal(s, o.String()), normal(s, e.String())
}

// What differs from run to run, or is not ours to print.
var changing = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`(?m)^([cmp]Zxid|ephemeralOwner) = 0x[0-9a-f]{2,}$`), "$1 = N"},
	{regexp.MustCompile(`(?m)^([cmp]Zxid) = 0x[0-9a-f]$`), "$1 = N"},
	{regexp.MustCompile(`(?m)time = .*$`), "time = T"},
	{regexp.MustCompile(`zxid: \d+`), "zxid: N"},
	{regexp.MustCompile(`(?m)^\t.*\n`), ""}, // the list of commands
}

// normal takes out what changes from run to run. Apache prints watch events from a thread of its
// own, anywhere among the other lines: they are put at the end, those of the connection are left
// out.
func normal(s *server, text string) string {
	text = strings.ReplaceAll(text, s.addr, "SERVER")
	for _, c := range changing {
		text = c.re.ReplaceAllString(text, c.to)
	}
	var lines, events []string
	for line := range strings.Lines(text) {
		switch {
		case line == "\n", line == "WATCHER::\n", strings.Contains(line, "type:None"):
		case strings.HasPrefix(line, "WatchedEvent "):
			events = append(events, line)
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(append(lines, events...), "")
}

// diff shows the lines around the first difference.
func diff(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < len(g) && i < len(w) && g[i] == w[i] {
		i++
	}
	part := func(l []string) string {
		return strings.Join(l[max(0, min(i, len(l))-3):min(i+4, len(l))], "\n\t")
	}
	return "got\n\t" + part(g) + "\nApache prints\n\t" + part(w)
}

// TestInteropTerminal types at our prompt in a real terminal: editing, history, completion, events.
func TestInteropTerminal(t *testing.T) {
	foreign(t)
	s := startServer(t, "zkd")
	cmd := exec.CommandContext(timeout(t), "python3", "testdata/prompt_check.py", zkdBinary(t),
		s.addr)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// old is what the shell of a client of 3.4 understands.
const old = `ls /
create /a one
create -s -e /a/s- x
get /a
set /a two 0
set /a three 0
ls2 /a
stat /a true
set /a four
getAcl /a
setAcl /a world:anyone:cdrw
addauth digest u:p
create /a/mine x auth::cdrwa
getAcl /a/mine
sync /a
delete /a
rmr /a
ls /
quit
`

// TestInteropOldJava runs a Java client of 3.4, the one inside Kafka 1.0, on Apache's server and
// ours.
func TestInteropOldJava(t *testing.T) {
	var want string
	for _, name := range []string{"zookeeper-3.9.4", "zkd"} {
		s := startServer(t, name)
		cmd := exec.CommandContext(t.Context(), peer(t), "zookeeper-shell", "kafka-1.0.0", s.addr)
		cmd.Stdin = strings.NewReader(old)
		cmd.Env = append(cmd.Environ(), "TZ=UTC", "PEER_LOG=OFF")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		// The old client prints this from its event thread, before or after the next command's line.
		const sync = "Sync returned 0\n"
		got := normal(s, string(out))
		if strings.Count(got, sync) != 1 {
			t.Errorf("on %s sync did not answer once\n%s", name, got)
		}
		got = strings.Replace(got, sync, "", 1)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("on %s\n%s", name, diff(got, want))
		}
		if !strings.Contains(got, "[zookeeper]") || !strings.Contains(got, "\none\n") {
			t.Errorf("the shell printed\n%s", got)
		}
	}
}

// TestInteropOneShot compares exit codes and messages of single commands.
func TestInteropOneShot(t *testing.T) {
	foreign(t)
	s := startServer(t, "zkd")
	for _, args := range [][]string{
		{"create", "/one", "x"}, {"get", "-s", "/one"}, {"get", "/nope"}, {"frob"}, {"ls"},
		{"create", "-c", "-e", "/x"}, {"delete", "/one"}, {"delete", "/one"},
	} {
		java := exec.CommandContext(t.Context(), peer(t),
			append([]string{"zkCli", "zookeeper-3.9.4", "-server", s.addr}, args...)...)
		java.Env = append(java.Environ(), "PEER_LOG=OFF", "TZ=UTC")
		ours := exec.CommandContext(t.Context(), zkdBinary(t),
			append([]string{"cli", "-server", s.addr}, args...)...)
		ours.Env = append(ours.Environ(), "TZ=UTC")
		if args[0] == "create" || args[0] == "delete" { // each needs the state the other changes
			ours.Args[len(ours.Args)-len(args)+1] = strings.Replace(args[1], "/one", "/two", 1)
		}
		wantOut, wantErr, wantCode := run(t, java)
		gotOut, gotErr, gotCode := run(t, ours)
		for _, p := range []*string{&wantOut, &wantErr, &gotOut, &gotErr} {
			*p = strings.ReplaceAll(normal(s, *p), "/two", "/one")
		}
		if gotCode != wantCode || gotOut != wantOut || gotErr != wantErr {
			t.Errorf("%q: exit code %d, want %d\n%s\n%s", args, gotCode, wantCode,
				diff(gotOut, wantOut), diff(gotErr, wantErr))
		}
	}
}

func run(t *testing.T, cmd *exec.Cmd) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// TestInteropJavaSession lets Apache's client lose our server and find it again: its session, its
// ephemeral and its watch must survive.
func TestInteropJavaSession(t *testing.T) {
	foreign(t)
	s := startServer(t, "zkd")
	cmd := exec.CommandContext(t.Context(), peer(t), "zkCli", "zookeeper-3.9.4", "-server", s.addr)
	cmd.Env = append(cmd.Environ(), "PEER_LOG=OFF")
	in, err := cmd.StdinPipe()
	check(t, err)
	out := new(syncBuffer)
	cmd.Stdout, cmd.Stderr = out, out
	check(t, cmd.Start())
	say := func(line, answer string) {
		t.Helper()
		_, err := in.Write([]byte(line + "\n"))
		check(t, err)
		out.expect(t, answer)
	}
	say("create -e /java x", "Created /java")
	say("get -w /java", "x\n")
	s.kill()
	out.expect(t, "state:Disconnected")
	s.start()
	out.expect(t, "state:SyncConnected")
	c := dial(t, s)
	ctx := timeout(t)
	found, st, err := c.Exists(ctx, "/java")
	if err != nil || !found || st.EphemeralOwner == 0 {
		t.Errorf("the ephemeral after a restart: %v %+v %v", found, st, err)
	}
	_, err = c.Set(ctx, "/java", []byte("y"), -1)
	check(t, err)
	out.expect(t, "type:NodeDataChanged path:/java")
	_, _, gone, err := c.GetW(ctx, "/java")
	check(t, err)
	_, err = in.Write([]byte("quit\n"))
	check(t, err)
	if e := event(t, gone); e.Type != proto.EventNodeDeleted {
		t.Errorf("after quit: %+v", e)
	}
	check(t, cmd.Wait())
	check(t, c.Close(ctx))
}

// TestInteropJavaExpiry kills Apache's client: its ephemeral goes when the session times out.
func TestInteropJavaExpiry(t *testing.T) {
	foreign(t)
	s := startServer(t, "zkd")
	cmd := exec.CommandContext(t.Context(), peer(t), "zkCli", "zookeeper-3.9.4", "-server", s.addr,
		"-timeout", "2000", "create", "-e", "/java", "x")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := dial(t, s, func(o *client.Options) { o.SessionTimeout = 5 * time.Second })
	found, _, gone, err := c.ExistsW(timeout(t), "/java")
	check(t, err)
	if !found { // it may be over already on a slow machine
		return
	}
	if e := event(t, gone); e.Type != proto.EventNodeDeleted {
		t.Errorf("got %+v", e)
	}
	check(t, c.Close(timeout(t)))
}
