package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/chzyer/readline"

	"zkafka/zkd/client"
)

// terminal reads lines with editing, history and completion.
type terminal struct {
	rl *readline.Instance
}

// newTerminal takes over the terminal; what the session prints then goes around the line being
// typed.
func newTerminal(s *session) (*terminal, error) {
	defer keepPrivate(s.opt.HistoryFile)()
	rl, err := readline.NewEx(&readline.Config{
		HistoryFile: s.opt.HistoryFile, HistoryLimit: 1000,
		AutoComplete: completer{s}, InterruptPrompt: "^C", EOFPrompt: "",
	})
	if err != nil {
		return nil, err
	}
	s.out, s.err = rl.Stdout(), rl.Stderr()
	return &terminal{rl: rl}, nil
}

// keepPrivate makes the history readable for its owner alone, however it was before: what was typed
// after addauth is a password. Until the function it returns is called, all new files are so: the
// library makes the history, and makes it anew when it has become too long.
func keepPrivate(history string) (done func()) {
	if history == "" {
		return func() {}
	}
	_ = os.Chmod(history, 0o600) // there may be none
	before := syscall.Umask(0o077)
	return func() { syscall.Umask(before) }
}

// read returns the next line. An interrupt clears a line; on an empty one it ends the session, as
// the end of the input does.
func (t *terminal) read(prompt string) (string, error) {
	t.rl.SetPrompt(prompt)
	line, err := t.rl.Readline()
	switch {
	case errors.Is(err, readline.ErrInterrupt) && line != "":
		return "", nil
	case err != nil:
		return "", io.EOF
	}
	return line, nil
}

func (t *terminal) close() { _ = t.rl.Close() }

// completer completes the names of commands and of nodes.
type completer struct{ s *session }

// Do returns what could follow at the cursor, and how much of it is typed already.
func (c completer) Do(line []rune, pos int) ([][]rune, int) {
	head := string(line[:pos])
	word := head[strings.LastIndexAny(head, " \t")+1:]
	var names []string
	switch {
	case word == strings.TrimLeft(head, " \t"):
		names = commandNames
	case strings.HasPrefix(word, "/"):
		dir := word[:strings.LastIndexByte(word, '/')]
		word = word[len(dir)+1:]
		names = c.children(dir)
	default:
		return nil, 0
	}
	var out [][]rune
	for _, n := range names {
		if tail, ok := strings.CutPrefix(n, word); ok {
			out = append(out, []rune(tail))
		}
	}
	if len(out) == 1 && word == strings.TrimLeft(head, " \t") {
		out[0] = append(out[0], ' ') // a command is complete, a path may go on
	}
	return out, len([]rune(word))
}

// children lists the nodes below a directory; a server that does not answer soon gives none.
func (c completer) children(dir string) []string {
	if c.s.c == nil {
		return nil
	}
	if dir == "" {
		dir = "/"
	}
	ctx, cancel := context.WithTimeout(c.s.ctx, time.Second)
	defer cancel()
	r := c.s.c.Do(ctx, client.ChildrenOp(dir))
	slices.Sort(r.Children)
	return r.Children
}
