package etc

import (
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, name, text string) map[string]string {
	t.Helper()
	f, err := Read(name, []byte(text))
	if err != nil {
		t.Fatalf("Read(%s): %v", text, err)
	}
	return f.Values()
}

func TestTOMLSpellingsAreOneSetting(t *testing.T) {
	for _, text := range []string{
		"admin.serverPort = 8000",
		"\"admin.serverPort\" = 8000",
		"[admin]\nserverPort = 8000",
		"admin = { serverPort = 8000 }",
		"'admin.serverPort' = '8000'",
	} {
		if v := read(t, "a.toml", text)["admin.serverPort"]; v != "8000" {
			t.Errorf("%q gives %q", text, v)
		}
	}
}

func TestTOMLValues(t *testing.T) {
	v := read(t, "a.toml", `
a = ["/data/data1", "/data/data2"]
b = true
c = -1
d = 0.5
e = []
f = "x,y"
`)
	want := map[string]string{"a": "/data/data1,/data/data2", "b": "true", "c": "-1", "d": "0.5",
		"e": "", "f": "x,y"}
	for k, w := range want {
		if v[k] != w {
			t.Errorf("%s = %q, want %q", k, v[k], w)
		}
	}
}

// A fault of syntax names file and line, and says what to do.
func TestTOMLFaults(t *testing.T) {
	const quotes = "; text stands in quotes in TOML; a file in upstream's own syntax must be named " +
		".properties or .cfg"
	tests := []struct{ name, text, want string }{
		{"clash", "broker.id = 1\n\nbroker.id.generation.enable = true\n",
			`x.toml:3: broker.id is a value in line 1, so TOML cannot also have a table of that ` +
				`name for broker.id.generation.enable (line 3); write the longer name in quotes: ` +
				`"broker.id.generation.enable" = ...`},
		{"clash, longer first", "broker.id.generation.enable = true\nbroker.id = 1\n",
			"x.toml:2: broker.id is a value in line 2, so TOML cannot also have a table of that name " +
				"for broker.id.generation.enable (line 1); write the longer name in quotes"},
		{"twice", "a.b = 1\na.b = 2\n",
			"x.toml:2: Key 'a.b' has already been defined; keep one of them"},
		{"twice, by table", "a.b = 1\n[a]\nb = 2\n", "x.toml:3: Key 'a.b' has already been defined"},
		{"no quotes", "dataDir = /data\n", "x.toml:1: expected value but found '/' instead" + quotes},
		{"no value", "#\na =\n", "x.toml:2: expected value but found '\\n' instead" + quotes},
		{"no equals", "a 3\n", "x.toml:1: expected '.' or '=', but got '3' instead; a line is key = value"},
		{"two values", "a = 3 4\n", "x.toml:1: expected a top-level item to end with a newline, " +
			"comment, or EOF, but got '4' instead; a value of several words stands in quotes"},
		{"open quotes", "#\na = \"x\n", "x.toml:2: strings cannot contain newlines; close the quotes"},
		{"date", "#\na = 2020-01-01\n",
			"x.toml:2: a: dates and times are not values of settings; put it in quotes"},
		{"both spellings", "\"a.b\" = 1\na.b = 2\n", "x.toml:2: a.b is set twice, once in quotes and " +
			"once as a dotted name; keep one of them"},
		{"comma in a list", "#\na = [\"x,y\", \"z\"]\n",
			`x.toml:2: a: "x,y" has a comma, which separates the items of a list; make it two items`},
		{"table array", "[[a]]\nb = 1\n", `x.toml:2: a: expected a value, found a table; write key = `},
		{"not UTF-8", "#\na = \"caf\xe9\"\n",
			"x.toml:2: invalid UTF-8 byte: 0xe9; save the file as UTF-8"},
		{"UTF-16", "\xff\xfea\x00=\x001\x00", "x.toml:1: the text is UTF-16; save the file as UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read("x.toml", []byte(tt.text))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestPropertiesFaults(t *testing.T) {
	const out = `; a line is key=value, and a backslash in a value is written \\`
	for text, want := range map[string]string{
		"a=1\n=3\n":             `zoo.cfg:2: not a line of a properties file: "3"` + out,
		"a=1\n\nb=\\u12\n":      "zoo.cfg:3: not a line of a properties file: invalid unicode literal" + out,
		"\xfe\xff\x00a\x00=1\n": "zoo.cfg:1: the text is UTF-16; save the file as UTF-8",
	} {
		if _, err := Read("zoo.cfg", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Editors on Windows begin a file with a mark, which is not part of the first name.
func TestUTF8Mark(t *testing.T) {
	const mark = "\xef\xbb\xbf"
	for _, name := range []string{"a.toml", "a.properties", "zoo.cfg"} {
		f, err := Read(name, []byte(mark+"tickTime=2000\r\n\r\ninitLimit=5\r\n"))
		if err != nil || f.Values()["tickTime"] != "2000" || f.Line("tickTime") != 1 ||
			f.Line("initLimit") != 3 {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func TestRemarks(t *testing.T) {
	f, err := Read("zoo.cfg", []byte("a=1\nb=1\na=2\nc=/x # mine\n a = 3\nd=#\n"))
	if err != nil || f.Values()["a"] != "3" {
		t.Fatal(f, err)
	}
	want := []Remark{
		{"a", "zoo.cfg:5: a is also in line 1 and 3; the last one counts, remove the others"},
		{"c", `zoo.cfg:4: c is "/x # mine", with what follows the #; a comment stands in a line of its` +
			" own"},
	}
	if got := f.Remarks(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if f, err = Read("a.toml", []byte("a = \"x # y\" # z\n")); err != nil || len(f.Remarks()) != 0 {
		t.Errorf("%v %v", f, err)
	}
}

func TestQuotedClashIsRead(t *testing.T) {
	v := read(t, "a.toml", "broker.id = 1\n\"broker.id.generation.enable\" = true\n")
	if v["broker.id"] != "1" || v["broker.id.generation.enable"] != "true" {
		t.Errorf("%v", v)
	}
}

func TestProperties(t *testing.T) {
	f, err := Read("zoo.cfg", []byte("# first\n\n tickTime = 2000 \n!second\ndataDir:/data\n"+
		"a\\:b=c\nlong=one,\\\n  two\nserver.1=h:2888:3888;2181\nx=${y}\nu=\\u0041\n"+
		"tickTime=3000\nempty=\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"tickTime": "3000", "dataDir": "/data", "a:b": "c", "long": "one,two",
		"server.1": "h:2888:3888;2181", "x": "${y}", "u": "A", "empty": ""}
	got := f.Values()
	for k, w := range want {
		if got[k] != w {
			t.Errorf("%s = %q, want %q", k, got[k], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("settings %v", got)
	}
	if f.Line("tickTime") != 12 || f.Line("long") != 7 || f.Line("server.1") != 9 {
		t.Errorf("lines %d %d %d", f.Line("tickTime"), f.Line("long"), f.Line("server.1"))
	}
}

func TestLinesOfTOML(t *testing.T) {
	f, err := Read("a.toml", []byte("# c\na.b = [ # x\n 1,\n 2 ]\n\n[t]\n c = \"#=[\"\nd = '''\nq = 1\n'''\ne=1"))
	if err != nil {
		t.Fatal(err)
	}
	for key, line := range map[string]int{"a.b": 2, "t.c": 7, "t.d": 8, "t.e": 11} {
		if f.Line(key) != line {
			t.Errorf("%s in line %d, want %d", key, f.Line(key), line)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"log.dirs", "log.dir", "log.retention.hours", "num.partitions", "tickTime"}
	for name, want := range map[string]string{
		"log.dirz": "log.dirs", "log.retention.hour": "log.retention.hours",
		"num.partition": "num.partitions", "log-dirs": "log.dirs", "ticktime": "tickTime",
		"LOG.DIRS": "log.dirs", "something.else": "", "num.partitoins": "num.partitions",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("Nearest(%s) = %q, want %q", name, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	f := ParseFlags(`-Xmx1g -Dzookeeper.snapCount=5 '-Dzookeeper.4lw.commands.whitelist=*' -Da`)
	if len(f.Others) != 1 || f.Others[0] != "-Xmx1g" || len(f.Properties) != 3 {
		t.Fatalf("%+v", f)
	}
	if p := f.Properties[1]; p.Key != "zookeeper.4lw.commands.whitelist" || p.Value != "*" {
		t.Errorf("%+v", p)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.toml", "a.b = 1\n\"c\" = [\"x\"]\n[t]\nd='''\n'''")
	f.Add("a.cfg", "a=b\\\n c\n#x\n\\u0041:1")
	f.Add("a.toml", "a={b=1}\na.b=2")
	f.Fuzz(func(t *testing.T, name, text string) {
		file, err := Read(name, []byte(text))
		if err != nil {
			return
		}
		// What was read prints as TOML that reads the same.
		out := PrintTOML(file, func(string) Kind { return Text }, func(string) bool { return false })
		again, err := Read("again.toml", out)
		if err != nil {
			t.Fatalf("%q printed as %q: %v", text, out, err)
		}
		got, want := again.Values(), file.Values()
		for k, v := range want {
			if w, ok := got[k]; !ok || w != strings.ToValidUTF8(v, "\uFFFD") && w != v {
				t.Fatalf("%s = %q became %q", k, v, w)
			}
		}
	})
}
