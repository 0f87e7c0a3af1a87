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
