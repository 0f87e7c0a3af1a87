package manage

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/tool"
)

var apiVersionOptions = []tool.Option{
	tool.Text("bootstrap-server", "server(s) to use for bootstrapping", "REQUIRED: The server to"+
		" connect to."),
	tool.Text("command-config", "command config property file", "A property file containing configs"+
		" to be passed to Admin Client."),
}

// BrokerApiVersions is kafka-broker-api-versions.
func BrokerApiVersions() *tool.Tool {
	t := &tool.Tool{
		Name:    "kafka-broker-api-versions",
		Summary: "This tool helps to retrieve broker version information.",
		Options: apiVersionOptions,
	}
	t.Main = func(ctx context.Context, env tool.Env, p *tool.Parsed) int {
		if err := p.Missing("bootstrap-server"); err != nil {
			return t.Usage(env, err.Error())
		}
		if err := printAPIVersions(ctx, env, p); err != nil {
			return t.Fail(env, err)
		}
		return 0
	}
	return t
}

// clientAPI is an API that a client of 3.9 knows, with the highest version it can use.
type clientAPI struct {
	key  int16
	name string
	max  int16
}

var clientAPIs = []clientAPI{
	{0, "Produce", 11}, {1, "Fetch", 17}, {2, "ListOffsets", 9}, {3, "Metadata", 12},
	{4, "LeaderAndIsr", 7}, {5, "StopReplica", 4}, {6, "UpdateMetadata", 8},
	{7, "ControlledShutdown", 3}, {8, "OffsetCommit", 9}, {9, "OffsetFetch", 9},
	{10, "FindCoordinator", 6}, {11, "JoinGroup", 9}, {12, "Heartbeat", 4}, {13, "LeaveGroup", 5},
	{14, "SyncGroup", 5}, {15, "DescribeGroups", 5}, {16, "ListGroups", 5},
	{17, "SaslHandshake", 1}, {18, "ApiVersions", 4}, {19, "CreateTopics", 7},
	{20, "DeleteTopics", 6}, {21, "DeleteRecords", 2}, {22, "InitProducerId", 5},
	{23, "OffsetForLeaderEpoch", 4}, {24, "AddPartitionsToTxn", 5}, {25, "AddOffsetsToTxn", 4},
	{26, "EndTxn", 4}, {27, "WriteTxnMarkers", 1}, {28, "TxnOffsetCommit", 4},
	{29, "DescribeAcls", 3}, {30, "CreateAcls", 3}, {31, "DeleteAcls", 3},
	{32, "DescribeConfigs", 4}, {33, "AlterConfigs", 2}, {34, "AlterReplicaLogDirs", 2},
	{35, "DescribeLogDirs", 4}, {36, "SaslAuthenticate", 2}, {37, "CreatePartitions", 3},
	{38, "CreateDelegationToken", 3}, {39, "RenewDelegationToken", 2},
	{40, "ExpireDelegationToken", 2}, {41, "DescribeDelegationToken", 3}, {42, "DeleteGroups", 2},
	{43, "ElectLeaders", 2}, {44, "IncrementalAlterConfigs", 1},
	{45, "AlterPartitionReassignments", 0}, {46, "ListPartitionReassignments", 0},
	{47, "OffsetDelete", 0}, {48, "DescribeClientQuotas", 1}, {49, "AlterClientQuotas", 1},
	{50, "DescribeUserScramCredentials", 0}, {51, "AlterUserScramCredentials", 0},
	{55, "DescribeQuorum", 0}, {56, "AlterPartition", 3}, {57, "UpdateFeatures", 1},
	{58, "Envelope", 0}, {60, "DescribeCluster", 1}, {61, "DescribeProducers", 0},
	{64, "UnregisterBroker", 0}, {65, "DescribeTransactions", 0}, {66, "ListTransactions", 1},
	{67, "AllocateProducerIds", 0}, {68, "ConsumerGroupHeartbeat", 0},
	{69, "ConsumerGroupDescribe", 0}, {71, "GetTelemetrySubscriptions", 0},
	{72, "PushTelemetry", 0}, {74, "ListClientMetricsResources", 0},
	{75, "DescribeTopicPartitions", 0}, {76, "ShareGroupHeartbeat", 0},
	{77, "ShareGroupDescribe", 0}, {78, "ShareFetch", 0}, {79, "ShareAcknowledge", 0},
	{80, "AddRaftVoter", 0}, {81, "RemoveRaftVoter", 0}, {83, "InitializeShareGroupState", 0},
	{84, "ReadShareGroupState", 0}, {85, "WriteShareGroupState", 0},
	{86, "DeleteShareGroupState", 0}, {87, "ReadShareGroupStateSummary", 0},
}

// apiVersionsTimeout bounds the wait for one broker.
const apiVersionsTimeout = 30 * time.Second

func printAPIVersions(ctx context.Context, env tool.Env, p *tool.Parsed) error {
	w := env.Out
	a, err := newAdmin(env, p)
	if err != nil {
		return err
	}
	defer a.Close()
	m, err := a.metadata(ctx, []string{})
	if err != nil {
		return err
	}
	slices.SortFunc(m.Brokers, func(x, y kmsg.MetadataResponseBroker) int {
		return int(x.NodeID - y.NodeID)
	})
	for i := range m.Brokers {
		b := &m.Brokers[i]
		rack := "null"
		if b.Rack != nil {
			rack = *b.Rack
		}
		who := fmt.Sprintf("%s:%d (id: %d rack: %s)", b.Host, b.Port, b.NodeID, rack)
		versions, err := apiVersionsOf(ctx, a.Client, b.NodeID)
		if err != nil {
			fmt.Fprintf(w, "%s -> ERROR: %v\n", who, err)
			continue
		}
		fmt.Fprintf(w, "%s -> (\n", who)
		writeAPIVersions(w, versions)
		fmt.Fprintln(w, ")")
	}
	return nil
}

func apiVersionsOf(
	ctx context.Context, cl *kgo.Client, id int32,
) ([]kmsg.ApiVersionsResponseApiKey, error) {
	ctx, cancel := context.WithTimeout(ctx, apiVersionsTimeout)
	defer cancel()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "kafkad", tool.Version
	resp, err := cl.Broker(int(id)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	v := resp.(*kmsg.ApiVersionsResponse)
	return v.ApiKeys, codeError(v.ErrorCode, nil)
}

// writeAPIVersions writes one line for every API that the client or the broker knows.
func writeAPIVersions(w io.Writer, broker []kmsg.ApiVersionsResponseApiKey) {
	offered := map[int16]kmsg.ApiVersionsResponseApiKey{}
	for _, k := range broker {
		offered[k.ApiKey] = k
	}
	var lines []string
	for _, c := range clientAPIs {
		k, ok := offered[c.key]
		delete(offered, c.key)
		line := fmt.Sprintf("%s(%d): ", c.name, c.key)
		switch {
		case !ok:
			line += "UNSUPPORTED"
		case k.MaxVersion < 0:
			line += versionRange(k) + " [unusable: node too old]"
		case k.MinVersion > c.max:
			line += versionRange(k) + " [unusable: node too new]"
		default:
			line += fmt.Sprintf("%s [usable: %d]", versionRange(k), min(c.max, k.MaxVersion))
		}
		lines = append(lines, line)
	}
	for _, k := range broker {
		if _, unknown := offered[k.ApiKey]; unknown {
			lines = append(lines, fmt.Sprintf("UNKNOWN(%d): %s", k.ApiKey, versionRange(k)))
		}
	}
	for i, line := range lines {
		end := ","
		if i == len(lines)-1 {
			end = ""
		}
		fmt.Fprintf(w, "\t%s%s\n", line, end)
	}
}

func versionRange(k kmsg.ApiVersionsResponseApiKey) string {
	if k.MinVersion == k.MaxVersion {
		return fmt.Sprint(k.MinVersion)
	}
	return fmt.Sprintf("%d to %d", k.MinVersion, k.MaxVersion)
}
