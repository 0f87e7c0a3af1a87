package config

import (
	"errors"
	"strings"
	"testing"

	"zkafka/etc"
)

// Every fault names the file, the line and the key, and says what to do.
func TestFaultsSayWhereAndWhatToDo(t *testing.T) {
	const (
		tick   = "; correct it, or remove the line for the default 3000"
		server = "; write host:2888:3888 or host:2888:3888:participant;2181"
	)
	for _, c := range []struct{ setting, want string }{
		{"tickTime=2s", "expected a whole number of at most 2147483647" + tick},
		{"tickTime=99999999999", "expected a whole number of at most 2147483647" + tick},
		{"tickTime=0", "must be at least 1" + tick},
		{"clientPort=", "expected a whole number of at most 2147483647; correct it, or remove"},
		{"clientPort=70000", "must be at most 65535; correct it, or remove the line for the default"},
		{"forceSync=maybe", "expected yes or no; correct it, or remove the line for the default yes"},
		{"admin.enableServer=yes", "expected true or false; correct it, or remove the line"},
		{"peerType=leader", "expected one of participant, observer; correct it, or remove"},
		{"dataDir=", "expected a path; correct it, or remove the line for the default /var/lib/zkd"},
		{"dataLogDir=", "expected a path; correct it or remove the line"},
		{"dataDir=data", "not an absolute path; a relative path would depend on"},
		{`dataDir="/data"`, "text stands without quotes and brackets in this syntax; a file in TOML must" +
			" be named .toml"},
		{"minSessionTimeout=900000", "is above maxSessionTimeout (60000 ms); without them they are"},
		{"clientPortAddress=localhost", "clientPortAddress needs clientPort; add clientPort=2181"},
		{"server.x=a:1:2", `"x" is not the number of a server; write server.1`},
		{"server.=a:1:2", `"" is not the number of a server; write server.1`},
		{"server.1=a", `"a": expected host:port:port` + server},
		{"server.1=a:1", `"a:1": expected host:port:port` + server},
		{"server.1=a:x:3888", `"x" is not a port` + server},
		{"server.1=a:1:2:boss", `"boss" is neither participant nor observer` + server},
		{"server.1=a:1:2;x", `"x" is not a port` + server},
		{"group.1=a", "expected ids separated by colons; write 1:2:3"},
		{"weight.1=-1", "expected a whole number from 0; the usual weight is 1"},
		{"admin.commandURL=x", "expected a path; begin it with a slash"},
		{"secureClientPort=2281", "TLS is not in this version; remove the key, or terminate TLS"},
		{"enforceQuota=true", "hard quotas are not in this version; remove the line to do without"},
		{"clientport=2181", "unknown setting clientport; did you mean clientPort?"},
		{"what.is.this=x", "unknown setting what.is.this; `zkd config keys` lists every setting"},
	} {
		key, _, _ := strings.Cut(c.setting, "=")
		_, _, err := Parse("zoo.cfg", []byte("# first\n\n"+c.setting+"\n"), nil, nil)
		var faults etc.Faults
		if !errors.As(err, &faults) || len(faults) != 1 {
			t.Errorf("%s: error %v", c.setting, err)
			continue
		}
		got := faults[0].Error()
		if !strings.HasPrefix(got, "zoo.cfg:3: ") || !strings.Contains(got, key) ||
			!strings.Contains(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.setting, got, c.want)
		}
	}
}

// Where the value does not stand under its key in the file.
func TestFaultsFromElsewhere(t *testing.T) {
	for _, c := range []struct {
		text, flags, want string
		overrides         map[string]string
	}{
		{"tickTime=1", "", "--override: tickTime=x: expected", map[string]string{"tickTime": "x"}},
		{"tickTime=1", "-Dzookeeper.snapCount=x", "SERVER_JVMFLAGS or JVMFLAGS: snapCount=x: expected",
			nil},
		{"#\nzookeeper.snapCount=x", "", "zoo.cfg:2: snapCount=x: expected", nil},
		{"syncLimit=5\nserver.1=a:1:2\nserver.2=b:1:2", "",
			"zoo.cfg:2: an ensemble needs initLimit; add initLimit=10", nil},
	} {
		_, _, err := Parse("zoo.cfg", []byte(c.text), []string{c.flags}, c.overrides)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

// What is accepted and does not do what it would do upstream, is told.
func TestNotesSayWhereAndWhatToDo(t *testing.T) {
	const (
		auth = "org.apache.zookeeper.server.auth."
		out  = ", and ACLs that name it let nobody in; remove the line and have clients use digest or ip"
	)
	for _, c := range []struct{ text, flags, want string }{
		{"authProvider.1=" + auth + "SASLAuthenticationProvider", "",
			"zoo.cfg:1: authProvider.1=" + auth + "SASLAuthenticationProvider is not built in: clients" +
				" cannot authenticate with the scheme sasl" + out},
		{"\nauthProvider.x509=" + auth + "X509AuthenticationProvider", "",
			"zoo.cfg:2: authProvider.x509=" + auth + "X509AuthenticationProvider is not built in:" +
				" clients cannot authenticate with the scheme x509" + out},
		{"authProvider.7=com.example.Own", "", "zoo.cfg:1: authProvider.7=com.example.Own is not built" +
			" in: clients cannot authenticate with its scheme" + out},
		{"", "-Dzookeeper.authProvider.sasl=" + auth + "SASLAuthenticationProvider",
			"SERVER_JVMFLAGS or JVMFLAGS: authProvider.sasl=" + auth + "SASLAuthenticationProvider is" +
				" not built in: clients cannot authenticate with the scheme sasl" + out},
		{"authProvider.1=" + auth + "DigestAuthenticationProvider", "", ""},
		{"authProvider.2=" + auth + "IPAuthenticationProvider", "", ""},
		{"metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
			"", ""},
		{"metricsProvider.className=a.Graphite", "", "zoo.cfg:1: metricsProvider.className=a.Graphite" +
			" is not built in: there is no such export; remove the line, metrics are at /metrics of" +
			" the admin pages"},
		{"tickTime=1\ntickTime=2\n\ntickTime=3", "", "zoo.cfg:4: tickTime is also in line 1 and 2; the" +
			" last one counts, remove the others"},
		{"dataDir=/data # of node 1", "", `zoo.cfg:1: dataDir is "/data # of node 1", with what follows` +
			" the #; a comment stands in a line of its own"},
		{"flushDelay=1", "", "zoo.cfg:1: flushDelay has no effect: a flush begins when"},
	} {
		_, notes, err := Parse("zoo.cfg", []byte(c.text), []string{c.flags}, nil)
		var got []string
		for _, n := range notes {
			got = append(got, n.Text)
		}
		text := strings.Join(got, "\n")
		if err != nil || !strings.HasPrefix(text, c.want) || len(got) > 1 || c.want == "" && text != "" {
			t.Errorf("%s: %v\n got %s\nwant %s", c.text, err, text, c.want)
		}
	}
}
