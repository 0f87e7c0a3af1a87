package manage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"zkafka/kafkad/tool"
)

var groupOptions = []tool.Option{
	tool.Text("bootstrap-server", "server to connect to", "REQUIRED: The server(s) to connect to."),
	tool.Text("group", "consumer group", "The consumer group we wish to act on."),
	tool.Text("topic", "topic", "The topic whose offsets should be reset or deleted. Partitions can"+
		" be given as `topic1:0,1,2`. May be repeated."),
	tool.Flag("all-topics", "Consider all topics assigned to a group in the `reset-offsets`"+
		" process."),
	tool.Flag("list", "List all consumer groups."),
	tool.Flag("describe", "Describe consumer group and list offset lag (number of messages not yet"+
		" processed) related to given group."),
	tool.Flag("all-groups", "Apply to all consumer groups."),
	tool.Flag("delete", "Pass in groups to delete topic partition offsets and ownership information"+
		" over the entire consumer group. For instance --group g1 --group g2"),
	tool.Number("timeout", "Long: timeout (ms)", "The timeout that can be set for some use cases,"+
		" in milliseconds.").WithDefault("5000"),
	tool.Text("command-config", "command config property file", "Property file with the client's"+
		" configuration."),
	tool.Flag("reset-offsets", "Reset offsets of consumer group. Shows the plan (--dry-run, the"+
		" default) or carries it out (--execute); --export prints CSV."),
	tool.Flag("delete-offsets", "Delete offsets of consumer group. Supports one consumer group at"+
		" the time, and multiple topics."),
	tool.Flag("dry-run", "Only show results without executing changes. Supported operations:"+
		" reset-offsets."),
	tool.Flag("execute", "Execute operation. Supported operations: reset-offsets."),
	tool.Flag("export", "Export operation execution to a CSV file. Supported operations:"+
		" reset-offsets."),
	tool.Number("to-offset", "Long: offset", "Reset offsets to a specific offset."),
	tool.Text("from-file", "path to CSV file", "Reset offsets to values defined in CSV file."),
	tool.Text("to-datetime", "datetime", "Reset offsets to offset from datetime. Format:"+
		" 'YYYY-MM-DDTHH:mm:SS.sss'"),
	tool.Text("by-duration", "duration", "Reset offsets to offset by duration from current"+
		" timestamp. Format: 'PnDTnHnMnS'"),
	tool.Flag("to-earliest", "Reset offsets to earliest offset."),
	tool.Flag("to-latest", "Reset offsets to latest offset."),
	tool.Flag("to-current", "Reset offsets to current offset."),
	tool.Number("shift-by", "Long: number-of-offsets", "Reset offsets shifting current offset by"+
		" 'n', where 'n' can be positive or negative."),
	{Name: "members", Needs: []string{"describe"}, Help: "Describe members of the group."},
	{Name: "verbose", Needs: []string{"describe"}, Help: "Provide additional information, if" +
		" any, when describing the group."},
	{Name: "offsets", Needs: []string{"describe"}, Help: "Describe the group and list all topic" +
		" partitions in the group along with their offset lag. This is the default."},
	{Name: "state", Argument: tool.Optional, Describes: "String", Needs: []string{"describe", "list"},
		Help: "With '--describe', shows the state of the group. With '--list', shows the state" +
			" of all groups, or lists groups with specific states: --state stable,empty"},
	{Name: "type", Argument: tool.Optional, Describes: "String", Needs: []string{"list"},
		Help: "With '--list', shows the types of all groups, or lists groups with specific" +
			" types: --type classic,consumer"},
	tool.Flag("new-consumer", "Accepted for scripts of Kafka 1.0; it is what happens anyway."),
}

// ConsumerGroups is kafka-consumer-groups.
func ConsumerGroups() *tool.Tool {
	t := &tool.Tool{
		Name: "kafka-consumer-groups",
		Summary: "This tool helps to list all consumer groups, describe a consumer group, delete" +
			" consumer group info, or reset consumer group offsets.",
		Options: groupOptions,
	}
	t.Main = func(ctx context.Context, env tool.Env, p *tool.Parsed) int {
		err := checkGroups(env, p)
		if err == nil {
			err = runGroups(ctx, env, p)
		}
		var u tool.UsageError
		switch {
		case err == nil:
			return 0
		case errors.As(err, &u):
			return t.Usage(env, string(u))
		}
		var shards *kadm.ShardErrors
		if errors.As(err, &shards) && len(shards.Errs) > 0 {
			err = shards.Errs[0].Err // one is enough, in its own words
		}
		printError(env, "Executing consumer group command failed due to "+err.Error())
		return tool.ExitFailed
	}
	return t
}

// printError writes an error as upstream's tool does: to standard output.
func printError(env tool.Env, message string) { fmt.Fprintf(env.Out, "\nError: %s\n", message) }

var resetScenarios = []string{"to-offset", "shift-by", "to-datetime", "by-duration",
	"to-earliest", "to-latest", "to-current", "from-file"}

func checkGroups(env tool.Env, p *tool.Parsed) error {
	if err := p.Missing("bootstrap-server"); err != nil {
		return err
	}
	actions := 0
	for _, a := range []string{"list", "describe", "delete", "reset-offsets", "delete-offsets"} {
		if p.Has(a) {
			actions++
		}
	}
	grouped := p.Has("group") || p.Has("all-groups")
	views := 0
	for _, v := range []string{"members", "offsets", "state"} {
		if p.Has(v) {
			views++
		}
	}
	switch {
	case p.Has("describe") && !grouped:
		return tool.UsageError("Option [describe] takes one of these options: [group], [all-groups]")
	case p.Has("describe") && views > 1:
		return tool.UsageError("Option [describe] takes at most one of these options: [members]," +
			" [offsets], [state]")
	case p.Has("describe") && len(p.All("state")) > 0:
		return tool.UsageError("Option [describe] does not take a value for [state]")
	case p.Has("delete") && !grouped:
		return tool.UsageError("Option [delete] takes one of these options: [group], [all-groups]")
	case p.Has("delete") && p.Has("topic"):
		return tool.UsageError("The consumer does not support topic-specific offset deletion from a" +
			" consumer group.")
	case p.Has("delete-offsets") && (!p.Has("group") || !p.Has("topic")):
		return tool.UsageError("Option [delete-offsets] takes the following options: [group], [topic]")
	case p.Has("reset-offsets") && p.Has("dry-run") && p.Has("execute"):
		return tool.UsageError("Option [reset-offsets] only accepts one of [execute] and [dry-run]")
	case p.Has("reset-offsets") && !grouped:
		return tool.UsageError("Option [reset-offsets] takes one of these options: [group]," +
			" [all-groups]")
	case actions != 1:
		return tool.UsageError("Command must include exactly one action: --list, --describe," +
			" --delete, --reset-offsets, --delete-offsets")
	}
	if p.Has("reset-offsets") && !p.Has("dry-run") && !p.Has("execute") {
		fmt.Fprintln(env.Err, "WARN: No action will be performed as the --execute option is"+
			" missing. Add the --dry-run option explicitly if that is what you want.")
	}
	return checkGroupCombinations(p)
}

func checkGroupCombinations(p *tool.Parsed) error {
	for _, s := range resetScenarios {
		others := slices.DeleteFunc(slices.Clone(resetScenarios), func(o string) bool {
			return o == s
		})
		if err := p.Excludes(s, others...); err != nil {
			return err
		}
	}
	if err := p.Excludes("group", "all-groups", "list"); err != nil {
		return err
	}
	return p.Excludes("topic", "list", "describe")
}

// groupCommand is one run of the tool.
type groupCommand struct {
	env tool.Env
	p   *tool.Parsed
	adm *kadm.Client
}

func runGroups(ctx context.Context, env tool.Env, p *tool.Parsed) error {
	a, err := newAdmin(env, p)
	if err != nil {
		return err
	}
	defer a.Close()
	// The timeout is that of one call; a run makes a handful of them.
	ctx, cancel := context.WithTimeout(ctx, 6*time.Duration(p.Number("timeout"))*time.Millisecond)
	defer cancel()
	c := &groupCommand{env: env, p: p, adm: kadm.NewClient(a.Client)}
	if err := c.awaitCoordinators(ctx, p.All("group")); err != nil {
		return err
	}
	switch {
	case p.Has("list"):
		return c.list(ctx)
	case p.Has("describe"):
		return c.describe(ctx)
	case p.Has("delete"):
		return c.remove(ctx)
	case p.Has("reset-offsets"):
		return c.reset(ctx)
	}
	return c.removeOffsets(ctx)
}

// awaitCoordinators waits until every group has a coordinator, as upstream's client does. The first
// question makes a young cluster create the topic that groups live in.
func (c *groupCommand) awaitCoordinators(ctx context.Context, groups []string) error {
	if len(groups) == 0 {
		return nil
	}
	return untilSettled(ctx, func(ctx context.Context) error {
		return c.adm.FindGroupCoordinators(ctx, groups...).Error()
	})
}

var groupStates = []string{"PreparingRebalance", "CompletingRebalance", "Stable", "Dead",
	"Empty", "Assigning", "Reconciling"}

// groups returns the consumer groups of the cluster in order of their ids.
func (c *groupCommand) groups(
	ctx context.Context, states, types []string,
) ([]kadm.ListedGroup, error) {
	listed, err := c.adm.ListGroupsByType(ctx, types, states...)
	if err != nil {
		return nil, err
	}
	var out []kadm.ListedGroup
	for _, g := range listed.Sorted() {
		if g.ProtocolType == "consumer" || g.ProtocolType == "" {
			out = append(out, g)
		}
	}
	return out, nil
}

// names lists the groups to act on.
func (c *groupCommand) names(ctx context.Context) ([]string, error) {
	if !c.p.Has("all-groups") {
		return c.p.All("group"), nil
	}
	listed, err := c.groups(ctx, nil, nil)
	var out []string
	for _, g := range listed {
		out = append(out, g.Group)
	}
	return out, err
}

func (c *groupCommand) list(ctx context.Context) error {
	states, err := chosenFrom(c.p.Value("state"), groupStates, "Invalid state list '%s'."+
		" Valid states are: %s")
	if err != nil {
		return err
	}
	types, err := chosenFrom(c.p.Value("type"), []string{"Consumer", "Classic"}, "Invalid types"+
		" list '%s'. Valid types are: %s")
	if err != nil {
		return err
	}
	listed, err := c.groups(ctx, states, types)
	if err != nil {
		return err
	}
	if !c.p.Has("state") && !c.p.Has("type") {
		for _, g := range listed {
			fmt.Fprintln(c.env.Out, g.Group)
		}
		return nil
	}
	rows := [][]string{{"GROUP"}}
	if c.p.Has("type") {
		rows[0] = append(rows[0], "TYPE")
	}
	if c.p.Has("state") {
		rows[0] = append(rows[0], "STATE")
	}
	width := 15
	for _, g := range listed {
		width = max(width, len(g.Group))
		row := []string{g.Group}
		if c.p.Has("type") {
			row = append(row, "Classic")
		}
		if c.p.Has("state") {
			row = append(row, g.State)
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		fmt.Fprintf(c.env.Out, "%-*s", width+10, row[0])
		for _, cell := range row[1:] {
			fmt.Fprintf(c.env.Out, " %-20s", cell)
		}
		fmt.Fprintln(c.env.Out)
	}
	return nil
}

// chosenFrom reads a comma-separated list of names in any case.
func chosenFrom(list string, valid []string, message string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	var out []string
	for _, s := range strings.Split(list, ",") {
		i := slices.IndexFunc(valid, func(v string) bool {
			return strings.EqualFold(v, strings.TrimSpace(s))
		})
		if i < 0 {
			return nil, tool.UsageError(fmt.Sprintf(message, list, strings.Join(valid, ", ")))
		}
		out = append(out, valid[i])
	}
	return out, nil
}

func (c *groupCommand) remove(ctx context.Context) error {
	names, err := c.names(ctx)
	if err != nil {
		return err
	}
	results, err := c.adm.DeleteGroups(ctx, names...)
	if err != nil && len(results) == 0 {
		return err
	}
	var deleted, failed []string
	for _, name := range names {
		r, ok := results[name]
		switch {
		case !ok:
			failed = append(failed, fmt.Sprintf("* Group '%s' could not be deleted due to: %v",
				name, err))
		case r.Err != nil:
			failed = append(failed, fmt.Sprintf("* Group '%s' could not be deleted due to: %v",
				name, r.Err))
		default:
			deleted = append(deleted, name)
		}
	}
	if len(failed) == 0 {
		fmt.Fprintf(c.env.Out, "Deletion of requested consumer groups ('%s') was successful.\n",
			strings.Join(deleted, "', '"))
		return nil
	}
	printError(c.env, "Deletion of some consumer groups failed:")
	fmt.Fprintln(c.env.Out, strings.Join(failed, "\n"))
	if len(deleted) > 0 {
		fmt.Fprintf(c.env.Out, "\nThese consumer groups were deleted successfully: '%s'\n",
			strings.Join(deleted, "', '"))
	}
	return nil
}
