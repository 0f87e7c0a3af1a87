package metastore

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// The same administration as in the golden file's head leaves the same znodes, byte for byte.
// Only the order of keys in /config nodes is free: there a Kafka broker writes in hash order.
func TestInteropSameZnodesAsKafka(t *testing.T) {
	want := goldenTree(t)
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		b.create(t, NewTopic{Name: "t1", Partitions: 3, ReplicationFactor: 1},
			NewTopic{Name: "t3", Partitions: 2, ReplicationFactor: 1, Config: map[string]string{
				"cleanup.policy": "compact", "retention.ms": "86400000"}},
			NewTopic{Name: cluster.OffsetsTopic, Partitions: 3, ReplicationFactor: 1,
				Config: map[string]string{"compression.type": "producer",
					"cleanup.policy": "compact", "segment.bytes": "104857600"}})
		b.grown(t, NewPartitions{Name: "t1", Count: 5})
		b.grown(t, NewPartitions{Name: "t1", Count: 6, Assignment: [][]int32{{1}}})
		if _, _, err := b.AllocateProducerIDs(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := dial(t, connect)
		_, err := c.Set(t.Context(), "/config/topics/t3", znode.EncodeConfig(map[string]string{
			"cleanup.policy": "compact", "retention.ms": "5000"}), -1)
		if err != nil {
			t.Fatal(err)
		}
		oldTool(t, c, "old10", 2)
		b.awaitLeaders(t, []NewTopic{{Name: "old10", Partitions: 2}})
		got := dumpTree(t, c)
		compareTrees(t, got, want)
	})
}

func (b *broker) grown(t *testing.T, p NewPartitions) {
	t.Helper()
	r := b.CreatePartitions(t.Context(), []NewPartitions{p}, false)
	if r[0].failed() {
		t.Fatalf("growing %s: %v %s", p.Name, r[0].Err, r[0].Message)
	}
	b.awaitLeaders(t, []NewTopic{{Name: p.Name, Partitions: p.Count}})
}

// oldTool writes what kafka-topics of 1.0 writes for --create.
func oldTool(t *testing.T, c *client.Client, topic string, partitions int) {
	t.Helper()
	var list []string
	for p := range partitions {
		list = append(list, fmt.Sprintf(`"%d":[1]`, p))
	}
	for _, n := range [][2]string{
		{"/config/topics/" + topic, `{"version":1,"config":{}}`},
		{"/brokers/topics/" + topic,
			`{"version":1,"partitions":{` + strings.Join(list, ",") + `}}`},
	} {
		_, err := c.Create(t.Context(), n[0], []byte(n[1]), proto.OpenACL(), proto.ModePersistent)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func goldenTree(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/kafka-3.9.2.tree")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for l := range strings.Lines(string(b)) {
		if !strings.HasPrefix(l, "#") {
			lines = append(lines, strings.TrimSuffix(l, "\n"))
		}
	}
	return lines
}

var masks = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`"topic_id":"[^"]{22}"`), `"topic_id":"ID"`},
	{regexp.MustCompile(`"timestamp":"\d+"`), `"timestamp":"T"`},
	{regexp.MustCompile(`"version":"1","id":"[^"]{22}"`), `"version":"1","id":"ID"`},
}

func dumpTree(t *testing.T, c *client.Client) []string {
	t.Helper()
	paths, err := c.Subtree(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	var lines []string
	for _, p := range paths[1:] {
		data, stat, err := c.Get(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		acl, _, err := c.GetACL(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		text := "null"
		if data != nil {
			text = string(data)
		}
		for _, m := range masks {
			text = m.re.ReplaceAllString(text, m.to)
		}
		kind := "P"
		if stat.EphemeralOwner != 0 {
			kind = "E"
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %d version %d %s",
			p, kind, acl[0].ID.Scheme, acl[0].Perms, stat.Version, text))
	}
	return lines
}

func compareTrees(t *testing.T, got, want []string) {
	t.Helper()
	byPath := map[string]string{}
	for _, l := range got {
		byPath[strings.Fields(l)[0]] = l
	}
	for _, w := range want {
		path := strings.Fields(w)[0]
		g, ok := byPath[path]
		delete(byPath, path)
		switch {
		case !ok:
			t.Errorf("missing: %s", w)
		case g == w:
		case strings.HasPrefix(path, "/config/") && sameJSON(g, w):
		default:
			t.Errorf("got  %s\nwant %s", g, w)
		}
	}
	for _, l := range byPath {
		t.Errorf("unexpected: %s", l)
	}
}

// sameJSON compares lines of which everything before the data must be equal and the data as JSON.
func sameJSON(a, b string) bool {
	headA, dataA, okA := strings.Cut(a, "{")
	headB, dataB, okB := strings.Cut(b, "{")
	var x, y any
	return okA && okB && headA == headB && json.Unmarshal([]byte("{"+dataA), &x) == nil &&
		json.Unmarshal([]byte("{"+dataB), &y) == nil && reflect.DeepEqual(x, y)
}
