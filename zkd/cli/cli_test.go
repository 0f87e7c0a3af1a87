package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zkafka/zkd/proto"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"  ls   /a ", []string{"ls", "/a"}},
		{`set /a "two words" 'and "more"'`, []string{"set", "/a", "two words", `and "more"`}},
		{`set /a it's`, []string{"set", "/a", "it's"}},
		{`set /a ""`, []string{"set", "/a", ""}},
		{`set /a "open`, []string{"set", "/a", "open"}},
	} {
		if got := split(test.in); !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.in, got, test.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ in, opts, args, err string }{
		{in: "ls /", args: "/"},
		{in: "ls -s -w /", opts: "s= w=", args: "/"},
		{in: "ls -sw /", opts: "s= w=", args: "/"},
		{in: "set /a x -v 3 -s", opts: "s= v=3", args: "/a x"},
		{in: "set -v3 /a x", opts: "v=3", args: "/a x"},
		{in: "set /a -- -5", args: "/a -5"},
		{in: "set /a -5", err: "Unrecognized option: -5"},
		{in: "set /a x -v", err: "Missing argument for option: v"},
		{in: "ls", err: "ls [-s] [-w] [-R] path"},
		{in: "delete /a /b", err: "delete [-v version] path"},
		{in: "frob", err: "Command not found: Command not found frob"},
	} {
		_, in, err := parse(split(test.in))
		if test.err != "" || err != nil {
			if err == nil || err.Error() != test.err {
				t.Errorf("%q: %v, want %s", test.in, err, test.err)
			}
			continue
		}
		var opts []string
		for o, v := range in.opts {
			opts = append(opts, string(o)+"="+v)
		}
		slices.Sort(opts)
		if strings.Join(opts, " ") != test.opts || strings.Join(in.args, " ") != test.args {
			t.Errorf("%q: options %q, arguments %q", test.in, opts, in.args)
		}
	}
}

func TestCheckPath(t *testing.T) {
	for path, want := range map[string]string{
		"/":        "",
		"/a/b.c/…": "",
		"/...":     "",
		"":         "Path length must be > 0",
		"a":        "Path must start with / character",
		"/a/":      "Path must not end with / character",
		"/d//e":    `Invalid path string "/d//e" caused by empty node name specified @3`,
		"/../x":    `Invalid path string "/../x" caused by relative paths not allowed @2`,
		"/a/./x":   `Invalid path string "/a/./x" caused by relative paths not allowed @3`,
	} {
		got := ""
		if err := checkPath(path, false); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
	if err := checkPath("/a/", true); err != nil {
		t.Errorf("a sequential node may have an empty name: %v", err)
	}
	if err := checkPath("/a\x01", false); err == nil {
		t.Error("a control character was accepted")
	}
}

func TestACL(t *testing.T) {
	var warn bytes.Buffer
	acl := parseACL("world:anyone:cdrwa,digest:u:h=:r,foo,ip:1.2.3.4:rz", &warn)
	want := []proto.ACL{
		{Perms: 31, ID: proto.ID{Scheme: "world", ID: "anyone"}},
		{Perms: 1, ID: proto.ID{Scheme: "digest", ID: "u:h="}},
		{Perms: 1, ID: proto.ID{Scheme: "ip", ID: "1.2.3.4"}},
	}
	if !slices.Equal(acl, want) {
		t.Errorf("parsed %+v", acl)
	}
	if got := warn.String(); got != "foo does not have the form scheme:id:perm\n"+
		"Unknown perm type: z\n" {
		t.Errorf("warned %q", got)
	}
	var out bytes.Buffer
	printACL(&out, acl[:2])
	if got := out.String(); got != "'world,'anyone\n: cdrwa\n'digest,'u:h=\n: r\n" {
		t.Errorf("printed %q", got)
	}
}

// TestHexDump compares with what upstream's "get -x" printed.
func TestHexDump(t *testing.T) {
	const want = `         +-------------------------------------------------+
         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |
+--------+-------------------------------------------------+----------------+
|00000000| 68 65 6c 6c 6f 20 77 6f 72 6c 64 2c 20 6d 6f 72 |hello world, mor|
|00000010| 65 20 74 68 61 6e 20 31 36                      |e than 16       |
+--------+-------------------------------------------------+----------------+`
	if got := hexDump([]byte("hello world, more than 16")); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestComparePaths(t *testing.T) {
	got := []string{"/a/b", "/a", "/", "/a-", "/a/b/c", "/b", "/a/b-"}
	slices.SortFunc(got, comparePaths)
	want := []string{"/", "/a", "/a/b", "/a/b/c", "/a/b-", "/a-", "/b"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestWithoutServer runs what needs no server, and what fails without one.
func TestWithoutServer(t *testing.T) {
	for _, test := range []struct {
		name     string
		args     []string
		opt      Options
		in       string
		code     int
		out, err string
	}{
		{name: "unknown command", args: []string{"frob"}, code: 127,
			err: "Command not found: Command not found frob\n"},
		{name: "bad arguments", args: []string{"-server", "h:1", "ls"}, code: 1,
			err: "ls [-s] [-w] [-R] path\n"},
		{name: "nobody there", args: []string{"-server", "127.0.0.1:1", "ls", "/"}, code: 1,
			err: "KeeperErrorCode = ConnectionLoss for /\ncannot connect to 127.0.0.1:1: "},
		{name: "bad server", args: []string{"-server", "/x", "ls", "/"}, code: 1,
			err: "names no server"},
		{name: "bad option", args: []string{"-frob"}, code: 1, err: "unknown option -frob"},
		{name: "bad timeout", args: []string{"-timeout", "x", "ls"}, code: 1, err: "-timeout x"},
		{name: "help", args: []string{"-h"}, out: "\tls [-s] [-w] [-R] path\n"},
		{name: "version", args: []string{"version"}, opt: Options{Version: "1.2"},
			out: "ZooKeeper CLI version: 1.2\n"},
		{name: "shell without arguments", opt: Options{Shell: true}, code: 1,
			err: "USAGE: zookeeper-shell.sh"},
		{name: "shell", args: []string{"127.0.0.1:1", "ls", "/"}, opt: Options{Shell: true},
			code: 1, out: "Connecting to 127.0.0.1:1\n", err: "ConnectionLoss"},
		{name: "interactive", args: []string{"-server", "127.0.0.1:1"},
			in: "version\n\nhistory\nprintwatches\nredo 0\nredo 9\nhistory\nfrob\nquit\nversion\n",
			out: "0 - version\n1 - history\n2 - printwatches\n" +
				"3 - version\n4 - redo 9\n5 - history\n"},
		{name: "last command counts", args: []string{"-server", "127.0.0.1:1"},
			in: "version\nfrob\n", code: 127},
		{name: "line too long", args: []string{"-server", "127.0.0.1:1"},
			in: "version\nset /a " + strings.Repeat("x", longestLine) + "\nversion\n", code: 1,
			err: "no more commands are read: a line is longer than 16777216 bytes\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			test.opt.In, test.opt.Out, test.opt.Err = strings.NewReader(test.in), &out, &errs
			code := Run(t.Context(), test.args, test.opt)
			if code != test.code || !strings.Contains(out.String(), test.out) ||
				!strings.Contains(errs.String(), test.err) {
				t.Errorf("exit code %d, want %d\nout %s\nerr %s", code, test.code, &out, &errs)
			}
		})
	}
}

func TestComplete(t *testing.T) {
	c := completer{&session{}}
	for _, test := range []struct {
		in   string
		want []string
		n    int
	}{
		{"del", []string{"ete", "eteall"}, 3},
		{"crea", []string{"te "}, 4},
		{"ls foo", nil, 0},
		{"ls /x", nil, 1}, // no session, no names
	} {
		out, n := c.Do([]rune(test.in), len(test.in))
		var got []string
		for _, o := range out {
			got = append(got, string(o))
		}
		if !slices.Equal(got, test.want) || n != test.n {
			t.Errorf("%q: %q, %d", test.in, got, n)
		}
	}
}

// The history holds passwords, so it is its owner's alone: a new one, one that an older release left
// open, and one that has become too long and is written anew.
func TestHistoryIsPrivate(t *testing.T) {
	for name, lines := range map[string]int{"new": 0, "open": 1, "long": 2000} {
		file := filepath.Join(t.TempDir(), name)
		if lines > 0 {
			text := strings.Repeat("addauth digest user:secret\n", lines)
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		// The terminal is left open: the library's goroutine may not have begun, and races with a close.
		if _, err := newTerminal(&session{opt: Options{HistoryFile: file}}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}
