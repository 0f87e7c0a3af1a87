// Package proto holds ZooKeeper's records: the requests and replies of the client protocol, the
// transactions of log and quorum, and the tables of operation codes, error codes and events.
//
// Every record is a struct with Encode and Decode. Decode reads from a jute.Reader whose error the
// caller checks once at the end; a trailing remainder is ignored, as upstream does. Byte slices in
// a decoded record (Data, Auth, Token, Passwd) are parts of the frame it was decoded from and live
// as long as that; strings are copies. A nil slice means null on the wire, an empty one length
// zero.
package proto

import (
	"fmt"

	"zkafka/zkd/jute"
)

// Record is what every type of the protocol can do.
type Record interface {
	Encode(w *jute.Writer)
	Decode(r *jute.Reader)
}

// Op is an operation code: the type of a request and, where the same number serves, of a
// transaction.
type Op int32

// Operation codes. Those below zero exist only inside a server and in its log.
const (
	OpNotification         Op = 0
	OpCreate               Op = 1
	OpDelete               Op = 2
	OpExists               Op = 3
	OpGetData              Op = 4
	OpSetData              Op = 5
	OpGetACL               Op = 6
	OpSetACL               Op = 7
	OpGetChildren          Op = 8
	OpSync                 Op = 9
	OpPing                 Op = 11
	OpGetChildren2         Op = 12
	OpCheck                Op = 13
	OpMulti                Op = 14
	OpCreate2              Op = 15
	OpReconfig             Op = 16
	OpCheckWatches         Op = 17
	OpRemoveWatches        Op = 18
	OpCreateContainer      Op = 19
	OpDeleteContainer      Op = 20
	OpCreateTTL            Op = 21
	OpMultiRead            Op = 22
	OpAuth                 Op = 100
	OpSetWatches           Op = 101
	OpSASL                 Op = 102
	OpGetEphemerals        Op = 103
	OpGetAllChildrenNumber Op = 104
	OpSetWatches2          Op = 105
	OpAddWatch             Op = 106
	OpWhoAmI               Op = 107
	OpCreateSession        Op = -10
	OpCloseSession         Op = -11
	OpError                Op = -1
)

var opNames = map[Op]string{
	OpNotification: "notification", OpCreate: "create", OpDelete: "delete", OpExists: "exists",
	OpGetData: "getData", OpSetData: "setData", OpGetACL: "getACL", OpSetACL: "setACL",
	OpGetChildren: "getChildren", OpSync: "sync", OpPing: "ping", OpGetChildren2: "getChildren2",
	OpCheck: "check", OpMulti: "multi", OpCreate2: "create2", OpReconfig: "reconfig",
	OpCheckWatches: "checkWatches", OpRemoveWatches: "removeWatches",
	OpCreateContainer: "createContainer", OpDeleteContainer: "deleteContainer",
	OpCreateTTL: "createTTL", OpMultiRead: "multiRead", OpAuth: "auth",
	OpSetWatches: "setWatches", OpSASL: "sasl", OpGetEphemerals: "getEphemerals",
	OpGetAllChildrenNumber: "getAllChildrenNumber", OpSetWatches2: "setWatches2",
	OpAddWatch: "addWatch", OpWhoAmI: "whoAmI", OpCreateSession: "createSession",
	OpCloseSession: "closeSession", OpError: "error",
}

// String gives upstream's name of the code, or "unknown N".
func (o Op) String() string {
	if s, ok := opNames[o]; ok {
		return s
	}
	return fmt.Sprintf("unknown %d", int32(o))
}

// Xids with a meaning of their own; ordinary requests count up from 1.
const (
	XidNotification int32 = -1
	XidPing         int32 = -2
	XidAuth         int32 = -4
	XidSetWatches   int32 = -8
)

// Permission bits of an ACL entry.
const (
	PermRead   int32 = 1
	PermWrite  int32 = 2
	PermCreate int32 = 4
	PermDelete int32 = 8
	PermAdmin  int32 = 16
	PermAll    int32 = 31
)

// Create modes: the flags of a create request.
const (
	ModePersistent                  int32 = 0
	ModeEphemeral                   int32 = 1
	ModePersistentSequential        int32 = 2
	ModeEphemeralSequential         int32 = 3
	ModeContainer                   int32 = 4
	ModePersistentWithTTL           int32 = 5
	ModePersistentSequentialWithTTL int32 = 6
)

// AnyVersion as the version of a delete, set or check matches every version.
const AnyVersion int32 = -1

// MaxTTL is the longest life of a TTL node, in milliseconds.
const MaxTTL int64 = 0xffffffffff

// EventType says what happened to a watched node.
type EventType int32

// Event types. A server sends those from NodeCreated to NodeChildrenChanged; the others arise in
// clients.
const (
	EventNone                   EventType = -1
	EventNodeCreated            EventType = 1
	EventNodeDeleted            EventType = 2
	EventNodeDataChanged        EventType = 3
	EventNodeChildrenChanged    EventType = 4
	EventDataWatchRemoved       EventType = 5
	EventChildWatchRemoved      EventType = 6
	EventPersistentWatchRemoved EventType = 7
)

var eventNames = map[EventType]string{
	EventNone: "None", EventNodeCreated: "NodeCreated", EventNodeDeleted: "NodeDeleted",
	EventNodeDataChanged: "NodeDataChanged", EventNodeChildrenChanged: "NodeChildrenChanged",
	EventDataWatchRemoved: "DataWatchRemoved", EventChildWatchRemoved: "ChildWatchRemoved",
	EventPersistentWatchRemoved: "PersistentWatchRemoved",
}

// String gives upstream's name of the type.
func (t EventType) String() string {
	if s, ok := eventNames[t]; ok {
		return s
	}
	return fmt.Sprintf("unknown %d", int32(t))
}

// KeeperState is the state a watch event carries.
type KeeperState int32

// Keeper states. A server always sends SyncConnected; the others arise in clients.
const (
	StateDisconnected      KeeperState = 0
	StateSyncConnected     KeeperState = 3
	StateAuthFailed        KeeperState = 4
	StateConnectedReadOnly KeeperState = 5
	StateSASLAuthenticated KeeperState = 6
	StateClosed            KeeperState = 7
	StateExpired           KeeperState = -112
)

var stateNames = map[KeeperState]string{
	StateDisconnected: "Disconnected", StateSyncConnected: "SyncConnected",
	StateAuthFailed: "AuthFailed", StateConnectedReadOnly: "ConnectedReadOnly",
	StateSASLAuthenticated: "SaslAuthenticated", StateClosed: "Closed", StateExpired: "Expired",
}

// String gives upstream's name of the state.
func (s KeeperState) String() string {
	if n, ok := stateNames[s]; ok {
		return n
	}
	return fmt.Sprintf("unknown %d", int32(s))
}

// Watcher types of checkWatches and removeWatches.
const (
	WatcherChildren            int32 = 1
	WatcherData                int32 = 2
	WatcherAny                 int32 = 3
	WatcherPersistent          int32 = 4
	WatcherPersistentRecursive int32 = 5
)

// Modes of addWatch.
const (
	AddWatchPersistent          int32 = 0
	AddWatchPersistentRecursive int32 = 1
)

// OpenACL returns the ACL that lets everybody do everything.
func OpenACL() []ACL {
	return []ACL{{Perms: PermAll, ID: ID{Scheme: "world", ID: "anyone"}}}
}

// ReadACL returns the ACL that lets everybody read.
func ReadACL() []ACL {
	return []ACL{{Perms: PermRead, ID: ID{Scheme: "world", ID: "anyone"}}}
}

// CreatorAllACL returns the ACL that lets whoever created a node do everything.
func CreatorAllACL() []ACL {
	return []ACL{{Perms: PermAll, ID: ID{Scheme: "auth", ID: ""}}}
}
