package manage

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"zkafka/kafkad/tool"
)

// run runs a tool as far as it goes without a server.
func run(t *tool.Tool, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = t.Run(context.Background(), tool.Env{In: strings.NewReader(""), Out: &o, Err: &e}, args)
	return code, o.String(), e.String()
}

// The texts and exit codes are those that the tools of Kafka 3.9.2 gave.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		tool *tool.Tool
		args string
		want string // first line of the error output
	}{
		{Topics(), "", "This tool helps to create, delete, describe, or change a topic."},
		{Topics(), "--list", "--bootstrap-server must be specified"},
		{Topics(), "--bootstrap-server h:1 --create", `Missing required argument "[topic]"`},
		{Topics(), "--bootstrap-server h:1 --create --list", "Command must include exactly one" +
			" action: --list, --describe, --create, --alter or --delete"},
		{Topics(), "--bootstrap-server h:1 --create --topic x --bogus",
			"bogus is not a recognized option"},
		{Topics(), "--zookeeper h:1 --create --topic x", `Missing required argument "[partitions]"`},
		{Topics(), "--bootstrap-server h:1 --list --partitions 3",
			`Option "[partitions]" can't be used with option "[list]"`},
		{Topics(), "--bootstrap-server h:1 --create --topic t --replica-assignment 1 --partitions 3",
			`Option "[replica-assignment]" can't be used with option "[partitions]"`},
		{ConsumerGroups(), "--list", `Missing required argument "[bootstrap-server]"`},
		{ConsumerGroups(), "--bootstrap-server h:1 --list --state bogus", "Invalid state list" +
			" 'bogus'. Valid states are: PreparingRebalance, CompletingRebalance, Stable, Dead," +
			" Empty, Assigning, Reconciling"},
		{ConsumerGroups(), "--bootstrap-server h:1 --describe --group g --members --state",
			"Option [describe] takes at most one of these options: [members], [offsets], [state]"},
		{BrokerApiVersions(), "--command-config x",
			`Missing required argument "[bootstrap-server]"`},
	} {
		code, _, errs := run(c.tool, strings.Fields(c.args)...)
		first, _, _ := strings.Cut(errs, "\n")
		if code != 1 || first != c.want {
			t.Errorf("%s %s: exit code %d\n got %q\nwant %q", c.tool.Name, c.args, code, first, c.want)
		}
	}
	if code, out, _ := run(Topics(), "--version"); code != 0 || out != tool.Version+"\n" {
		t.Errorf("--version: %d %q", code, out)
	}
}

// cancelOn ends a context when a text has been written.
type cancelOn struct {
	bytes.Buffer
	text   string
	cancel func()
}

func (c *cancelOn) Write(b []byte) (int, error) {
	n, err := c.Buffer.Write(b)
	if strings.Contains(c.String(), c.text) {
		c.cancel()
	}
	return n, err
}

// Nobody waits half a minute for ZooKeeper without knowing why.
func TestZooKeeperOutOfReach(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := &cancelOn{text: "connection refused; trying for 30s\n", cancel: cancel}
	var out bytes.Buffer
	code := Topics().Run(ctx, tool.Env{In: strings.NewReader(""), Out: &out, Err: errs},
		[]string{"--zookeeper", "127.0.0.1:1", "--list"})
	if code != 1 || !strings.HasPrefix(errs.String(), "WARN cannot connect to 127.0.0.1:1: ") ||
		!strings.Contains(out.String(), "Timed out waiting for connection to 127.0.0.1:1: cannot") {
		t.Errorf("exit code %d\n%s%s", code, errs.String(), out.String())
	}
}
