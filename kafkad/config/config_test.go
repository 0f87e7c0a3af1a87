package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"zkafka/etc"
)

// parse reads server.properties text.
func parse(text string) (*Config, []Note, error) {
	return Parse("server.properties", []byte(text), "", nil)
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
	want := map[string]any{
		"listener":   "PLAINTEXT://:9092",
		"log dir":    "/var/lib/kafkad",
		"zookeeper":  "localhost:2181",
		"retention":  int64(604800000),
		"flush.ms":   int64(Never),
		"session":    18 * time.Second,
		"connection": 18 * time.Second,
		"offsets RF": 3,
		"rebalance":  3 * time.Second,
		"inter":      "PLAINTEXT",
		"id":         -1,
	}
	got := map[string]any{
		"listener": c.Listeners[0].String(), "log dir": c.LogDirs[0],
		"zookeeper": c.ZooKeeperConnect(), "retention": c.Topic.RetentionMillis,
		"flush.ms": c.Topic.FlushMillis, "session": c.ZooKeeperSessionTimeout,
		"connection": c.ZooKeeperConnectionTimeout, "offsets RF": c.OffsetsTopicReplicationFactor,
		"rebalance": c.GroupInitialRebalanceDelay, "inter": c.InterBrokerListenerName,
		"id": c.BrokerID,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// Every default of the table satisfies the table's own limits, every type is known, and nothing
// that a field is filled from escapes the checks.
func TestTables(t *testing.T) {
	for _, k := range append(BrokerKeys(), TopicKeys()...) {
		if k.Type == 0 {
			t.Errorf("%s has an unknown type", k.Name)
		}
		if k.Doc == "" {
			t.Errorf("%s has no documentation", k.Name)
		}
		if k.Default != nil {
			if err := k.check(*k.Default); err != nil {
				t.Errorf("default of %s: %v", k.Name, err)
			}
		}
		for _, s := range k.Synonyms {
			if _, ok := BrokerKey(s); !ok {
				t.Errorf("%s names the synonym %s, which does not exist", k.Name, s)
			}
		}
	}
	if len(TopicKeys()) != 36 {
		t.Errorf("%d topic settings, upstream describes 36", len(TopicKeys()))
	}
	for _, typ := range []reflect.Type{reflect.TypeOf(Config{}), reflect.TypeOf(Topic{})} {
		for i := range typ.NumField() {
			tag := typ.Field(i).Tag.Get("key")
			if tag == "" {
				continue
			}
			_, broker := brokerTable().byName[tag]
			_, topic := TopicKey(tag)
			if k := brokerTable().byName[tag]; broker && k.Ignored+k.Refused != "" {
				t.Errorf("field %s is read from %s, which has no effect", typ.Field(i).Name, tag)
			}
			if !broker && !topic {
				t.Errorf("field %s has the key %s, which does not exist", typ.Field(i).Name, tag)
			}
		}
	}
}

func TestForms(t *testing.T) {
	c := mustParse(t, `
# as people write it
broker.id=1
log.dirs=/data/data1, /data/data2
zookeeper.connect=book-zk1:2181,book-zk2:2181,book-zk3/book-kaf/
listeners=INTERNAL://:19092,EXTERNAL://0.0.0.0:9092
advertised.listeners=INTERNAL://kafka1:19092,EXTERNAL://127.0.0.1:9092
listener.security.protocol.map=INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT
inter.broker.listener.name=INTERNAL
log.retention.hours=2
log.flush.interval.messages=1
log.flush.interval.ms=1000
max.connections.per.ip.overrides=127.0.0.1:5,[::1]:6
`)
	if strings.Join(c.LogDirs, " ") != "/data/data1 /data/data2" {
		t.Errorf("log dirs %v", c.LogDirs)
	}
	if c.ZooKeeperConnect() != "book-zk1:2181,book-zk2:2181,book-zk3:2181/book-kaf" {
		t.Errorf("zookeeper %s", c.ZooKeeperConnect())
	}
	if c.InterBrokerListenerName != "INTERNAL" || len(c.Listeners) != 2 ||
		c.AdvertisedListeners[1].String() != "EXTERNAL://127.0.0.1:9092" {
		t.Errorf("listeners %v %v", c.Listeners, c.AdvertisedListeners)
	}
	if c.Topic.RetentionMillis != 7200000 || c.Topic.FlushMessages != 1 || c.Topic.FlushMillis != 1000 {
		t.Errorf("topic %+v", c.Topic)
	}
	if c.MaxConnectionsPerIPOverrides["::1"] != 6 {
		t.Errorf("overrides %v", c.MaxConnectionsPerIPOverrides)
	}
}

func TestPrecedenceOfUnits(t *testing.T) {
	c := mustParse(t, "log.retention.hours=1\nlog.retention.minutes=3\nlog.roll.hours=2\n"+
		"log.flush.scheduler.interval.ms=77")
	if c.Topic.RetentionMillis != 180000 || c.Topic.SegmentMillis != 7200000 ||
		c.Topic.FlushMillis != 77 {
		t.Errorf("%+v", c.Topic)
	}
	if c := mustParse(t, "log.retention.hours=-1"); c.Topic.RetentionMillis != -1 {
		t.Errorf("retention %d", c.Topic.RetentionMillis)
	}
}

// A file in the shape of the sample that everybody starts from.
func TestSampleShape(t *testing.T) {
	_, notes, err := parse("broker.id=0\nlisteners=PLAINTEXT://:9092\nnum.network.threads=3\n" +
		"num.io.threads=8\nsocket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n" +
		"socket.request.max.bytes=104857600\nlog.dirs=/tmp/kafka-logs\nnum.partitions=1\n" +
		"num.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\n" +
		"transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n" +
		"log.retention.hours=168\nlog.segment.bytes=1073741824\n" +
		"log.retention.check.interval.ms=300000\nzookeeper.connect=localhost:2181\n" +
		"zookeeper.connection.timeout.ms=18000\ngroup.initial.rebalance.delay.ms=0\n")
	if err != nil || len(notes) != 2 { // the two kinds of threads
		t.Errorf("%v %v", notes, err)
	}
}

func TestFlushInterval(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"":                                  time.Second,
		"log.flush.interval.ms=100":         50 * time.Millisecond,
		"log.flush.interval.ms=60000":       time.Second,
		"log.flush.interval.ms=0":           time.Millisecond,
		"log.flush.scheduler.interval.ms=7": 7 * time.Millisecond,
	} {
		if c := mustParse(t, text); c.LogFlushSchedulerInterval != want {
			t.Errorf("%q: %v, want %v", text, c.LogFlushSchedulerInterval, want)
		}
	}
}

func TestOldNames(t *testing.T) {
	c := mustParse(t, "host.name=10.0.0.1\nport=9999\nadvertised.host.name=kafka1\nnode.id=7")
	if c.Listeners[0].String() != "PLAINTEXT://10.0.0.1:9999" || c.BrokerID != 7 ||
		c.AdvertisedListeners[0].String() != "PLAINTEXT://kafka1:9999" {
		t.Errorf("%v %v %d", c.Listeners, c.AdvertisedListeners, c.BrokerID)
	}
}

func TestFaults(t *testing.T) {
	tests := []struct{ text, want string }{
		{"\nlog.dirz=/x", "server.properties:2: unknown setting log.dirz; did you mean log.dirs?"},
		{"num.partitions=x",
			"server.properties:1: Invalid value x for configuration num.partitions: " +
				"Not a number of type INT"},
		{"num.partitions=0", "Invalid value 0 for configuration num.partitions: " +
			"Value must be at least 1"},
		{"auto.create.topics.enable=yes", "Expected value to be either true or false"},
		{"log.retention.ms=-2", "Value must be at least -1"},
		{"log.roll.hours=0", "Value must be at least 1"},
		{"log.dirs=/a,/a/", "/a/ is named twice"},
		{"log.dirs=data", "not an absolute path"},
		{"zookeeper.connect=/kafka", "no server in it"},
		{"zookeeper.connect=a:2181/x,b:2181/x", "stands once, after the last server"},
		{"listeners=FOO://:1", "add FOO:PLAINTEXT to listener.security.protocol.map"},
		{"listeners=PLAINTEXT://:1,PLAINTEXT://:2", "its own name"},
		{"listeners=PLAINTEXT:9092", "expected NAME://host:port"},
		{"listeners=SSL://:9093", "SSL is not in this version"},
		{"advertised.listeners=PLAINTEXT://0.0.0.0:9092", "clients cannot connect to 0.0.0.0"},
		{"inter.broker.listener.name=X", "not in listener.security.protocol.map"},
		{"broker.id=1001", "raise reserved.broker.max.id"},
		{"broker.id.generation.enable=false", "broker.id.generation.enable is off"},
		{"authorizer.class.name=kafka.security.authorizer.AclAuthorizer", "cannot be honoured"},
		{"process.roles=broker,controller", "remove KRaft settings"},
		{"compression.type=brotli", "String must be one of: uncompressed, zstd, lz4"},
	}
	for _, tt := range tests {
		_, _, err := parse(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want one with %q", tt.text, err, tt.want)
		}
	}
}

func TestSeveralFaultsAtOnce(t *testing.T) {
	_, _, err := parse("a.b=1\nnum.partitions=x\n")
	var faults Errors
	if !errors.As(err, &faults) || len(faults) != 2 {
		t.Errorf("error %v", err)
	}
}

func TestNotes(t *testing.T) {
	_, notes, err := Parse("server.properties",
		[]byte("num.io.threads=16\nlistener.name.external.ssl.keystore.location=/x"),
		"-Xmx1g -Djava.security.auth.login.config=/jaas.conf", map[string]string{"broker.id": "5"})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, n := range notes {
		all = append(all, n.Text)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{
		"-Xmx1g -Djava.security.auth.login.config",
		"server.properties:1: num.io.threads has no effect: ",
		"listener.name.external.ssl.keystore.location has no effect",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no note %q in\n%s", want, text)
		}
	}
}

// An ignored setting may hold anything.
func TestIgnoredSettingsAreNotChecked(t *testing.T) {
	mustParse(t, "log.cleaner.enable=perhaps\ntransaction.max.timeout.ms=long")
}

func TestConvertRoundTrip(t *testing.T) {
	text := "# The id.\nbroker.id=1\nbroker.id.generation.enable=true\nmax.connections=10\n" +
		"max.connections.per.ip=5\nlog.dirs=/data/1,/data/2\nlog.cleaner.min.cleanable.ratio=0.25\n" +
		"log.cleanup.policy=delete,compact\nlisteners=PLAINTEXT://:9092\n" +
		"zookeeper.connect=a:1,b:2/c\nsasl.jaas.config=x \"y\" required;\n" +
		"listener.name.plaintext.ssl.keystore.location=/a b\n"
	out, err := Convert("server.properties", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := "# The id.\nbroker.id = 1\n\"broker.id.generation.enable\" = true\n" +
		"max.connections = 10\n\"max.connections.per.ip\" = 5\n" +
		"log.dirs = \"/data/1,/data/2\"\nlog.cleaner.min.cleanable.ratio = 0.25\n" +
		"log.cleanup.policy = [\"delete\", \"compact\"]\n"
	if !strings.HasPrefix(string(out), want) {
		t.Errorf("printed\n%s\nwant\n%s", out, want)
	}
	old := mustParse(t, text)
	again, _, err := Parse("server.toml", out, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(old, again) {
		t.Errorf("the converted file differs: %v\n%v", old.Explicit(), again.Explicit())
	}
}

// The files that packages install are good, and their commented lines are, too.
func TestInstalledFile(t *testing.T) {
	if _, notes, err := Parse("server.toml", etc.Kafkad, "", nil); err != nil || len(notes) > 0 {
		t.Fatalf("%v %v", notes, err)
	}
	for _, line := range strings.Split(string(etc.Kafkad), "\n") {
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
		k, known := BrokerKey(f.Settings[0].Key)
		if !known || k.Ignored != "" {
			t.Errorf("%s: not a setting that acts", setting)
			continue
		}
		if err := k.check(f.Settings[0].Value); err != nil {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

func TestTopicOverrides(t *testing.T) {
	tests := []struct{ key, value, want string }{
		{"retention.ms", "-2", "Invalid value -2 for configuration retention.ms: " +
			"Value must be at least -1"},
		{"retention.ms", "x", "Invalid value x for configuration retention.ms: " +
			"Not a number of type LONG"},
		{"segment.bytes", "13", "Invalid value 13 for configuration segment.bytes: " +
			"Value must be at least 14"},
		{"cleanup.policy", "compact,archive", "Invalid value archive for configuration " +
			"cleanup.policy: String must be one of: compact, delete"},
		{"min.cleanable.dirty.ratio", "2", "Value must be no more than 1"},
		{"compression.gzip.level", "0", "Invalid value 0"},
		{"leader.replication.throttled.replicas", "1:2,x", "Invalid value [1:2, x] for configuration " +
			"leader.replication.throttled.replicas: leader.replication.throttled.replicas must be " +
			"the literal '*' or a list"},
		{"log.retention.ms", "1", "Unknown topic config name: log.retention.ms"},
		{"unclean.leader.election.enable", "maybe", "either true or false"},
		{"max.message.bytes", "3000000000", "Not a number of type INT"},
	}
	for _, tt := range tests {
		_, err := ParseTopicOverrides(map[string]string{tt.key: tt.value})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s=%s: error %v, want %q", tt.key, tt.value, err, tt.want)
		}
	}
	_, err := ParseTopicOverrides(map[string]string{
		"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"})
	if err == nil || err.Error() != "conflict topic config setting min.compaction.lag.ms (10) > "+
		"max.compaction.lag.ms (5)" {
		t.Errorf("error %v", err)
	}
	got, err := ParseTopicOverrides(map[string]string{"cleanup.policy": "compact",
		"retention.ms": " 5 ", "message.timestamp.difference.max.ms": "9"})
	if err != nil || !got.Compact() || got.Delete() || got.RetentionMillis != 5 ||
		got.TimestampBeforeMaxMillis != 9 || got.TimestampAfterMaxMillis != 9 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestStoredOverridesAreForgiving(t *testing.T) {
	c := mustParse(t, "log.retention.ms=1000")
	got, errs := c.Topic.WithStored(map[string]string{
		"no.such.key": "1", "segment.bytes": "many", "flush.messages": "1"})
	if len(errs) != 1 || got.FlushMessages != 1 || got.SegmentBytes != 1073741824 ||
		got.RetentionMillis != 1000 {
		t.Errorf("%+v %v", got, errs)
	}
}

func TestDescribeTopic(t *testing.T) {
	c := mustParse(t, "log.retention.hours=1\nlog.segment.bytes=100000")
	entries := DescribeTopic(c, map[string]string{"segment.bytes": "200000"})
	byName := map[string]Entry{}
	for _, e := range entries {
		byName[e.Name] = e
	}
	seg := byName["segment.bytes"]
	if *seg.Value != "200000" || seg.Source != TopicSource || len(seg.Synonyms) != 3 ||
		seg.Synonyms[1].Name != "log.segment.bytes" || *seg.Synonyms[1].Value != "100000" ||
		seg.Synonyms[2].Source != DefaultSource {
		t.Errorf("%+v", seg)
	}
	ret := byName["retention.ms"]
	if *ret.Value != "3600000" || ret.Source != StaticSource ||
		ret.Synonyms[0].Name != "log.retention.hours" {
		t.Errorf("%+v", ret)
	}
	if e := byName["flush.messages"]; *e.Value != "9223372036854775807" || !e.IsDefault() {
		t.Errorf("%+v", e)
	}
}

func TestDescribeBroker(t *testing.T) {
	c := mustParse(t, "broker.id=3\nssl.keystore.password=secret\nlog.retention.hours=5")
	for _, e := range DescribeBroker(c) {
		switch e.Name {
		case "broker.id":
			if *e.Value != "3" || e.Source != StaticSource || !e.ReadOnly {
				t.Errorf("%+v", e)
			}
		case "ssl.keystore.password":
			if e.Value != nil || !e.Sensitive {
				t.Errorf("a password is shown: %+v", e)
			}
		case "log.retention.ms":
			if e.Value != nil || e.ReadOnly {
				t.Errorf("%+v", e)
			}
		case "log.retention.hours":
			if *e.Value != "5" || e.Source != StaticSource {
				t.Errorf("%+v", e)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("server.toml", "broker.id = 1\nlog.dirs = [\"/a\"]\nlisteners = \"A://:1\"")
	f.Add("server.properties", "listeners=PLAINTEXT://:9092\nlog.retention.ms=-1")
	f.Add("a.properties", "max.connections.per.ip.overrides=a:1,[::1]:2\nport=1")
	f.Fuzz(func(t *testing.T, name, text string) {
		c, _, err := Parse(name, []byte(text), "", nil)
		if err != nil {
			return
		}
		out, err := Convert(name, []byte(text))
		if err != nil {
			t.Fatalf("%q parses but does not convert: %v", text, err)
		}
		again, _, err := Parse("x.toml", out, "", nil)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, out, err)
		}
		if !reflect.DeepEqual(c.LogDirs, again.LogDirs) ||
			!reflect.DeepEqual(c.Listeners, again.Listeners) ||
			!reflect.DeepEqual(c.Topic, again.Topic) {
			t.Fatalf("%q became %q", text, out)
		}
	})
}
