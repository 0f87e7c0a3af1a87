//go:build interop

package interop

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"zkafka/zkd/client"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// TestInteropDifferentialCommands gives Apache ZooKeeper and zkd the same clients and data and
// compares what their commands say in shape: lines with numbers left out, keys, types. And it
// compares how they treat connections that they do not want.
func TestInteropDifferentialCommands(t *testing.T) {
	foreign(t)
	var pair [2]*server
	var web [2]string
	for i, name := range []string{"zookeeper-3.9.4", "zkd"} {
		port := freePort(t)
		web[i] = fmt.Sprintf("http://127.0.0.1:%d/commands", port)
		pair[i] = startServer(t, name, "admin.enableServer=true",
			"admin.serverAddress=127.0.0.1", fmt.Sprintf("admin.serverPort=%d", port))
		burden(t, pair[i])
	}
	for _, word := range []string{
		"ruok", "isro", "srvr", "stat", "mntr", "conf", "cons", "envi", "dirs", "wchs", "wchc",
		"wchp", "dump", "hash", "gtmk", "crst", "srst",
	} {
		apache, zkd := shape(word, say(t, pair[0], word)), shape(word, say(t, pair[1], word))
		if apache != zkd {
			t.Errorf("%s:\n%s", word, difference(apache, zkd))
		}
	}
	for _, command := range []string{
		"configuration", "connections", "dirs", "dump", "environment", "hash", "is_read_only",
		"last_snapshot", "leader", "monitor", "observers", "ruok", "server_stats", "stats",
		"voting_view", "watches", "watches_by_path", "watch_summary", "zabstate", "nosuch",
	} {
		apache, zkd := ask(t, web[0], command), ask(t, web[1], command)
		if apache != zkd {
			t.Errorf("/commands/%s:\n%s", command, difference(apache, zkd))
		}
	}
	unwanted(t, pair)
}

// burden makes two sessions with ephemerals and watches.
func burden(t *testing.T, s *server) {
	t.Helper()
	a, b := dial(t, s), dial(t, s)
	for i, c := range []*client.Client{a, b} {
		path := fmt.Sprintf("/e%d", i)
		_, err := c.Create(timeout(t), path, []byte("x"), proto.OpenACL(), proto.ModeEphemeral)
		check(t, err)
		_, _, _, err = c.ExistsW(timeout(t), path)
		check(t, err)
		_, _, _, err = c.ExistsW(timeout(t), "/missing")
		check(t, err)
	}
}

func say(t *testing.T, s *server, word string) string {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	check(t, err)
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = nc.Write([]byte(word))
	check(t, err)
	b, err := io.ReadAll(nc)
	check(t, err)
	return string(b)
}

var (
	dates   = regexp.MustCompile(`at [A-Z][a-z]{2} [A-Z][a-z]{2} .*:`)
	numbers = regexp.MustCompile(`0x[0-9a-f]+|-?[0-9]+(\.[0-9]+)?(E-?[0-9]+)?`)
)

// shape leaves out of a reply what two servers cannot have in common.
func shape(word, text string) string {
	text = dates.ReplaceAllString(text, "at DATE:")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		key, _, ok := strings.Cut(line, "=")
		switch {
		case (word == "envi" || word == "conf") && ok:
			lines[i] = key
		case strings.HasPrefix(line, "Zookeeper version:"), strings.HasPrefix(line, "zk_version"):
			lines[i] = line[:10]
		default:
			lines[i] = numbers.ReplaceAllString(line, "N")
		}
	}
	switch word {
	case "stat", "cons", "mntr", "wchc", "wchp":
		slices.Sort(lines) // Apache's come in the order of hash tables
	case "dump": // sessions of the same age may share a bucket or not
		slices.Sort(lines)
		lines = slices.Compact(lines)
	}
	if word == "cons" { // who is in the middle of what
		text = strings.Join(lines, "\n")
		return regexp.MustCompile(`lop=[A-Z]+|\[N\]`).ReplaceAllString(text, "")
	}
	return strings.Join(lines, "\n")
}

func difference(a, z string) string {
	la, lz := strings.Split(a, "\n"), strings.Split(z, "\n")
	var out strings.Builder
	for _, l := range la {
		if !slices.Contains(lz, l) {
			fmt.Fprintf(&out, "  only apache: %q\n", l)
		}
	}
	for _, l := range lz {
		if !slices.Contains(la, l) {
			fmt.Fprintf(&out, "  only zkd:    %q\n", l)
		}
	}
	if out.Len() == 0 {
		return fmt.Sprintf("order or number of lines:\napache:\n%s\nzkd:\n%s", a, z)
	}
	return out.String()
}

// ask returns the status, content type, keys and types of a command's reply.
func ask(t *testing.T, web, command string) string {
	t.Helper()
	resp, err := http.Get(web + "/" + command)
	check(t, err)
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return fmt.Sprintf("%d %v", resp.StatusCode, err)
	}
	var keys []string
	types("", body, &keys)
	slices.Sort(keys)
	keys = slices.Compact(keys)
	return fmt.Sprintf("%d %s\n%s", resp.StatusCode, resp.Header.Get("Content-Type"),
		strings.Join(keys, "\n"))
}

// types lists the keys of a value, each with the type of what it holds. Keys that are ids or
// times are left out.
func types(at string, v any, out *[]string) {
	switch v := v.(type) {
	case map[string]any:
		*out = append(*out, at+" object")
		for k, e := range v {
			types(at+"."+numbers.ReplaceAllString(k, "N"), e, out)
		}
	case []any:
		*out = append(*out, at+" list")
		for _, e := range v {
			types(at+"[]", e, out)
		}
	default:
		text := fmt.Sprintf("%s %T", at, v)
		if strings.HasSuffix(at, "error") || strings.HasSuffix(at, "command") {
			text = fmt.Sprintf("%s %v", at, v)
		}
		*out = append(*out, text)
	}
}

// TestInteropDifferentialNamespaces compares the rows of mntr that count below each top level znode
// to the last digit, and where among the others they stand.
func TestInteropDifferentialNamespaces(t *testing.T) {
	foreign(t)
	var rows, names [2]string
	for i, name := range []string{"zookeeper-3.9.4", "zkd"} {
		s := startServer(t, name)
		traffic(t, s)
		for line := range strings.Lines(say(t, s, "mntr")) {
			name, _, _ := strings.Cut(line, "\t")
			names[i] += name + "\n"
			if strings.Contains(name, "_per_namespace") {
				rows[i] += line
			}
		}
	}
	if rows[0] != rows[1] || strings.Count(rows[0], "\n") != 2*4+2*10 {
		t.Errorf("apache:\n%s\nzkd:\n%s", rows[0], rows[1])
	}
	if names[0] != names[1] {
		t.Errorf("order of the rows in apache:\n%s\nzkd:\n%s", names[0], names[1])
	}
}

// traffic reads and writes below two top level znodes.
func traffic(t *testing.T, s *server) {
	t.Helper()
	c, other := dial(t, s), dial(t, s)
	create := func(c *client.Client, path, data string, mode int32) {
		t.Helper()
		_, err := c.Create(timeout(t), path, []byte(data), proto.OpenACL(), mode)
		check(t, err)
	}
	create(c, "/a", "hello", proto.ModePersistent)
	create(c, "/a/b", "0123456789", proto.ModePersistent)
	create(c, "/a/s-", "", proto.ModePersistentSequential)
	create(c, "/a/c", "", proto.ModeContainer)
	create(other, "/a/e", "12", proto.ModeEphemeral)
	check(t, other.Close(timeout(t)))
	const quota = "/zookeeper/quota/a"
	create(c, quota, "", proto.ModePersistent)
	create(c, quota+"/zookeeper_limits", "count=5,bytes=-1", proto.ModePersistent)
	create(c, quota+"/zookeeper_stats", "count=0,bytes=0", proto.ModePersistent)
	create(c, quota+"/b", "", proto.ModePersistent)
	create(c, quota+"/b/zookeeper_limits", "count=3,bytes=9=;byteHardLimit=100;countHardLimit=7",
		proto.ModePersistent)
	create(c, quota+"/b/zookeeper_stats", "count=0,bytes=0", proto.ModePersistent)
	create(c, "/zookeeper/quota/zookeeper", "", proto.ModePersistent)
	create(c, "/zookeeper/quota/zookeeper/zookeeper_limits", "bytes=7", proto.ModePersistent)
	create(c, "/zookeeper/quota/zookeeper/zookeeper_stats", "", proto.ModePersistent)
	_, err := c.Set(timeout(t), "/a/b", []byte("123"), -1)
	check(t, err)
	_, err = c.Set(timeout(t), "/", []byte("123"), -1)
	check(t, err)
	_, err = c.SetACL(timeout(t), "/a", proto.OpenACL(), -1)
	check(t, err)
	_, err = c.Multi(timeout(t),
		client.CreateOp("/a/m", []byte("123"), proto.OpenACL(), proto.ModePersistent),
		client.SetOp("/a/m", []byte("1"), -1), client.CheckOp("/a", -1),
		client.DeleteOp("/a/m", -1))
	check(t, err)
	for _, path := range []string{"/a", "/a/b", "/", "/zookeeper", "/zookeeper/config", "/none/x"} {
		for range 2 {
			_, _, errGet := c.Get(timeout(t), path)
			_, _, errKids := c.Children(timeout(t), path)
			_, _, err := c.Exists(timeout(t), path)
			check(t, err)
			if path != "/none/x" {
				check(t, errors.Join(errGet, errKids))
			}
		}
	}
	_, _, err = c.GetACL(timeout(t), "/a")
	check(t, err)
}

// unwanted compares what becomes of connections that no client makes.
func unwanted(t *testing.T, pair [2]*server) {
	connect := func(r proto.ConnectRequest) []byte {
		return framed(func(w *jute.Writer) { r.Encode(w) })
	}
	for name, b := range map[string][]byte{
		"a client that has seen more": connect(proto.ConnectRequest{
			LastZxidSeen: 1 << 40, Timeout: 10000, Passwd: make([]byte, 16),
		}),
		"a request in place of the handshake": framed(func(w *jute.Writer) { w.Int64(11) }),
		"an empty frame":                      {0, 0, 0, 0},
		"a negative length":                   {0xff, 0xff, 0xff, 0xf0},
		"jute.maxbuffer and one":              binary.BigEndian.AppendUint32(nil, 1<<20),
		"telnet interrupted":                  {0xff, 0xf4, 0xff, 0xfd},
		"an HTTP request":                     []byte("GET / HTTP/1.0\r\n\r\n"),
		"a session that is unknown": connect(proto.ConnectRequest{
			Timeout: 10000, SessionID: 77, Passwd: make([]byte, 16), HasReadOnly: true,
		}),
		"nothing, for ten seconds": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			apache, zkd := fate(t, pair[0], b), fate(t, pair[1], b)
			if apache != zkd {
				t.Errorf("apache: %s\nzkd: %s", apache, zkd)
			}
		})
	}
}

// TestInteropDifferentialLimits compares the servers where a configuration keeps clients out.
func TestInteropDifferentialLimits(t *testing.T) {
	foreign(t)
	var pair [2]*server
	for i, name := range []string{"zookeeper-3.9.4", "zkd"} {
		pair[i] = startServer(t, name, "maxClientCnxns=3", "4lw.commands.whitelist=ruok")
	}
	for _, word := range []string{"ruok", "mntr", "srvr"} {
		apache, zkd := shape(word, say(t, pair[0], word)), shape(word, say(t, pair[1], word))
		if apache != zkd {
			t.Errorf("%s: apache %q, zkd %q", word, apache, zkd)
		}
	}
	for _, s := range pair {
		for range 3 {
			dial(t, s)
		}
		keptOut(t, s)
	}
}

// keptOut checks that the server closes a connection at once. The close may be there before the
// dialler has looked at its connection, and is then an error of the dialling.
func keptOut(t *testing.T, s *server) {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return
	}
	check(t, err)
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(nc); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s and a connection too many: %x %v", s.name, b, err)
	}
}

// fate says what a server answers and after how many seconds, roughly, it closes the connection.
func fate(t *testing.T, s *server, b []byte) string {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	check(t, err)
	defer nc.Close()
	_, err = nc.Write(b)
	check(t, err)
	began := time.Now()
	_ = nc.SetReadDeadline(began.Add(25 * time.Second))
	reply, err := io.ReadAll(nc)
	end := "closed"
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		end = "left open"
	}
	late := time.Since(began) > 5*time.Second
	return fmt.Sprintf("%x %s late=%v", reply, end, late)
}
