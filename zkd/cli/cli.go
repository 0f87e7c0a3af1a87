// Package cli is ZooKeeper's command line, zkCli.sh, as a library: its commands, its output, its
// exit codes, one-shot and interactive. zkd ships it as zkCli, kafkad as zookeeper-shell.
//
// What people and scripts see is upstream's of 3.9: results go to the standard output, messages and
// errors to the standard error.
package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// Exit codes, as upstream's.
const (
	exitOK       = 0
	exitFailed   = 1
	exitNotFound = 127
)

// Options are what a program gives to Run.
type Options struct {
	In       io.Reader
	Out, Err io.Writer
	Version  string // what the command "version" prints

	// Terminal says that In and Out are a terminal: then there is a prompt, history and completion.
	Terminal    bool
	HistoryFile string // keeps the history of a terminal; "" for none

	// Shell takes the server as the first argument, as Kafka's zookeeper-shell does.
	Shell bool
}

// shellUsage is what Kafka's script prints without arguments.
const shellUsage = "USAGE: zookeeper-shell.sh zookeeper_host:port[/path]" +
	" [-zk-tls-config-file file] [args...]"

// Run runs the command line and returns its exit code. The arguments are upstream's: options with
// one dash, then perhaps a command; without a command it reads commands from Options.In.
func Run(ctx context.Context, args []string, opt Options) int {
	s := &session{
		ctx: ctx, opt: opt, out: &lockedWriter{w: opt.Out}, err: &lockedWriter{w: opt.Err},
		server: "localhost:2181", timeout: 30 * time.Second,
	}
	s.printWatches.Store(true)
	if opt.Shell {
		if len(args) == 0 {
			fmt.Fprintln(s.err, shellUsage)
			return exitFailed
		}
		s.server, args = args[0], args[1:]
	}
	args, done, err := s.flags(args)
	if err != nil {
		fmt.Fprintln(s.err, err)
		return exitFailed
	}
	if done {
		return exitOK
	}
	if len(args) > 0 {
		return s.once(args)
	}
	return s.interact()
}

// flags reads the options before the command.
func (s *session) flags(args []string) (rest []string, done bool, err error) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name, value, inline := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
		args = args[1:]
		switch name {
		case "r", "readonly":
			s.readOnly = true
			continue
		case "waitforconnection":
			s.wait = true
			continue
		case "h", "help":
			usage(s.out)
			return nil, true, nil
		case "server", "timeout", "client-configuration", "zk-tls-config-file":
		default:
			return nil, false, fmt.Errorf("unknown option -%s", name)
		}
		if !inline {
			if len(args) == 0 {
				return nil, false, fmt.Errorf("no argument found for option -%s", name)
			}
			value, args = args[0], args[1:]
		}
		switch name {
		case "server":
			s.server = value
		case "timeout":
			ms, err := strconv.ParseInt(value, 10, 32)
			if err != nil || ms <= 0 {
				return nil, false, fmt.Errorf("-timeout %s: not a number of milliseconds", value)
			}
			s.timeout = time.Duration(ms) * time.Millisecond
		default:
			return nil, false, fmt.Errorf("-%s %s: TLS and SASL are not supported", name, value)
		}
	}
	return args, false, nil
}

// session is one run: a connection that "connect" and "close" replace, and the history.
type session struct {
	ctx      context.Context
	opt      Options
	out, err io.Writer
	server   string // the connect string as it was given
	timeout  time.Duration
	readOnly bool
	wait     bool

	c            *client.Client // nil after close
	printWatches atomic.Bool    // read by the client's goroutine
	ephemeral    bool           // an ephemeral node was made: see leave
	history      []string
	quit         bool
}

// lockedWriter lets watch events, which come from the client's goroutine, share an output.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// once runs one command given on the program's command line.
func (s *session) once(args []string) int {
	fmt.Fprintln(s.out, "Connecting to "+s.server)
	cmd, in, err := parse(args)
	if err != nil {
		return s.report(err)
	}
	if cmd.connected {
		if err := s.dial(); err != nil {
			return s.report(err)
		}
		defer s.leave()
	}
	return s.report(s.run(cmd, in))
}

// leave ends a one-shot run. Upstream never closes the session, so that an ephemeral node outlives
// the command by the session's timeout; only such a session is left open here.
func (s *session) leave() {
	if s.c == nil {
		return
	}
	if s.ephemeral {
		s.c.Abandon()
		return
	}
	s.hangUp()
}

// hangUp ends the session; a server that does not answer is not waited for.
func (s *session) hangUp() {
	if s.c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 2*time.Second)
	defer cancel()
	_ = s.c.Close(ctx) // the session then ends by its timeout
	s.c = nil
}

// dial connects and waits until the session stands or no server could be reached once; what follows
// then fails with ConnectionLoss, as upstream's does.
func (s *session) dial() error {
	servers, chroot, err := client.ParseServers(s.server)
	if err != nil {
		return err
	}
	c, err := client.Dial(s.ctx, client.Options{
		Servers: servers, Chroot: chroot, SessionTimeout: s.timeout, ReadOnly: s.readOnly,
		FailFast: !s.wait, OnState: s.onState, OnEvent: s.onEvent,
	})
	if err != nil {
		return err
	}
	s.c = c
	if s.opt.Terminal { // so that the prompt says CONNECTED at once, as a rule
		ctx, cancel := context.WithTimeout(s.ctx, time.Second/2)
		defer cancel()
		_ = c.Wait(ctx)
	}
	return nil
}

// onState prints a change of the connection as the event that upstream's default watcher gets.
func (s *session) onState(st client.State) {
	state := map[client.State]proto.KeeperState{
		client.StateConnected:         proto.StateSyncConnected,
		client.StateConnectedReadOnly: proto.StateConnectedReadOnly,
		client.StateDisconnected:      proto.StateDisconnected,
		client.StateExpired:           proto.StateExpired,
		client.StateAuthFailed:        proto.StateAuthFailed,
		client.StateClosed:            proto.StateClosed,
	}[st]
	if st == client.StateClosed && !s.opt.Terminal {
		return // upstream's process is gone before it prints this
	}
	s.onEvent(client.Event{Type: proto.EventNone, State: state, Path: "null", Zxid: -1})
}

func (s *session) onEvent(e client.Event) {
	if s.printWatches.Load() {
		fmt.Fprintf(s.out, "\nWATCHER::\n\nWatchedEvent state:%s type:%s path:%s zxid: %d\n",
			e.State, e.Type, e.Path, e.Zxid)
	}
}

// interact reads commands until quit or the end of the input; the exit code is the last command's.
func (s *session) interact() int {
	fmt.Fprintln(s.out, "Connecting to "+s.server)
	read, closeInput := s.lines()
	defer closeInput()
	if err := s.dial(); err != nil {
		return s.report(err)
	}
	defer s.hangUp()
	fmt.Fprintln(s.out, "Welcome to ZooKeeper!")
	if s.opt.Terminal {
		fmt.Fprintln(s.out, "JLine support is enabled")
	} else {
		fmt.Fprintln(s.out, "JLine support is disabled")
	}
	code := exitOK
	for !s.quit {
		line, err := read(s.prompt())
		if errors.Is(err, io.EOF) || s.ctx.Err() != nil {
			break
		}
		if err != nil {
			return s.report(fmt.Errorf("no more commands are read: %w", err))
		}
		if line = strings.TrimSpace(line); line != "" {
			code = s.line(line)
		}
	}
	return code
}

// longestLine bounds a line of a file that is read as commands: no server takes that much data.
const longestLine = 16 << 20

// lines returns how the next line is read: from a terminal with editing, or plainly.
func (s *session) lines() (read func(prompt string) (string, error), done func()) {
	if s.opt.Terminal {
		if t, err := newTerminal(s); err == nil {
			return t.read, t.close
		}
	}
	in := bufio.NewScanner(s.opt.In)
	in.Buffer(nil, longestLine)
	return func(string) (string, error) {
		if s.ctx.Err() != nil {
			return "", s.ctx.Err()
		}
		if in.Scan() {
			return in.Text(), nil
		}
		switch err := in.Err(); {
		case err == nil:
			return "", io.EOF
		case errors.Is(err, bufio.ErrTooLong):
			return "", fmt.Errorf("a line is longer than %d bytes", longestLine)
		default:
			return "", err
		}
	}, func() {}
}

func (s *session) prompt() string {
	state := "CLOSED"
	if s.c != nil {
		switch s.c.State() {
		case client.StateConnected:
			state = "CONNECTED"
		case client.StateConnectedReadOnly:
			state = "CONNECTEDREADONLY"
		case client.StateConnecting, client.StateDisconnected:
			state = "CONNECTING"
		case client.StateAuthFailed:
			state = "AUTH_FAILED"
		}
	}
	return fmt.Sprintf("[zk: %s(%s) %d] ", s.server, state, len(s.history))
}

// line runs one line of input, which becomes part of the history even when it fails.
func (s *session) line(line string) int {
	args := split(line)
	if len(args) == 0 {
		return exitOK
	}
	s.history = append(s.history, line)
	cmd, in, err := parse(args)
	if err == nil {
		err = s.run(cmd, in)
	}
	return s.report(err)
}

// run runs a parsed command.
func (s *session) run(cmd *command, in *input) error {
	if cmd.connected && s.c == nil {
		fmt.Fprintln(s.out, "Not connected")
		return nil
	}
	return cmd.run(s, in)
}

// errNotFound is a name that is no command.
type errNotFound string

func (e errNotFound) Error() string {
	return "Command not found: Command not found " + string(e)
}

// report prints an error and returns the exit code it stands for.
func (s *session) report(err error) int {
	var missing errNotFound
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &missing):
		usage(s.err)
		fmt.Fprintln(s.err, err)
		return exitNotFound
	}
	fmt.Fprintln(s.err, err)
	if strings.Contains(err.Error(), proto.ErrConnectionLoss.Error()) && s.c != nil {
		if why := s.c.Trouble(); why != nil {
			fmt.Fprintln(s.err, why)
		}
	}
	return exitFailed
}

// IsTerminal says whether both files are terminals.
func IsTerminal(in, out *os.File) bool {
	for _, f := range []*os.File{in, out} {
		st, err := f.Stat()
		if err != nil || st.Mode()&os.ModeCharDevice == 0 {
			return false
		}
	}
	return true
}

// split cuts a line into words; quotes of either kind hold a word together.
func split(line string) []string {
	var out []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return out
		}
		if q := line[0]; q == '"' || q == '\'' {
			end := strings.IndexByte(line[1:], q)
			if end < 0 { // upstream skips a quote that nothing closes
				line = line[1:]
				continue
			}
			out = append(out, line[1:1+end])
			line = line[2+end:]
			continue
		}
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			end = len(line)
		}
		out = append(out, line[:end])
		line = line[end:]
	}
}
