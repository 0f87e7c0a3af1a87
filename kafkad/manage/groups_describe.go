package manage

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"zkafka/kafkad/tool"
)

const missing = "-" // stands for a value that is not known

// partition names a partition of a topic.
type partition struct {
	topic string
	index int32
}

func comparePartitions(a, b partition) int {
	return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.index, b.index))
}

// memberView is a group member as the tables show it.
type memberView struct {
	id, instance, host, client string
	assigned                   []partition
}

// groupView is a group as the tables show it. Unknown offsets are absent from the maps.
type groupView struct {
	name, state, protocol string
	coordinator           string
	members               []memberView
	committed, end        map[partition]int64
}

func (c *groupCommand) describe(ctx context.Context) error {
	names, err := c.names(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	described, err := c.adm.DescribeGroups(ctx, names...)
	if err != nil && len(described) == 0 {
		return err
	}
	for _, d := range described.Sorted() {
		if d.Err != nil {
			return d.Err
		}
		g := viewOf(&d)
		switch {
		case c.p.Has("members"):
			// Upstream prints the header of this table even if nothing follows.
			g.printState(c.env, len(g.members))
			g.printMembers(c.env.Out, c.p.Has("verbose"))
		case c.p.Has("state"):
			if g.printState(c.env, 1) {
				g.printSummary(c.env.Out)
			}
		default:
			if err := c.addOffsets(ctx, g); err != nil {
				return err
			}
			if g.printState(c.env, len(g.rows())) {
				g.printOffsets(c.env.Out)
			}
		}
	}
	return nil
}

func viewOf(d *kadm.DescribedGroup) *groupView {
	g := &groupView{
		name: d.Group, state: d.State, protocol: d.Protocol,
		coordinator: fmt.Sprintf("%s:%d  (%d)", d.Coordinator.Host, d.Coordinator.Port,
			d.Coordinator.NodeID),
		committed: map[partition]int64{}, end: map[partition]int64{},
	}
	for i := range d.Members {
		m := &d.Members[i]
		v := memberView{id: m.MemberID, host: m.ClientHost, client: m.ClientID}
		if m.InstanceID != nil {
			v.instance = *m.InstanceID
		}
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range a.Topics {
				for _, p := range t.Partitions {
					v.assigned = append(v.assigned, partition{t.Topic, p})
				}
			}
		}
		slices.SortFunc(v.assigned, comparePartitions)
		g.members = append(g.members, v)
	}
	// Members with most partitions come first.
	slices.SortStableFunc(g.members, func(a, b memberView) int {
		return len(b.assigned) - len(a.assigned)
	})
	return g
}

// addOffsets fills in what the group committed and where the partitions end.
func (c *groupCommand) addOffsets(ctx context.Context, g *groupView) error {
	if g.state == "Dead" {
		return nil
	}
	committed, err := c.committed(ctx, g.name)
	if err != nil {
		return err
	}
	g.committed = committed
	topics := map[string]bool{}
	for p := range committed {
		topics[p.topic] = true
	}
	for i := range g.members {
		for _, p := range g.members[i].assigned {
			topics[p.topic] = true
		}
	}
	g.end, err = c.offsetsOf(ctx, topics, c.adm.ListEndOffsets)
	return err
}

func (c *groupCommand) committed(ctx context.Context, group string) (map[partition]int64, error) {
	fetched, err := c.adm.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	out := map[partition]int64{}
	for topic, parts := range fetched {
		for index, o := range parts {
			if o.Err == nil && o.At >= 0 {
				out[partition{topic, index}] = o.At
			}
		}
	}
	return out, nil
}

// offsetsOf lists offsets of topics. Partitions that cannot tell are left out.
func (c *groupCommand) offsetsOf(
	ctx context.Context, topics map[string]bool,
	list func(context.Context, ...string) (kadm.ListedOffsets, error),
) (map[partition]int64, error) {
	out := map[partition]int64{}
	if len(topics) == 0 {
		return out, nil
	}
	var names []string
	for t := range topics {
		names = append(names, t)
	}
	slices.Sort(names)
	listed, err := list(ctx, names...)
	if err != nil && len(listed) == 0 {
		return nil, err
	}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			out[partition{o.Topic, o.Partition}] = o.Offset
		}
	})
	return out, nil
}

// printState says what is remarkable about the group's state; it reports whether a table with
// that many rows follows.
func (g *groupView) printState(env tool.Env, rows int) bool {
	switch g.state {
	case "Dead":
		printError(env, "Consumer group '"+g.name+"' does not exist.")
		return false
	case "Empty":
		fmt.Fprintf(env.Err, "\nConsumer group '%s' has no active members.\n", g.name)
	case "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling":
		fmt.Fprintf(env.Err, "\nWarning: Consumer group '%s' is rebalancing.\n", g.name)
	}
	return rows > 0
}

// rows are the cells of the offsets table: assigned partitions by member, then those that
// nobody reads.
func (g *groupView) rows() [][]string {
	var out [][]string
	owned := map[partition]bool{}
	row := func(p partition, m *memberView) {
		at, has := g.committed[p]
		end, hasEnd := g.end[p]
		offset, logEnd, lag := missing, missing, missing
		if has {
			offset = strconv.FormatInt(at, 10)
		}
		if hasEnd {
			logEnd = strconv.FormatInt(end, 10)
		}
		if has && hasEnd {
			lag = strconv.FormatInt(end-at, 10)
		}
		out = append(out, []string{g.name, p.topic, strconv.Itoa(int(p.index)), offset, logEnd,
			lag, m.id, m.host, m.client})
	}
	for i := range g.members {
		for _, p := range g.members[i].assigned {
			owned[p] = true
			row(p, &g.members[i])
		}
	}
	var rest []partition
	for p := range g.committed {
		if !owned[p] {
			rest = append(rest, p)
		}
	}
	slices.SortFunc(rest, comparePartitions)
	for _, p := range rest {
		row(p, &memberView{id: missing, host: missing, client: missing})
	}
	return out
}

var offsetColumns = []string{"GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET",
	"LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"}

// printOffsets writes the table that people read LAG from.
func (g *groupView) printOffsets(w io.Writer) {
	rows := g.rows()
	group, topic, id, host := 15, 15, 15, 15
	for _, r := range rows {
		group, topic = max(group, len(r[0])), max(topic, len(r[1]))
		id, host = max(id, len(r[6])), max(host, len(r[7]))
	}
	fmt.Fprintln(w)
	for _, r := range append([][]string{offsetColumns}, rows...) {
		fmt.Fprintf(w, "%-*s %-*s %-10s %-15s %-15s %-15s %-*s %-*s %s\n", group, r[0], topic, r[1],
			r[2], r[3], r[4], r[5], id, r[6], host, r[7], r[8])
	}
}

func (g *groupView) printMembers(w io.Writer, verbose bool) {
	group, id, instance, host, client := 15, 15, 17, 15, 15
	static := false
	for i := range g.members {
		m := &g.members[i]
		group, id = max(group, len(g.name)), max(id, len(m.id))
		instance, host = max(instance, len(m.instance)), max(host, len(m.host))
		client = max(client, len(m.client))
		static = static || m.instance != ""
	}
	line := func(group0, id0, instance0, host0, client0, n string) {
		fmt.Fprintf(w, "%-*s %-*s ", group, group0, id, id0)
		if static {
			fmt.Fprintf(w, "%-*s ", instance, instance0)
		}
		fmt.Fprintf(w, "%-*s %-*s %-15s ", host, host0, client, client0, n)
	}
	fmt.Fprintln(w)
	line("GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS")
	if verbose {
		fmt.Fprint(w, "ASSIGNMENT")
	}
	fmt.Fprintln(w)
	for i := range g.members {
		m := &g.members[i]
		line(g.name, m.id, m.instance, m.host, m.client, strconv.Itoa(len(m.assigned)))
		if verbose {
			fmt.Fprint(w, assignmentText(m.assigned))
		}
		fmt.Fprintln(w)
	}
}

// assignmentText is "(0,1), (2)": upstream 3.9 prints partitions by topic without the names.
func assignmentText(assigned []partition) string {
	if len(assigned) == 0 {
		return missing
	}
	byTopic := map[string][]string{}
	for _, p := range assigned {
		byTopic[p.topic] = append(byTopic[p.topic], strconv.Itoa(int(p.index)))
	}
	var parts []string
	for _, indexes := range byTopic {
		slices.Sort(indexes) // as text, like upstream
		parts = append(parts, "("+strings.Join(indexes, ",")+")")
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func (g *groupView) printSummary(w io.Writer) {
	width := max(25, len(g.coordinator))
	row := func(group, coordinator, strategy, state, members string) {
		fmt.Fprintf(w, "%-*s %-25s %-20s %-15s %s\n", width, group, coordinator, strategy, state,
			members)
	}
	fmt.Fprintln(w)
	row("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS")
	row(g.name, g.coordinator, g.protocol, g.state, strconv.Itoa(len(g.members)))
}
