package manage

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"zkafka/kafkad/tool"
)

// The tables are what kafka-consumer-groups of 3.9.2 printed, but for the line end that it leaves
// out after the last row.
func TestGroupTables(t *testing.T) {
	id := "console-consumer-e0eb0fbe-bb86-4d30-94bd-d3b85df42d28"
	tp := func(n int32) partition { return partition{"my.topic", n} }
	g := &groupView{
		name: "gdyn", state: "Stable", protocol: "range", coordinator: "127.0.0.1:54469  (1)",
		members: []memberView{{id: id, host: "/127.0.0.1", client: "console-consumer",
			assigned: []partition{tp(0), tp(1)}}},
		committed: map[partition]int64{tp(0): 1, tp(2): 1},
		end:       map[partition]int64{tp(0): 4, tp(1): 2, tp(2): 1},
	}
	var b bytes.Buffer
	g.printOffsets(&b)
	want := `
GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID                                           HOST            CLIENT-ID
gdyn            my.topic        0          1               4               3               console-consumer-e0eb0fbe-bb86-4d30-94bd-d3b85df42d28 /127.0.0.1      console-consumer
gdyn            my.topic        1          -               2               -               console-consumer-e0eb0fbe-bb86-4d30-94bd-d3b85df42d28 /127.0.0.1      console-consumer
gdyn            my.topic        2          1               1               0               -                                                     -               -
`
	if b.String() != want {
		t.Errorf("offsets:\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	g.printSummary(&b)
	want = `
GROUP                     COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE           #MEMBERS
gdyn                      127.0.0.1:54469  (1)      range                Stable          1
`
	if b.String() != want {
		t.Errorf("state:\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	g.members[0].instance = "inst-1"
	g.members[0].id = "inst-1-2d1b05fe-0b7f-45df-bae0-1a0ef84b371c"
	g.members[0].assigned = append(g.members[0].assigned, tp(2))
	g.name = "gstatic"
	g.printMembers(&b, true)
	want = `
GROUP           CONSUMER-ID                                 GROUP-INSTANCE-ID HOST            CLIENT-ID        #PARTITIONS     ASSIGNMENT
gstatic         inst-1-2d1b05fe-0b7f-45df-bae0-1a0ef84b371c inst-1            /127.0.0.1      console-consumer 3               (0,1,2)
`
	if b.String() != want {
		t.Errorf("members:\n%s\nwant\n%s", b.String(), want)
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for args, want := range map[string]string{
		"--by-duration P1DT2H":                        "2026-01-01T01:04:05Z",
		"--by-duration PT0.5S":                        "2026-01-02T03:04:04.5Z",
		"--to-datetime 2026-01-02T00:00:00.000":       "2026-01-02T00:00:00Z",
		"--to-datetime 2026-01-02T02:00:00.000+02:00": "2026-01-02T00:00:00Z",
	} {
		p, err := tool.Parse(groupOptions, strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&groupCommand{p: p}).moment(now)
		if err != nil || got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v, %v; want %s", args, got.UTC(), err, want)
		}
	}
}
