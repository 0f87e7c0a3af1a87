package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"zkafka/zkd/admin"
	"zkafka/zkd/client"
	"zkafka/zkd/disk"
	"zkafka/zkd/host"
	"zkafka/zkd/proto"
	"zkafka/zkd/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// system is a whole server over a disk in memory.
type system struct {
	t      *testing.T
	client string // addresses
	http   string
}

func start(t *testing.T) *system {
	t.Helper()
	h, err := host.Open(host.Options{
		FS: disk.NewMem(), DataDir: "/data", PreallocBytes: -1, TickTime: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Host: h, Addresses: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := admin.New(admin.Options{
		Host: h, Server: s, Version: admin.Version("1.2.3", "2026-01-02 03:04"),
		Words: []string{
			"ruok", "stat", "mntr", "conf", "cons", "envi", "isro", "dirs", "dump", "wchs",
			"wchc", "wchp", "hash", "gtmk", "stmk", "srst", "crst",
		},
		ClientPort: 2181, SecureClientPort: -1, ClientPortBacklog: -1, MaxClientCnxns: 60,
		TickTime: 2 * time.Second, MinSessionTimeout: 4 * time.Second,
		MaxSessionTimeout: 40 * time.Second, ConfigText: "tickTime=2000\n",
		Address: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start(a.FourLetter)
	a.Start()
	t.Cleanup(func() {
		s.Close()
		a.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return &system{t: t, client: s.Addrs()[0].String(), http: "http://" + a.Addrs()[0].String()}
}

func (s *system) word(w string) string {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.client)
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte(w)); err != nil {
		s.t.Fatal(err)
	}
	b, err := io.ReadAll(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func (s *system) get(path string) (int, []byte) {
	s.t.Helper()
	resp, err := http.Get(s.http + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, b
}

func (s *system) connect() *client.Client {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{Servers: []string{s.client}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close(context.Background()) })
	if err := c.Wait(ctx); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func createEphemeral(t *testing.T, c *client.Client) error {
	_, err := c.Create(t.Context(), "/e", []byte("x"), proto.OpenACL(), proto.ModeEphemeral)
	return err
}

func lines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }

// match compares text line by line with regular expressions.
func match(t *testing.T, name, got string, want ...string) {
	t.Helper()
	have := lines(got)
	if len(have) != len(want) {
		t.Errorf("%s has %d lines, not %d:\n%s", name, len(have), len(want), got)
		return
	}
	for i := range want {
		if !regexp.MustCompile("^" + want[i] + "$").MatchString(have[i]) {
			t.Errorf("%s line %d: %q does not match %q", name, i+1, have[i], want[i])
		}
	}
}

func TestWords(t *testing.T) {
	s := start(t)
	if got := s.word("ruok"); got != "imok" {
		t.Errorf("ruok: %q", got)
	}
	if got := s.word("isro"); got != "rw" {
		t.Errorf("isro: %q", got)
	}
	if got := s.word("stmk\x00\x00\x00\x00\x00\x00\x01\x00"); got != "256" {
		t.Errorf("stmk: %q", got)
	}
	c := s.connect()
	if err := createEphemeral(t, c); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := c.GetW(t.Context(), "/e"); err != nil {
		t.Fatal(err)
	}
	const version = `3\.9\.4-zkd-1\.2\.3, built on 2026-01-02 03:04 UTC`
	counts := []string{ // those that asked before may not be forgotten yet
		`Latency min/avg/max: \d+/\d+\.\d+/\d+`, `Received: 3`, `Sent: 3`, `Connections: [2-9]`,
		`Outstanding: 0`, `Zxid: 0x2`, `Mode: standalone`, `Node count: 6`,
	}
	match(t, "srvr", s.word("srvr"),
		append([]string{"Zookeeper version: " + version}, counts...)...)
	match(t, "stat", s.word("stat"), append([]string{
		"Zookeeper version: " + version, "Clients:",
		` /127\.0\.0\.1:\d+\[1\]\(queued=0,recved=3,sent=3\)`,
		` /127\.0\.0\.1:\d+\[0\]\(queued=0,recved=1,sent=0\)`, "",
	}, counts...)...)
	match(t, "cons", s.word("cons"),
		` /127\.0\.0\.1:\d+\[1\]\(queued=0,recved=3,sent=3,sid=0x1[0-9a-f]{14},lop=GETD,`+
			`est=\d{13},to=\d+,lcxid=0x[0-9a-f]+,lzxid=0x2,lresp=\d+,llat=\d+,minlat=\d+,`+
			`avglat=\d+,maxlat=\d+\)`,
		` /127\.0\.0\.1:\d+\[0\]\(queued=0,recved=1,sent=0\)`, "")
	match(t, "wchs", s.word("wchs"), "1 connections watching 1 paths", "Total watches:1")
	match(t, "wchc", s.word("wchc"), "0x1[0-9a-f]{14}", "\t/e", "")
	match(t, "wchp", s.word("wchp"), "/e", "\t0x1[0-9a-f]{14}", "")
	match(t, "dirs", s.word("dirs"), `datadir_size: \d+`, `logdir_size: \d+`)
	match(t, "conf", s.word("conf"), "clientPort=2181", "secureClientPort=-1",
		"dataDir=/data/version-2", `dataDirSize=\d+`, "dataLogDir=/data/version-2",
		`dataLogSize=\d+`, "tickTime=2000", "maxClientCnxns=60", "minSessionTimeout=4000",
		"maxSessionTimeout=40000", "clientPortListenBacklog=-1", "serverId=0")
	match(t, "crst", s.word("crst"), `Connection stats reset\.`)
	match(t, "srst", s.word("srst"), `Server stats reset\.`)
	match(t, "dump", s.word("dump"), "SessionTracker dump:", `Session Sets \(1\)/\(1\):`,
		`1 expire at .* 20\d\d:`, "\t0x1[0-9a-f]{14}", "ephemeral nodes dump:",
		`Sessions with Ephemerals \(1\):`, "0x1[0-9a-f]{14}:", "\t/e", "Connections dump:",
		`Connections Sets \(1\)/\(2\):`, `2 expire at .*`, `.*sessionId: 0x1[0-9a-f]{14}`,
		`.*sessionId: 0x0`)
}

func TestWhitelist(t *testing.T) {
	h, err := host.Open(host.Options{FS: disk.NewMem(), DataDir: "/data", PreallocBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close(context.Background()) }()
	s, err := server.New(server.Options{Host: h})
	if err != nil {
		t.Fatal(err)
	}
	a, err := admin.New(admin.Options{Host: h, Server: s})
	if err != nil {
		t.Fatal(err)
	}
	reply, ok := a.FourLetter(&server.Query{Word: "mntr"})
	if !ok || string(reply) != "mntr is not executed because it is not in the whitelist.\n" {
		t.Errorf("%q %v", reply, ok)
	}
	if reply, ok := a.FourLetter(&server.Query{Word: "srvr"}); !ok ||
		!bytes.HasPrefix(reply, []byte("Zookeeper version: 3.9.4-zkd-")) {
		t.Errorf("%q %v", reply, ok)
	}
	if _, ok := a.FourLetter(&server.Query{Word: "\x00\x00\x00,"}); ok {
		t.Error("a frame length was taken for a word")
	}
}

// TestMntrNames: the rows are those of a standalone Apache ZooKeeper 3.9.4, in its order.
func TestMntrNames(t *testing.T) {
	s := start(t)
	want, err := os.ReadFile("testdata/mntr-3.9.4.names")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range lines(s.word("mntr")) {
		name, value, ok := strings.Cut(line, "\t")
		if !ok || value == "" {
			t.Errorf("row %q", line)
		}
		got = append(got, name)
	}
	if !slices.Equal(got, lines(string(want))) {
		t.Errorf("rows are\n%s", strings.Join(got, "\n"))
	}
}

// TestNamespaceRows: what is counted below a znode of the top level is shown as Apache ZooKeeper
// 3.9.4 shows it, the quotas behind the gauges and the rest at the end.
func TestNamespaceRows(t *testing.T) {
	s := start(t)
	s.traffic()
	var quotas, summaries []string
	before := ""
	for _, line := range lines(s.word("mntr")) {
		switch {
		case strings.Contains(line, "_quota_"):
			if len(quotas) == 0 && !strings.HasPrefix(before, "zk_non_mtls_local_conn_count") {
				t.Errorf("the quotas come behind %q", before)
			}
			quotas = append(quotas, line)
		case strings.Contains(line, "_per_namespace"):
			if len(summaries) == 0 && !strings.HasPrefix(before, "zk_p999_write_commitproc") {
				t.Errorf("the namespaces come behind %q", before)
			}
			summaries = append(summaries, line)
		}
		before = line
	}
	want := []string{
		"zk_a_quota_bytes_limit_per_namespace\t-1", "zk_a_quota_count_usage_per_namespace\t2",
		"zk_a_quota_count_limit_per_namespace\t5", "zk_a_quota_bytes_usage_per_namespace\t15",
		"zk_avg_a_read_per_namespace\t73.6667", "zk_min_a_read_per_namespace\t71",
		"zk_max_a_read_per_namespace\t75", "zk_cnt_a_read_per_namespace\t3",
		"zk_sum_a_read_per_namespace\t221",
		"zk_avg_a_write_per_namespace\t10.5", "zk_min_a_write_per_namespace\t7",
		"zk_max_a_write_per_namespace\t14", "zk_cnt_a_write_per_namespace\t2",
		"zk_sum_a_write_per_namespace\t21",
		"zk_avg_zookeeper_write_per_namespace\t39.3333",
		"zk_min_zookeeper_write_per_namespace\t18", "zk_max_zookeeper_write_per_namespace\t51",
		"zk_cnt_zookeeper_write_per_namespace\t3", "zk_sum_zookeeper_write_per_namespace\t118",
	}
	if got := append(quotas, summaries...); !slices.Equal(got, want) {
		t.Errorf("rows are\n%s", strings.Join(got, "\n"))
	}
	_, body := s.get("/metrics")
	for _, line := range []string{
		`quota_count_limit_per_namespace{key="a"} 5`, `quota_bytes_usage_per_namespace{key="a"} 15`,
		`read_per_namespace_sum{key="a"} 221`, `read_per_namespace_count{key="a"} 3`,
		`write_per_namespace_sum{key="zookeeper"} 118`,
	} {
		if !slices.Contains(lines(string(body)), line) {
			t.Errorf("/metrics has no %s", line)
		}
	}
}

// traffic reads and writes /a, which has a quota.
func (s *system) traffic() {
	s.t.Helper()
	c := s.connect()
	for _, n := range []struct{ path, data string }{
		{"/a", "hello"}, {"/a/b", "0123456789"}, {"/zookeeper/quota/a", ""},
		{"/zookeeper/quota/a/zookeeper_limits", "count=5,bytes=-1"},
		{"/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0"},
	} {
		_, err := c.Create(s.t.Context(), n.path, []byte(n.data), proto.OpenACL(),
			proto.ModePersistent)
		if err != nil {
			s.t.Fatal(err)
		}
	}
	_, _, errGet := c.Get(s.t.Context(), "/a")
	_, _, errKids := c.Children(s.t.Context(), "/a")
	_, _, errSame := c.Get(s.t.Context(), "/a")
	if err := errors.Join(errGet, errKids, errSame); err != nil {
		s.t.Fatal(err)
	}
}

// TestPrometheusNames: every metric that Apache's provider exports is there, with its type.
func TestPrometheusNames(t *testing.T) {
	s := start(t)
	s.traffic()
	_, body := s.get("/metrics")
	have := map[string]bool{}
	for _, line := range lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			have[rest] = true
		}
	}
	want, err := os.ReadFile("testdata/prometheus-3.9.4.types")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines(string(want)) {
		if !have[line] && !notStandalone(line) {
			t.Errorf("%s is missing", line)
		}
	}
}

// notStandalone tells metrics with a label, of which a standalone server that enforces no quotas
// has no value: the metric exists upstream, but no row of it.
func notStandalone(line string) bool {
	for _, name := range []string{
		"ack_latency", "learner_handler_qp_size", "learner_handler_qp_time_ms",
		"quota_exceeded_error_per_namespace",
	} {
		if strings.Contains(line, name) {
			return true
		}
	}
	return false
}

// TestCommands compares the keys of every command, in order, with what Apache ZooKeeper 3.9.4
// answers on an empty database.
func TestCommands(t *testing.T) {
	s := start(t)
	files, err := filepath.Glob("testdata/commands/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code, got := s.get("/commands/" + name)
		if code != http.StatusOK || !json.Valid(got) {
			t.Errorf("%s: %d %s", name, code, got)
			continue
		}
		if a, b := keys(t, want), keys(t, got); a != b {
			t.Errorf("%s has keys\n%s\nnot\n%s", name, b, a)
		}
	}
	c := s.connect()
	if err := createEphemeral(t, c); err != nil {
		t.Fatal(err)
	}
	_, got := s.get("/commands/cons")
	if a := keys(t, got); !strings.Contains(a, "established session_timeout last_cxid") {
		t.Errorf("connections: %s", got)
	}
	_, got = s.get("/commands/dump")
	if !strings.Contains(string(got), `[ "/e" ]`) {
		t.Errorf("dump: %s", got)
	}
}

// keys lists the keys of a JSON text in order, but not those of error and command, whose order
// upstream leaves to chance.
func keys(t *testing.T, b []byte) string {
	t.Helper()
	var out []string
	dec := json.NewDecoder(bytes.NewReader(b))
	var walk func()
	walk = func() {
		tok, err := dec.Token()
		if err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		switch tok {
		case json.Delim('{'):
			for dec.More() {
				key, err := dec.Token()
				if err != nil {
					t.Fatal(err)
				}
				if s := fmt.Sprint(key); s != "error" && s != "command" {
					out = append(out, s)
				}
				walk()
			}
		case json.Delim('['):
			for dec.More() {
				walk()
			}
		default:
			return
		}
		if _, err := dec.Token(); err != nil {
			t.Fatal(err)
		}
	}
	walk()
	return strings.Join(out, " ")
}

func TestHTTPEdges(t *testing.T) {
	s := start(t)
	code, body := s.get("/commands")
	if code != http.StatusOK || !strings.Contains(string(body),
		"<a href=\"/commands/configuration\">configuration</a>\n<br/>") {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := s.get("/"); code != http.StatusNotFound {
		t.Errorf("/: %d", code)
	}
	if code, body := s.get("/commands/snapshot"); code != http.StatusServiceUnavailable {
		t.Errorf("snapshot: %d %s", code, body)
	}
	resp, err := http.Post(s.http+"/commands/ruok", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", resp.Status)
	}
	_, body = s.get("/commands/nosuch")
	want := "{\n  \"command\" : \"nosuch\",\n  \"error\" : \"Unknown command: nosuch\"\n}"
	if string(body) != want {
		t.Errorf("%s", body)
	}
}
