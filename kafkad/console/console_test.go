package console

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
		{Producer(), "--topic t", "Missing required option(s) [bootstrap-server]"},
		{Producer(), "--bootstrap-server h:1", `Missing required argument "[topic]"`},
		{Producer(), "--bootstrap-server h:1 --topic t --line-reader x.Y",
			"line reader x.Y is not known to this tool"},
		{Consumer(), "--bootstrap-server h:1 --topic t --formatter x.Y",
			"formatter x.Y is not known to this tool"},
		{Consumer(), "--bootstrap-server h:1",
			"Exactly one of --include/--topic is required. "},
		{Consumer(), "--bootstrap-server h:1 --topic t --offset 3",
			"The partition is required when offset is specified."},
		{Consumer(), "--bootstrap-server h:1 --topic t --partition 0 --offset x",
			"The provided offset value 'x' is incorrect. Valid values are 'earliest', 'latest'," +
				" or a non-negative long."},
		{Consumer(), "--bootstrap-server h:1 --topic t --group a --consumer-property" +
			" group.id=b", "The group ids provided in different places (directly using" +
			" '--group', via '--consumer-property', or via '--consumer.config') do not match." +
			" Detected group ids: 'a', 'b'"},
		{Consumer(), "--bootstrap-server h:1 --topic t --group a --partition 0",
			"Options group and partition cannot be specified together."},
		{Consumer(), "--bootstrap-server h:1 --topic t --from-beginning" +
			" --consumer-property auto.offset.reset=latest", "Can't simultaneously specify" +
			" --from-beginning and 'auto.offset.reset=latest', please remove one option"},
		{VerifiableProducer(), "--topic t", `Missing required argument "[bootstrap-server]"`},
	} {
		code, _, errs := run(c.tool, strings.Fields(c.args)...)
		first, _, _ := strings.Cut(errs, "\n")
		if code != 1 || first != c.want {
			t.Errorf("%s %s: exit code %d\n got %q\nwant %q", c.tool.Name, c.args, code, first, c.want)
		}
	}
}

// pairs reads "key=value,key=value".
func pairs(t *testing.T, list string) map[string]string {
	t.Helper()
	props, err := tool.Properties("", strings.Split(list, ","))
	if err != nil {
		t.Fatal(err)
	}
	return props
}
