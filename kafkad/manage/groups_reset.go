package manage

import (
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"zkafka/kafkad/tool"
)

// plan is where the offsets of a group are to be moved.
type plan map[partition]int64

func (pl plan) sorted() []partition {
	return slices.SortedFunc(maps.Keys(pl), comparePartitions)
}

func (c *groupCommand) reset(ctx context.Context) error {
	names, err := c.names(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(resetScenarios, c.p.Has) {
		return tool.UsageError("Option '[reset-offsets]' requires one of the following scenarios: [" +
			strings.Join(resetScenarios, "], [") + "]")
	}
	described, err := c.adm.DescribeGroups(ctx, names...)
	if err != nil && len(described) == 0 {
		return err
	}
	plans := map[string]plan{}
	for _, d := range described.Sorted() {
		if d.Err != nil {
			return d.Err
		}
		if d.State != "Empty" && d.State != "Dead" {
			printError(c.env, fmt.Sprintf("Assignments can only be reset if the group '%s' is"+
				" inactive, but the current state is %s.", d.Group, d.State))
			continue
		}
		pl, err := c.planFor(ctx, d.Group)
		if err != nil {
			return err
		}
		if c.p.Has("execute") {
			if err := c.adm.CommitAllOffsets(ctx, d.Group, pl.offsets()); err != nil {
				return err
			}
		}
		plans[d.Group] = pl
	}
	c.printPlans(plans)
	return nil
}

func (pl plan) offsets() kadm.Offsets {
	out := kadm.Offsets{}
	for p, at := range pl {
		out.AddOffset(p.topic, p.index, at, -1)
	}
	return out
}

func (c *groupCommand) printPlans(plans map[string]plan) {
	names := slices.Sorted(maps.Keys(plans))
	if c.p.Has("export") {
		for _, name := range names {
			prefix := ""
			if len(c.p.All("group")) != 1 {
				prefix = name + ","
			}
			for _, p := range plans[name].sorted() {
				fmt.Fprintf(c.env.Out, "%s%s,%d,%d\n", prefix, p.topic, p.index, plans[name][p])
			}
		}
		fmt.Fprintln(c.env.Out)
		return
	}
	if len(plans) == 0 {
		return
	}
	fmt.Fprintf(c.env.Out, "\n%-30s %-30s %-10s %-15s\n", "GROUP", "TOPIC", "PARTITION",
		"NEW-OFFSET")
	for _, name := range names {
		for _, p := range plans[name].sorted() {
			fmt.Fprintf(c.env.Out, "%-30s %-30s %-10d %-15d\n", name, p.topic, p.index,
				plans[name][p])
		}
	}
}

// scope returns the partitions to reset: those named, or all that the group has offsets of.
func (c *groupCommand) scope(ctx context.Context, group string) ([]partition, error) {
	switch {
	case c.p.Has("all-topics"):
		committed, err := c.committed(ctx, group)
		return plan(committed).sorted(), err
	case c.p.Has("topic"):
		return c.namedPartitions(ctx)
	case c.p.Has("from-file"):
		return nil, nil
	}
	return nil, tool.UsageError("One of the reset scopes should be defined: --all-topics, --topic.")
}

// namedPartitions reads --topic: "t" for all partitions, "t:0,1" for some.
func (c *groupCommand) namedPartitions(ctx context.Context) ([]partition, error) {
	var out []partition
	for _, s := range c.p.All("topic") {
		topic, list, some := strings.Cut(s, ":")
		if some {
			for _, f := range strings.Split(list, ",") {
				n, err := strconv.ParseInt(f, 10, 32)
				if err != nil {
					return nil, tool.UsageError("Partition " + f + " of " + topic + " is not a number")
				}
				out = append(out, partition{topic, int32(n)})
			}
			continue
		}
		details, err := c.adm.ListTopics(ctx, topic)
		if err != nil {
			return nil, err
		}
		if err := details[topic].Err; err != nil {
			return nil, err
		}
		for _, d := range details[topic].Partitions.Sorted() {
			out = append(out, partition{topic, d.Partition})
		}
	}
	return out, nil
}

// planFor computes the new offsets by the scenario that was asked for.
func (c *groupCommand) planFor(ctx context.Context, group string) (plan, error) {
	scope, err := c.scope(ctx, group)
	if err != nil {
		return nil, err
	}
	if c.p.Has("from-file") {
		return c.planFromFile(ctx, group)
	}
	topics := map[string]bool{}
	for _, p := range scope {
		topics[p.topic] = true
	}
	list := c.adm.ListEndOffsets
	switch {
	case c.p.Has("to-earliest"):
		list = c.adm.ListStartOffsets
	case c.p.Has("to-datetime"), c.p.Has("by-duration"):
		at, err := c.moment(time.Now())
		if err != nil {
			return nil, err
		}
		list = func(ctx context.Context, names ...string) (kadm.ListedOffsets, error) {
			return c.adm.ListOffsetsAfterMilli(ctx, at.UnixMilli(), names...)
		}
	}
	listed, err := c.offsetsOf(ctx, topics, list)
	if err != nil {
		return nil, err
	}
	committed, err := c.committed(ctx, group)
	if err != nil {
		return nil, err
	}
	out := plan{}
	for _, p := range scope {
		at, known := listed[p]
		if !known {
			return nil, fmt.Errorf("Error getting offset of topic partition: %s-%d", p.topic,
				p.index)
		}
		current, has := committed[p]
		switch {
		case c.p.Has("to-offset"):
			at = c.p.Number("to-offset")
		case c.p.Has("shift-by") && !has:
			return nil, tool.UsageError(fmt.Sprintf("Cannot shift offset for partition %s-%d since"+
				" there is no current committed offset", p.topic, p.index))
		case c.p.Has("shift-by"):
			at = current + c.p.Number("shift-by")
		case c.p.Has("to-current") && has:
			at = current
		}
		out[p] = at
	}
	if c.p.Has("to-offset") || c.p.Has("shift-by") {
		return c.clamp(ctx, out)
	}
	return out, nil
}

// clamp moves offsets outside the log to its ends.
func (c *groupCommand) clamp(ctx context.Context, pl plan) (plan, error) {
	topics := map[string]bool{}
	for p := range pl {
		topics[p.topic] = true
	}
	start, err := c.offsetsOf(ctx, topics, c.adm.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	end, err := c.offsetsOf(ctx, topics, c.adm.ListEndOffsets)
	if err != nil {
		return nil, err
	}
	for _, p := range pl.sorted() {
		if last, ok := end[p]; ok && pl[p] > last {
			fmt.Fprintf(c.env.Err, "WARN New offset (%d) is higher than latest offset for topic"+
				" partition %s-%d. Value will be set to %d\n", pl[p], p.topic, p.index, last)
			pl[p] = last
		} else if first, ok := start[p]; ok && pl[p] < first {
			fmt.Fprintf(c.env.Err, "WARN New offset (%d) is lower than earliest offset for topic"+
				" partition %s-%d. Value will be set to %d\n", pl[p], p.topic, p.index, first)
			pl[p] = first
		}
	}
	return pl, nil
}

// planFromFile reads CSV lines "topic,partition,offset", or with the group in front.
func (c *groupCommand) planFromFile(ctx context.Context, group string) (plan, error) {
	f, err := os.Open(c.p.Value("from-file"))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	lines, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read reset plan: %w", err)
	}
	out := plan{}
	for i, l := range lines {
		if len(l) == 4 {
			if l[0] != group {
				continue
			}
			l = l[1:]
		}
		if len(l) != 3 {
			return nil, fmt.Errorf("reset plan, line %d: topic,partition,offset is needed", i+1)
		}
		index, err1 := strconv.ParseInt(l[1], 10, 32)
		at, err2 := strconv.ParseInt(l[2], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("reset plan, line %d: not a number", i+1)
		}
		out[partition{l[0], int32(index)}] = at
	}
	if len(out) == 0 {
		printError(c.env, "No reset plan for group "+group+" found")
		return out, nil
	}
	return c.clamp(ctx, out)
}

var isoDuration = regexp.MustCompile(
	`^([-+]?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)

// moment is the point in time that --to-datetime or --by-duration means.
func (c *groupCommand) moment(now time.Time) (time.Time, error) {
	if c.p.Has("by-duration") {
		m := isoDuration.FindStringSubmatch(strings.ToUpper(c.p.Value("by-duration")))
		if m == nil {
			return now, tool.UsageError("Text cannot be parsed to a Duration")
		}
		var d time.Duration
		for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
			v, _ := strconv.ParseFloat("0"+m[i+2], 64) // the pattern lets only numbers pass
			d += time.Duration(v * float64(unit))
		}
		if m[1] == "-" {
			d = -d
		}
		return now.Add(-d), nil
	}
	text := c.p.Value("to-datetime")
	for _, layout := range []string{
		"2006-01-02T15:04:05.000Z07:00", "2006-01-02T15:04:05.000", "2006-01-02T15:04:05.000Z0700",
		"2006-01-02T15:04:05.000Z07",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return now, tool.UpstreamError(`Unparseable date: "%s"`, text)
}

func (c *groupCommand) removeOffsets(ctx context.Context) error {
	group := c.p.Value("group")
	parts, err := c.namedPartitions(ctx)
	if err != nil {
		return err
	}
	set := kadm.TopicsSet{}
	for _, p := range parts {
		set.Add(p.topic, p.index)
	}
	results, err := c.adm.DeleteOffsets(ctx, group, set)
	switch {
	case err != nil:
		printError(c.env, deleteOffsetsError(group, err))
	case slices.ContainsFunc(parts, func(p partition) bool {
		e, _ := results.Lookup(p.topic, p.index)
		return e != nil
	}):
		printError(c.env, "Encounter some partition level error, see the follow-up details:")
	default:
		fmt.Fprintf(c.env.Out, "Request succeed for deleting offsets with topic %s group %s\n",
			strings.Join(c.p.All("topic"), ", "), group)
	}
	fmt.Fprintf(c.env.Out, "\n%-30s %-15s %-15s\n", "TOPIC", "PARTITION", "STATUS")
	for _, p := range parts {
		status := "Successful"
		partErr, _ := results.Lookup(p.topic, p.index)
		if partErr == nil {
			partErr = err
		}
		if partErr != nil {
			status = "Error: :" + partErr.Error()
		}
		fmt.Fprintf(c.env.Out, "%-30s %-15d %-15s\n", p.topic, p.index, status)
	}
	return nil
}

func deleteOffsetsError(group string, err error) string {
	switch text := err.Error(); {
	case strings.HasPrefix(text, "INVALID_GROUP_ID"):
		return "'" + group + "' is not valid."
	case strings.HasPrefix(text, "GROUP_ID_NOT_FOUND"):
		return "'" + group + "' does not exist."
	case strings.HasPrefix(text, "GROUP_AUTHORIZATION_FAILED"):
		return "Access to '" + group + "' is not authorized."
	case strings.HasPrefix(text, "NON_EMPTY_GROUP"):
		return "Deleting offsets of a consumer group '" + group + "' is forbidden if the group is" +
			" not empty."
	default:
		return "Encounter some unknown error: " + text
	}
}
