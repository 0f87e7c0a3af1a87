package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// command is one command of the interpreter.
type command struct {
	name      string
	usage     string // what follows the name in the list of commands
	opts      string // option letters; a colon after one means that it takes a value
	min, max  int    // arguments without options
	connected bool   // needs a session
	run       func(*session, *input) error
}

// input is a command's options and arguments.
type input struct {
	opts map[byte]string
	args []string
}

func (in *input) has(opt byte) bool {
	_, ok := in.opts[opt]
	return ok
}

// number returns a numeric option, def when it is not given.
func (in *input) number(opt byte, def int64) (int64, error) {
	v, ok := in.opts[opt]
	if !ok {
		return def, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("option -%c: %q is not a number", opt, v)
	}
	return n, nil
}

// version returns the option -v, -1 (any version) when it is not given.
func (in *input) version() (int32, error) {
	n, err := in.number('v', -1)
	if err == nil && int64(int32(n)) != n {
		err = fmt.Errorf("option -v: %d is not a version", n)
	}
	return int32(n), err
}

// arg returns an argument or "".
func (in *input) arg(i int) string {
	if i < len(in.args) {
		return in.args[i]
	}
	return ""
}

// parse finds the command and sorts its options from its arguments.
func parse(words []string) (*command, *input, error) {
	cmd := commands[words[0]]
	if cmd == nil {
		return nil, nil, errNotFound(words[0])
	}
	in := &input{opts: make(map[byte]string)}
	for words = words[1:]; len(words) > 0; words = words[1:] {
		w := words[0]
		if w == "--" {
			in.args = append(in.args, words[1:]...)
			break
		}
		if len(w) < 2 || w[0] != '-' {
			in.args = append(in.args, w)
			continue
		}
		var err error
		if words, err = in.options(cmd, words); err != nil {
			return nil, nil, err
		}
	}
	if len(in.args) < cmd.min || len(in.args) > cmd.max {
		return nil, nil, fmt.Errorf("%s %s", cmd.name, cmd.usage)
	}
	return cmd, in, nil
}

// options reads one word of option letters, which may stand together, and leaves its last word.
func (in *input) options(cmd *command, words []string) ([]string, error) {
	w := words[0]
	for i := 1; i < len(w); i++ {
		at := strings.IndexByte(cmd.opts, w[i])
		if at < 0 || w[i] == ':' {
			return nil, message("Unrecognized option: " + w)
		}
		if at+1 == len(cmd.opts) || cmd.opts[at+1] != ':' {
			in.opts[w[i]] = ""
			continue
		}
		switch {
		case i+1 < len(w):
			in.opts[w[i]] = w[i+1:]
			return words, nil
		case len(words) < 2:
			return nil, message("Missing argument for option: " + w[i:])
		}
		in.opts[w[i]] = words[1]
		return words[1:], nil
	}
	return words, nil
}

// usage prints the list of commands.
func usage(w io.Writer) {
	fmt.Fprintln(w, "ZooKeeper -server host:port -client-configuration properties-file cmd args")
	for _, name := range commandNames {
		fmt.Fprintf(w, "\t%s %s\n", name, commands[name].usage)
	}
}

// checkPath refuses a malformed path in upstream's words, before it goes to the server.
func checkPath(path string, sequential bool) error {
	p := path
	if sequential {
		p += "1" // the server completes it
	}
	switch {
	case p == "":
		return message("Path length must be > 0")
	case p[0] != '/':
		return message("Path must start with / character")
	case p == "/":
		return nil
	case strings.HasSuffix(p, "/"):
		return message("Path must not end with / character")
	}
	at := 1
	for part := range strings.SplitSeq(p[1:], "/") {
		at += len(part) + 1
		reason := ""
		switch part {
		case "":
			reason = fmt.Sprintf("empty node name specified @%d", at-1)
		case ".", "..":
			reason = fmt.Sprintf("relative paths not allowed @%d", at-2)
		default:
			if i := strings.IndexFunc(part, badRune); i >= 0 {
				reason = fmt.Sprintf("invalid character @%d", at-len(part)-1+i)
			}
		}
		if reason != "" {
			return message(fmt.Sprintf("Invalid path string %q caused by %s", p, reason))
		}
	}
	return nil
}

// message is an error in upstream's words, which are made to be read alone.
type message string

func (m message) Error() string { return string(m) }

func badRune(r rune) bool {
	return r < 0x20 || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff ||
		r >= 0xfff0 && r <= 0xffff
}
