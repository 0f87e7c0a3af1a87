package config

import (
	"errors"
	"strings"
	"testing"
)

// Every fault names the file, the line and the key, and says what to do.
func TestFaultsSayWhereAndWhatToDo(t *testing.T) {
	const (
		number  = "; write a whole number from 1 to 2147483647; the default is 1"
		connect = "; write host:2181,host:2181/chroot"
		server  = " is not a server" + connect
		chroot  = ": the chroot is not a path; a chroot stands once, after the last server:" +
			" host1:2181,host2:2181/kafka"
		address = ": expected NAME://host:port; write PLAINTEXT://host:9092; without a host it" +
			" listens on all addresses, and a port is at most 65535"
	)
	for _, c := range []struct{ setting, want string }{
		{"num.partitions=0", "Value must be at least 1" + number},
		{"num.partitions=many", "Not a number of type INT" + number},
		{"num.partitions=99999999999", "Not a number of type INT" + number},
		{"num.partitions=1.5", "Not a number of type INT" + number},
		{"log.retention.ms=x", "Not a number of type LONG; write a whole number of at least -1"},
		{"auto.create.topics.enable=yes", "Expected value to be either true or false; the default is" +
			" true"},
		{"compression.type=brotli", "String must be one of: uncompressed, zstd, lz4, snappy, gzip," +
			" producer; the default is producer"},
		{"broker.id=-5", "must be -1 to 1000 (reserved.broker.max.id); raise reserved.broker.max.id or" +
			" set broker.id.generation.enable=false"},
		{"zookeeper.connect=", "no server in it" + connect},
		{"zookeeper.connect=,", "no server in it" + connect},
		{"zookeeper.connect=h:x", `"h:x"` + server},
		{"zookeeper.connect=h:99999", `"h:99999"` + server},
		{"zookeeper.connect=h:0", `"h:0"` + server},
		{"zookeeper.connect=:2181", `":2181"` + server},
		{"zookeeper.connect=h:1 i:1", `"h:1 i:1"` + server},
		{"zookeeper.connect=h:1;i:1", `"h:1;i:1"` + server},
		{"zookeeper.connect=http://h:2181/k", "it is no URL" + connect},
		{"zookeeper.connect=h:1/a,i:1/a", chroot},
		{"zookeeper.connect=h:1/a/../b", chroot},
		{"zookeeper.connect=h:1//a", chroot},
		{"listeners=", "at least one listener is needed; write PLAINTEXT://:9092"},
		{"listeners=9092", address},
		{"listeners=PLAINTEXT://h", address},
		{"listeners=PLAINTEXT://h:99999", address},
		{"listeners=PLAINTEXT://a b:9092", address},
		{"listeners=PLAINTEXT:9092", address},
		{"listeners=FOO://:9092", "no security protocol for FOO; add FOO:PLAINTEXT to" +
			" listener.security.protocol.map"},
		{"listeners=PLAINTEXT://:1,PLAINTEXT://:2", "each listener needs its own name; give"},
		{"listeners=PLAINTEXT://:1,SSL://:2", "SSL is not in this version; use PLAINTEXT, or put TLS" +
			" in front"},
		{"advertised.listeners=PLAINTEXT://0.0.0.0:1", "clients cannot connect to 0.0.0.0; write the" +
			" name or address clients use"},
		{"advertised.listeners=SASL_SSL://h:1,PLAINTEXT://h:2", "SASL_SSL is not in this version; use"},
		{"listener.security.protocol.map=A", "expected NAME:PROTOCOL with one of PLAINTEXT, SSL," +
			" SASL_PLAINTEXT, SASL_SSL; write INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT"},
		{"inter.broker.listener.name=FOO", "not in listener.security.protocol.map; add FOO:PLAINTEXT" +
			" there, and the listener to listeners"},
		{"log.dirs=", "at least one log directory is needed; name the directories, with commas"},
		{"log.dirs=/a,,/b", "an empty path in it; remove the comma too many"},
		{"log.dirs=data", "data is not an absolute path; a relative path would depend on where the" +
			" broker is started"},
		{`log.dirs=["/a"]`, "text stands without quotes and brackets in this syntax; a file in TOML must" +
			" be named .toml"},
		{"log.dirs=/a,/a/", "/a/ is named twice; name each directory once"},
		{"max.connections.per.ip.overrides=h", "expected host:count; write host:100,other:200"},
		{"admin.address=8088", "expected address:port; write the address as a number"},
		{"authorizer.class.name=x.Y", "everybody would be let in; remove it to do without"},
		{"lisners=x", "unknown setting lisners; did you mean listeners?"},
		{"what.is.this=x", "unknown setting what.is.this; `kafkad config keys` lists every setting"},
	} {
		key, _, _ := strings.Cut(c.setting, "=")
		_, _, err := Parse("server.properties", []byte("# first\n\n"+c.setting+"\n"), "", nil)
		var faults Errors
		if !errors.As(err, &faults) {
			t.Errorf("%s: error %v", c.setting, err)
			continue
		}
		got := faults[0].Error()
		if !strings.HasPrefix(got, "server.properties:3: ") || !strings.Contains(got, key) ||
			!strings.Contains(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.setting, got, c.want)
		}
		for _, f := range faults[1:] {
			if f.File == "" || f.Hint == "" {
				t.Errorf("%s: and %s", c.setting, f)
			}
		}
	}
}

// Where the value does not stand under its key in the file.
func TestFaultsFromElsewhere(t *testing.T) {
	for _, c := range []struct {
		text, want string
		overrides  map[string]string
	}{
		{"num.partitions=1", "--override: Invalid value x for configuration num.partitions",
			map[string]string{"num.partitions": "x"}},
		{"broker.id.generation.enable=false", "server.properties:1: Invalid value -1 for configuration" +
			" broker.id: must be 0 or more; broker.id.generation.enable is off, so write", nil},
		{"port=9092\nhost.name=a b", "server.properties:2: Invalid value PLAINTEXT://a b:9092 for" +
			" configuration listeners", nil},
		{"\nlistener.security.protocol.map=A:PLAINTEXT", "server.properties:2: Invalid value" +
			" PLAINTEXT://:9092 for configuration listeners: no security protocol for PLAINTEXT; add" +
			" PLAINTEXT:PLAINTEXT to listener.security.protocol.map", nil},
		{"\nsecurity.inter.broker.protocol=SSL", "server.properties:2: Invalid value SSL for" +
			" configuration inter.broker.listener.name", nil},
		{"listeners=A://:1\nlistener.security.protocol.map=A:PLAINTEXT", "server.properties:1: Invalid" +
			" value PLAINTEXT for configuration inter.broker.listener.name", nil},
	} {
		_, _, err := Parse("server.properties", []byte(c.text), "", c.overrides)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

// Upstream's files may repeat a key; that is told.
func TestRepeatedKeys(t *testing.T) {
	c, notes, err := Parse("server.properties", []byte("broker.id=1\nbroker.rack=a\nbroker.id=2\n"),
		"", nil)
	const want = "server.properties:3: broker.id is also in line 1; the last one counts, remove the" +
		" others"
	if err != nil || c.BrokerID != 2 || len(notes) != 1 || notes[0].Text != want {
		t.Errorf("%v, notes %v", err, notes)
	}
}

func TestServersOfZooKeeper(t *testing.T) {
	c, _, err := Parse("server.properties", []byte(
		"zookeeper.connect=a, b:1,[::1],[fe80::1]:2181,10.0.0.1/k/01/\n"), "", nil)
	const want = "a:2181,b:1,[::1]:2181,[fe80::1]:2181,10.0.0.1:2181/k/01"
	if err != nil || c.ZooKeeperConnect() != want {
		t.Errorf("%v, %v", c, err)
	}
}
