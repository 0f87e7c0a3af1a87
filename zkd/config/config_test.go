package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"zkafka/etc"
)

func parse(text string) (*Config, []Note, error) {
	return Parse("zoo.cfg", []byte(text), nil, nil)
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, _, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := Default()
	if c.DataDir != "/var/lib/zkd" || c.DataLogDir != c.DataDir || c.ClientListen() != ":2181" ||
		c.AdminAddress != "127.0.0.1:8080" || c.PurgeInterval != 24*time.Hour ||
		c.TickTime != 3*time.Second || c.MinSessionTimeout != 6*time.Second ||
		c.MaxSessionTimeout != time.Minute || !c.ForceSync || c.JuteMaxBuffer != 1048575 ||
		c.PreAllocBytes != 64<<20 || c.SnapSizeLimitBytes != 4<<30 || !c.Standalone() {
		t.Errorf("%+v", c)
	}
	for _, w := range []string{"ruok", "srvr", "mntr"} {
		if !c.FourLetterWord(w) {
			t.Errorf("%s is not allowed", w)
		}
	}
	if c.FourLetterWord("wchc") || c.FourLetterWord("dump") {
		t.Error("an expensive word is allowed")
	}
}

func TestTable(t *testing.T) {
	for _, k := range Keys() {
		if k.Doc == "" {
			t.Errorf("%s has no documentation", k.Name)
		}
		if k.Default != nil {
			if f := k.check(k.Name, *k.Default); f != nil {
				t.Errorf("default of %s: %v", k.Name, f)
			}
		}
	}
	typ := reflect.TypeOf(Config{})
	for i := range typ.NumField() {
		tag := typ.Field(i).Tag.Get("key")
		if tag == "" {
			continue
		}
		if k := keyTable().byName[tag]; k == nil || k.Ignored+k.Refused != "" {
			t.Errorf("field %s is read from %s, which has no effect", typ.Field(i).Name, tag)
		}
	}
}

// The forms in which people write the file, with blanks and comment lines between.
func TestForms(t *testing.T) {
	c := mustParse(t, "tickTime=2000  \n# The ticks\ninitLimit=10\nsyncLimit=5 \n\n"+
		"dataDir=/data\t\n  # the port\nclientPort=2181\nmaxClientCnxns=7\n"+
		"autopurge.snapRetainCount=3\nautopurge.purgeInterval=1\n"+
		"server.1=book-zk1:2888:3888\nserver.2=192.168.100.111:2888:3888;2181\n"+
		"server.3=zookeeper3.fqdn.name:2888:3888;2181 \n"+
		"admin.enableServer=true\nadmin.serverPort=8000\nadmin.commandURL=/commands\n")
	if c.TickTime != 2*time.Second || c.DataDir != "/data" || c.MaxClientConns != 7 ||
		c.PurgeInterval != time.Hour || c.InitLimit != 10 || c.SyncLimit != 5 {
		t.Errorf("%+v", c)
	}
	if len(c.Servers) != 3 || c.Standalone() {
		t.Fatalf("servers %+v", c.Servers)
	}
	s := c.Servers[2]
	if s.ID != 3 || s.Addresses[0] != (ServerAddress{"zookeeper3.fqdn.name", 2888, 3888}) ||
		s.ClientPort != 2181 {
		t.Errorf("%+v", s)
	}
	if c.AdminAddress != "0.0.0.0:8000" {
		t.Errorf("admin address %s", c.AdminAddress)
	}
}

func TestAdminAddress(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "127.0.0.1:8080",
		"admin.serverPort=8000":    "0.0.0.0:8000",
		"admin.enableServer=true":  "0.0.0.0:8080",
		"admin.enableServer=false": "",
		"admin.serverAddress=::1":  "[::1]:8080",
		"admin.serverAddress=h\nadmin.serverPort=1": "h:1",
		"zookeeper.admin.serverPort=9":              "0.0.0.0:9",
		"admin.commandURL=/x":                       "127.0.0.1:8080",
	} {
		if c := mustParse(t, text); c.AdminAddress != want {
			t.Errorf("%q: %s, want %s", text, c.AdminAddress, want)
		}
	}
}

func TestServerForms(t *testing.T) {
	tests := []struct {
		text string
		want Server
	}{
		{"h:1:2", Server{Addresses: []ServerAddress{{"h", 1, 2}}}},
		{"h:1:2:observer", Server{Addresses: []ServerAddress{{"h", 1, 2}}, Observer: true}},
		{"h:1:2:participant;3", Server{Addresses: []ServerAddress{{"h", 1, 2}}, ClientPort: 3}},
		{"[::1]:1:2;[::2]:3", Server{Addresses: []ServerAddress{{"::1", 1, 2}},
			ClientAddress: "::2", ClientPort: 3}},
		{"a:1:2|b:3:4;0.0.0.0:5", Server{Addresses: []ServerAddress{{"a", 1, 2}, {"b", 3, 4}},
			ClientAddress: "0.0.0.0", ClientPort: 5}},
	}
	for _, tt := range tests {
		got, err := parseServer(0, tt.text)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v %v, want %+v", tt.text, got, err, tt.want)
		}
	}
	for _, bad := range []string{"", "h", "h:1", ":1:2", "h:1:x", "h:1:2:leader", "h:0:2", "[::1:1:2",
		"h:1:2;", "h:1:2;x", "h:1:99999", "a:1:2|b:3:4:observer"} {
		if s, err := parseServer(0, bad); err == nil {
			t.Errorf("%q is taken as %+v", bad, s)
		}
	}
}

func TestOneServerIsStandalone(t *testing.T) {
	c := mustParse(t, "server.1=localhost:2888:3888;12181")
	if !c.Standalone() || c.ClientPort != 12181 {
		t.Errorf("%+v", c)
	}
}

func TestFaults(t *testing.T) {
	tests := []struct{ text, want string }{
		{"\ndataDirr=/x", "zoo.cfg:2: unknown setting dataDirr; did you mean dataDir?"},
		{"clientport=2181", "did you mean clientPort?"},
		{"tickTime=2s", "zoo.cfg:1: tickTime=2s: expected a whole number"},
		{"tickTime=0", "tickTime=0: must be at least 1"},
		{"dataDir=data", "not an absolute path"},
		{"dataDir=", "expected a path"},
		{"admin.enableServer=yes", "expected true or false"},
		{"skipACL=maybe", "expected yes or no"},
		{"minSessionTimeout=9000\nmaxSessionTimeout=8000", "is above maxSessionTimeout"},
		{"server.x=a:1:2", "is not the number of a server"},
		{"server.1=a:1", "write host:2888:3888"},
		{"server.1=a:1:2\nserver.2=b:1:2\nsyncLimit=5", "an ensemble needs initLimit"},
		{"secureClientPort=2281", "cannot be honoured: TLS is not in this version"},
		{"sslQuorum=true", "cannot be honoured"},
		{"sessionRequireClientSASLAuth=true", "every client would be let in"},
		{"clientPortAddress=localhost", "add clientPort=2181"},
		{"peerType=leader", "expected one of participant, observer"},
		{"enforceQuota=true", "cannot be honoured: hard quotas are not in this version"},
		{"zookeeper.tickTim=5", "did you mean tickTime?"},
	}
	for _, tt := range tests {
		_, _, err := parse(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want one with %q", tt.text, err, tt.want)
		}
	}
	mustParse(t, "sslQuorum=false\nadmin.forceHttps=false") // switched off is no fault
}

func TestFlagsOfTheJVM(t *testing.T) {
	c, notes, err := Parse("zoo.cfg", []byte("snapCount=7\n"), []string{
		"-Xmx1g -Dzookeeper.snapCount=5 -Dzookeeper.4lw.commands.whitelist=* -Djute.maxbuffer=4194304",
		"-Djava.security.auth.login.config=/x -Dzookeeper.nonsense=1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.SnapCount != 7 || !c.FourLetterWord("wchc") || c.JuteMaxBuffer != 4194304 {
		t.Errorf("%+v", c)
	}
	var text string
	for _, n := range notes {
		text += n.Text + "\n"
	}
	if text != "flags of the JVM have no effect: -Xmx1g\nflags of the JVM have no effect: "+
		"-Djava.security.auth.login.config -Dzookeeper.nonsense\n" {
		t.Errorf("notes %s", text)
	}
}

func TestNotes(t *testing.T) {
	_, notes, err := parse("nio.numWorkerThreads=4\nserverCnxnFactory=" +
		"org.apache.zookeeper.server.NettyServerCnxnFactory")
	if err != nil || len(notes) != 1 || !strings.HasPrefix(notes[0].Text,
		"zoo.cfg:1: nio.numWorkerThreads has no effect: ") {
		t.Errorf("%v %v", notes, err)
	}
}

func TestConvertRoundTrip(t *testing.T) {
	text := "# Ticks.\ntickTime=2000\ndataDir=/da ta\n4lw.commands.whitelist=mntr, ruok\n" +
		"server.1=a:2888:3888;2181\nadmin.enableServer=TRUE\nskipACL=no\n"
	out, err := Convert("zoo.cfg", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := "# Ticks.\ntickTime = 2000\ndataDir = \"/da ta\"\n" +
		"4lw.commands.whitelist = [\"mntr\", \"ruok\"]\nserver.1 = \"a:2888:3888;2181\"\n" +
		"admin.enableServer = true\nskipACL = \"no\"\n"
	if string(out) != want {
		t.Errorf("printed\n%s\nwant\n%s", out, want)
	}
	again, _, err := Parse("server.toml", out, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	old := mustParse(t, text)
	old.values, again.values = nil, nil
	if !reflect.DeepEqual(old, again) {
		t.Errorf("%+v\n%+v", old, again)
	}
}

// The file that the package installs is good, and its commented lines are, too.
func TestInstalledFile(t *testing.T) {
	if _, notes, err := Parse("server.toml", etc.ZKD, nil, nil); err != nil || len(notes) > 0 {
		t.Fatalf("%v %v", notes, err)
	}
	for _, line := range strings.Split(string(etc.ZKD), "\n") {
		setting, ok := strings.CutPrefix(line, "# ")
		key, _, isSetting := strings.Cut(setting, " = ")
		if !ok || !isSetting || strings.Contains(key, " ") {
			continue
		}
		f, err := etc.Read("line.toml", []byte(setting))
		if err != nil {
			t.Errorf("%s: %v", setting, err)
			continue
		}
		k, known := Lookup(f.Settings[0].Key)
		if !known || k.Ignored != "" || k.check(k.Name, f.Settings[0].Value) != nil {
			t.Errorf("%s: not a setting that acts", setting)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("server.toml", "dataDir = \"/a\"\nserver.1 = \"a:1:2;3\"\n4lw.commands.whitelist=[\"*\"]")
	f.Add("zoo.cfg", "server.1=[::1]:1:2|b:3:4:observer;[::2]:5\nadmin.serverPort=1")
	f.Fuzz(func(t *testing.T, name, text string) {
		c, _, err := Parse(name, []byte(text), nil, nil)
		if err != nil {
			return
		}
		out, err := Convert(name, []byte(text))
		if err != nil {
			t.Fatalf("%q parses but does not convert: %v", text, err)
		}
		again, _, err := Parse("x.toml", out, nil, nil)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, out, err)
		}
		c.values, again.values = nil, nil
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("%q became %q", text, out)
		}
	})
}
