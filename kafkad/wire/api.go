// Package wire knows how Kafka's protocol lies on the wire: which APIs and versions this broker
// serves, request and response headers, and hand-written codecs of Produce and Fetch, the two
// messages that carry record data and must not be copied. Everything else is decoded by kmsg.
// Pure: bytes in, bytes out. Decoded requests point into the bytes they were decoded from.
package wire

// API is one row of the table of served APIs.
type API struct {
	Key      int16
	Name     string
	Max      int16 // highest version a 3.9 broker in ZooKeeper mode offers; the lowest is 0
	Flexible int16 // first version with compact encodings and tagged fields; NotFlexible if none
}

// NotFlexible is API.Flexible of an API without flexible versions.
const NotFlexible int16 = 1<<15 - 1

// Keys of the APIs that this package itself treats specially.
const (
	Produce            int16 = 0
	Fetch              int16 = 1
	ControlledShutdown int16 = 7
	APIVersions        int16 = 18
)

// apis lists what this broker serves, and nothing else: ApiVersions advertises exactly these rows.
var apis = []API{
	{0, "Produce", 11, 9},
	{1, "Fetch", 17, 12},
	{2, "ListOffsets", 9, 6},
	{3, "Metadata", 12, 9},
	{8, "OffsetCommit", 9, 8},
	{9, "OffsetFetch", 9, 6},
	{10, "FindCoordinator", 6, 3},
	{11, "JoinGroup", 9, 6},
	{12, "Heartbeat", 4, 4},
	{13, "LeaveGroup", 5, 4},
	{14, "SyncGroup", 5, 4},
	{15, "DescribeGroups", 5, 5},
	{16, "ListGroups", 5, 3},
	{18, "ApiVersions", 4, 3},
	{19, "CreateTopics", 7, 5},
	{20, "DeleteTopics", 6, 4},
	{22, "InitProducerId", 5, 2},
	{23, "OffsetForLeaderEpoch", 4, 4},
	{32, "DescribeConfigs", 4, 4},
	{33, "AlterConfigs", 2, 2},
	{35, "DescribeLogDirs", 4, 2},
	{37, "CreatePartitions", 3, 2},
	{42, "DeleteGroups", 2, 2},
	{44, "IncrementalAlterConfigs", 1, 1},
	{47, "OffsetDelete", 0, NotFlexible},
	{60, "DescribeCluster", 1, 0},
}

var byKey = func() (index [64]int8) {
	for i := range index {
		index[i] = -1
	}
	for i, a := range apis {
		index[a.Key] = int8(i)
	}
	return index
}()

// APIs returns the served APIs in ascending order of key. The caller must not change it.
func APIs() []API { return apis }

// Lookup finds the row of an API key.
func Lookup(key int16) (API, bool) {
	if key < 0 || int(key) >= len(byKey) || byKey[key] < 0 {
		return API{}, false
	}
	return apis[byKey[key]], true
}
