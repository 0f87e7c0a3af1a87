package etc

import (
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

func TestTOMLFaults(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"clash", "broker.id = 1\n\nbroker.id.generation.enable = true\n",
			`x.toml:3: broker.id is a value in line 1, so TOML cannot also have a table of that ` +
				`name for broker.id.generation.enable (line 3); write the longer name in quotes: ` +
				`"broker.id.generation.enable" = ...`},
		{"clash, longer first", "broker.id.generation.enable = true\nbroker.id = 1\n",
			"write the longer name in quotes"},
		{"twice", "a.b = 1\na.b = 2\n", "x.toml:2: "},
		{"no quotes", "dataDir = /data\n", "named .properties or .cfg"},
		{"date", "a = 2020-01-01\n", "put it in quotes"},
		{"both spellings", "\"a.b\" = 1\na.b = 2\n", "set twice"},
		{"comma in a list", `a = ["x,y", "z"]`, "has a comma"},
		{"table array", "[[a]]\nb = 1\n", "found a table"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read("x.toml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
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
