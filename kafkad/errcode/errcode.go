// Package errcode is the one table of Kafka's protocol errors: number, name, whether a client may
// retry, and a message of our own. Pure; every other package of the broker may import it.
//
// A Code is an error value, so that a function answers with the protocol's own error where
// it finds it and only the handler turns it into a number on the wire.
package errcode

import (
	"errors"
	"strconv"
)

// Code is an error number of the Kafka protocol. Code 0 (None) means success; Err makes it a
// Go error.
type Code int16

// The error codes a 3.9 broker knows. 99 was never used.
const (
	UnknownServerError                 Code = -1
	None                               Code = 0
	OffsetOutOfRange                   Code = 1
	CorruptMessage                     Code = 2
	UnknownTopicOrPartition            Code = 3
	InvalidFetchSize                   Code = 4
	LeaderNotAvailable                 Code = 5
	NotLeaderOrFollower                Code = 6
	RequestTimedOut                    Code = 7
	BrokerNotAvailable                 Code = 8
	ReplicaNotAvailable                Code = 9
	MessageTooLarge                    Code = 10
	StaleControllerEpoch               Code = 11
	OffsetMetadataTooLarge             Code = 12
	NetworkException                   Code = 13
	CoordinatorLoadInProgress          Code = 14
	CoordinatorNotAvailable            Code = 15
	NotCoordinator                     Code = 16
	InvalidTopicException              Code = 17
	RecordListTooLarge                 Code = 18
	NotEnoughReplicas                  Code = 19
	NotEnoughReplicasAfterAppend       Code = 20
	InvalidRequiredAcks                Code = 21
	IllegalGeneration                  Code = 22
	InconsistentGroupProtocol          Code = 23
	InvalidGroupID                     Code = 24
	UnknownMemberID                    Code = 25
	InvalidSessionTimeout              Code = 26
	RebalanceInProgress                Code = 27
	InvalidCommitOffsetSize            Code = 28
	TopicAuthorizationFailed           Code = 29
	GroupAuthorizationFailed           Code = 30
	ClusterAuthorizationFailed         Code = 31
	InvalidTimestamp                   Code = 32
	UnsupportedSASLMechanism           Code = 33
	IllegalSASLState                   Code = 34
	UnsupportedVersion                 Code = 35
	TopicAlreadyExists                 Code = 36
	InvalidPartitions                  Code = 37
	InvalidReplicationFactor           Code = 38
	InvalidReplicaAssignment           Code = 39
	InvalidConfig                      Code = 40
	NotController                      Code = 41
	InvalidRequest                     Code = 42
	UnsupportedForMessageFormat        Code = 43
	PolicyViolation                    Code = 44
	OutOfOrderSequenceNumber           Code = 45
	DuplicateSequenceNumber            Code = 46
	InvalidProducerEpoch               Code = 47
	InvalidTxnState                    Code = 48
	InvalidProducerIDMapping           Code = 49
	InvalidTransactionTimeout          Code = 50
	ConcurrentTransactions             Code = 51
	TransactionCoordinatorFenced       Code = 52
	TransactionalIDAuthorizationFailed Code = 53
	SecurityDisabled                   Code = 54
	OperationNotAttempted              Code = 55
	KafkaStorageError                  Code = 56
	LogDirNotFound                     Code = 57
	SASLAuthenticationFailed           Code = 58
	UnknownProducerID                  Code = 59
	ReassignmentInProgress             Code = 60
	DelegationTokenAuthDisabled        Code = 61
	DelegationTokenNotFound            Code = 62
	DelegationTokenOwnerMismatch       Code = 63
	DelegationTokenRequestNotAllowed   Code = 64
	DelegationTokenAuthorizationFailed Code = 65
	DelegationTokenExpired             Code = 66
	InvalidPrincipalType               Code = 67
	NonEmptyGroup                      Code = 68
	GroupIDNotFound                    Code = 69
	FetchSessionIDNotFound             Code = 70
	InvalidFetchSessionEpoch           Code = 71
	ListenerNotFound                   Code = 72
	TopicDeletionDisabled              Code = 73
	FencedLeaderEpoch                  Code = 74
	UnknownLeaderEpoch                 Code = 75
	UnsupportedCompressionType         Code = 76
	StaleBrokerEpoch                   Code = 77
	OffsetNotAvailable                 Code = 78
	MemberIDRequired                   Code = 79
	PreferredLeaderNotAvailable        Code = 80
	GroupMaxSizeReached                Code = 81
	FencedInstanceID                   Code = 82
	EligibleLeadersNotAvailable        Code = 83
	ElectionNotNeeded                  Code = 84
	NoReassignmentInProgress           Code = 85
	GroupSubscribedToTopic             Code = 86
	InvalidRecord                      Code = 87
	UnstableOffsetCommit               Code = 88
	ThrottlingQuotaExceeded            Code = 89
	ProducerFenced                     Code = 90
	ResourceNotFound                   Code = 91
	DuplicateResource                  Code = 92
	UnacceptableCredential             Code = 93
	InconsistentVoterSet               Code = 94
	InvalidUpdateVersion               Code = 95
	FeatureUpdateFailed                Code = 96
	PrincipalDeserializationFailure    Code = 97
	SnapshotNotFound                   Code = 98
	UnknownTopicID                     Code = 100
	DuplicateBrokerRegistration        Code = 101
	BrokerIDNotRegistered              Code = 102
	InconsistentTopicID                Code = 103
	InconsistentClusterID              Code = 104
	TransactionalIDNotFound            Code = 105
	FetchSessionTopicIDError           Code = 106
	IneligibleReplica                  Code = 107
	NewLeaderElected                   Code = 108
	OffsetMovedToTieredStorage         Code = 109
	FencedMemberEpoch                  Code = 110
	UnreleasedInstanceID               Code = 111
	UnsupportedAssignor                Code = 112
	StaleMemberEpoch                   Code = 113
	MismatchedEndpointType             Code = 114
	UnsupportedEndpointType            Code = 115
	UnknownControllerID                Code = 116
	UnknownSubscriptionID              Code = 117
	TelemetryTooLarge                  Code = 118
	InvalidRegistration                Code = 119
	TransactionAbortable               Code = 120
)

// info is one row of the table.
type info struct {
	name      string
	message   string
	retriable bool
	refresh   bool // clients also refresh their metadata
}

var table = map[Code]info{
	UnknownServerError: {name: "UNKNOWN_SERVER_ERROR",
		message: "the server hit an error it did not expect"},
	None: {name: "NONE",
		message: "success"},
	OffsetOutOfRange: {name: "OFFSET_OUT_OF_RANGE",
		message: "the offset lies outside the range this partition holds"},
	CorruptMessage: {name: "CORRUPT_MESSAGE",
		message:   "the batch fails its checksum, has a bad size, or lacks a key a compacted topic needs",
		retriable: true},
	UnknownTopicOrPartition: {name: "UNKNOWN_TOPIC_OR_PARTITION",
		message:   "this server does not host the topic or partition",
		retriable: true, refresh: true},
	InvalidFetchSize: {name: "INVALID_FETCH_SIZE",
		message: "the fetch size is not valid"},
	LeaderNotAvailable: {name: "LEADER_NOT_AVAILABLE",
		message:   "the partition has no leader at the moment",
		retriable: true, refresh: true},
	NotLeaderOrFollower: {name: "NOT_LEADER_OR_FOLLOWER",
		message:   "this broker is neither leader nor follower of the partition",
		retriable: true, refresh: true},
	RequestTimedOut: {name: "REQUEST_TIMED_OUT",
		message:   "the request timed out",
		retriable: true},
	BrokerNotAvailable: {name: "BROKER_NOT_AVAILABLE",
		message: "the broker is not available"},
	ReplicaNotAvailable: {name: "REPLICA_NOT_AVAILABLE",
		message:   "the replica is not available",
		retriable: true, refresh: true},
	MessageTooLarge: {name: "MESSAGE_TOO_LARGE",
		message: "the message exceeds the largest size this server accepts"},
	StaleControllerEpoch: {name: "STALE_CONTROLLER_EPOCH",
		message: "the controller moved to another broker"},
	OffsetMetadataTooLarge: {name: "OFFSET_METADATA_TOO_LARGE",
		message: "the metadata string of the offset is too long"},
	NetworkException: {name: "NETWORK_EXCEPTION",
		message:   "the server disconnected before it answered",
		retriable: true, refresh: true},
	CoordinatorLoadInProgress: {name: "COORDINATOR_LOAD_IN_PROGRESS",
		message:   "the coordinator is loading its state",
		retriable: true},
	CoordinatorNotAvailable: {name: "COORDINATOR_NOT_AVAILABLE",
		message:   "the coordinator is not available",
		retriable: true},
	NotCoordinator: {name: "NOT_COORDINATOR",
		message:   "this broker is not the coordinator",
		retriable: true},
	InvalidTopicException: {name: "INVALID_TOPIC_EXCEPTION",
		message: "the topic may not be used for this operation"},
	RecordListTooLarge: {name: "RECORD_LIST_TOO_LARGE",
		message: "the record list exceeds the segment size of this server"},
	NotEnoughReplicas: {name: "NOT_ENOUGH_REPLICAS",
		message:   "fewer in-sync replicas than the topic requires",
		retriable: true},
	NotEnoughReplicasAfterAppend: {name: "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
		message:   "the data is written, but to fewer in-sync replicas than the topic requires",
		retriable: true},
	InvalidRequiredAcks: {name: "INVALID_REQUIRED_ACKS",
		message: "the value of acks is not valid"},
	IllegalGeneration: {name: "ILLEGAL_GENERATION",
		message: "the generation is not the current one of the group"},
	InconsistentGroupProtocol: {name: "INCONSISTENT_GROUP_PROTOCOL",
		message: "the protocol type or the protocols of the member do not match the group"},
	InvalidGroupID: {name: "INVALID_GROUP_ID",
		message: "the group id is not valid"},
	UnknownMemberID: {name: "UNKNOWN_MEMBER_ID",
		message: "the coordinator does not know this member"},
	InvalidSessionTimeout: {name: "INVALID_SESSION_TIMEOUT",
		message: "the session timeout lies outside the range the broker allows"},
	RebalanceInProgress: {name: "REBALANCE_IN_PROGRESS",
		message: "the group is rebalancing, join again"},
	InvalidCommitOffsetSize: {name: "INVALID_COMMIT_OFFSET_SIZE",
		message: "the offset commit is too large"},
	TopicAuthorizationFailed: {name: "TOPIC_AUTHORIZATION_FAILED",
		message: "not authorized to access the topic"},
	GroupAuthorizationFailed: {name: "GROUP_AUTHORIZATION_FAILED",
		message: "not authorized to access the group"},
	ClusterAuthorizationFailed: {name: "CLUSTER_AUTHORIZATION_FAILED",
		message: "not authorized for the cluster"},
	InvalidTimestamp: {name: "INVALID_TIMESTAMP",
		message: "the timestamp of a record is out of the accepted range"},
	UnsupportedSASLMechanism: {name: "UNSUPPORTED_SASL_MECHANISM",
		message: "the broker does not support this SASL mechanism"},
	IllegalSASLState: {name: "ILLEGAL_SASL_STATE",
		message: "the request is not valid in this SASL state"},
	UnsupportedVersion: {name: "UNSUPPORTED_VERSION",
		message: "the version of this API is not supported"},
	TopicAlreadyExists: {name: "TOPIC_ALREADY_EXISTS",
		message: "a topic of this name already exists"},
	InvalidPartitions: {name: "INVALID_PARTITIONS",
		message: "the number of partitions is not valid"},
	InvalidReplicationFactor: {name: "INVALID_REPLICATION_FACTOR",
		message: "the replication factor is below 1 or above the number of live brokers"},
	InvalidReplicaAssignment: {name: "INVALID_REPLICA_ASSIGNMENT",
		message: "the replica assignment is not valid"},
	InvalidConfig: {name: "INVALID_CONFIG",
		message: "the configuration is not valid"},
	NotController: {name: "NOT_CONTROLLER",
		message:   "this broker is not the controller",
		retriable: true},
	InvalidRequest: {name: "INVALID_REQUEST",
		message: "the request does not make sense here, or contradicts the protocol"},
	UnsupportedForMessageFormat: {name: "UNSUPPORTED_FOR_MESSAGE_FORMAT",
		message: "the message format of the topic does not support the request"},
	PolicyViolation: {name: "POLICY_VIOLATION",
		message: "the request violates a policy of the cluster"},
	OutOfOrderSequenceNumber: {name: "OUT_OF_ORDER_SEQUENCE_NUMBER",
		message: "the broker received a sequence number out of order"},
	DuplicateSequenceNumber: {name: "DUPLICATE_SEQUENCE_NUMBER",
		message: "the broker received a sequence number it already has"},
	InvalidProducerEpoch: {name: "INVALID_PRODUCER_EPOCH",
		message: "a producer used an old epoch"},
	InvalidTxnState: {name: "INVALID_TXN_STATE",
		message: "the operation is not valid in this state of the transaction"},
	InvalidProducerIDMapping: {name: "INVALID_PRODUCER_ID_MAPPING",
		message: "the producer id does not belong to this transactional id"},
	InvalidTransactionTimeout: {name: "INVALID_TRANSACTION_TIMEOUT",
		message: "the transaction timeout is larger than the broker allows"},
	ConcurrentTransactions: {name: "CONCURRENT_TRANSACTIONS",
		message:   "another operation of the same transaction is in progress",
		retriable: true},
	TransactionCoordinatorFenced: {name: "TRANSACTION_COORDINATOR_FENCED",
		message: "the transaction coordinator that sent this is no longer the current one"},
	TransactionalIDAuthorizationFailed: {name: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
		message: "not authorized to use the transactional id"},
	SecurityDisabled: {name: "SECURITY_DISABLED",
		message: "security features are disabled"},
	OperationNotAttempted: {name: "OPERATION_NOT_ATTEMPTED",
		message: "the broker did not attempt this operation"},
	KafkaStorageError: {name: "KAFKA_STORAGE_ERROR",
		message:   "a disk error happened while accessing the log",
		retriable: true, refresh: true},
	LogDirNotFound: {name: "LOG_DIR_NOT_FOUND",
		message: "the log directory is not in the configuration of the broker"},
	SASLAuthenticationFailed: {name: "SASL_AUTHENTICATION_FAILED",
		message: "SASL authentication failed"},
	UnknownProducerID: {name: "UNKNOWN_PRODUCER_ID",
		message: "the broker no longer knows this producer id"},
	ReassignmentInProgress: {name: "REASSIGNMENT_IN_PROGRESS",
		message: "a reassignment of partitions is in progress"},
	DelegationTokenAuthDisabled: {name: "DELEGATION_TOKEN_AUTH_DISABLED",
		message: "delegation tokens are not enabled"},
	DelegationTokenNotFound: {name: "DELEGATION_TOKEN_NOT_FOUND",
		message: "the server does not know this delegation token"},
	DelegationTokenOwnerMismatch: {name: "DELEGATION_TOKEN_OWNER_MISMATCH",
		message: "the principal is not the owner or a renewer of the token"},
	DelegationTokenRequestNotAllowed: {name: "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
		message: "delegation token requests are not allowed on this channel"},
	DelegationTokenAuthorizationFailed: {name: "DELEGATION_TOKEN_AUTHORIZATION_FAILED",
		message: "not authorized to use delegation tokens"},
	DelegationTokenExpired: {name: "DELEGATION_TOKEN_EXPIRED",
		message: "the delegation token expired"},
	InvalidPrincipalType: {name: "INVALID_PRINCIPAL_TYPE",
		message: "the type of principal is not supported"},
	NonEmptyGroup: {name: "NON_EMPTY_GROUP",
		message: "the group has members"},
	GroupIDNotFound: {name: "GROUP_ID_NOT_FOUND",
		message: "the group id does not exist"},
	FetchSessionIDNotFound: {name: "FETCH_SESSION_ID_NOT_FOUND",
		message:   "the fetch session id is not known",
		retriable: true},
	InvalidFetchSessionEpoch: {name: "INVALID_FETCH_SESSION_EPOCH",
		message:   "the fetch session epoch is not the expected one",
		retriable: true},
	ListenerNotFound: {name: "LISTENER_NOT_FOUND",
		message:   "the leader has no listener for this connection",
		retriable: true, refresh: true},
	TopicDeletionDisabled: {name: "TOPIC_DELETION_DISABLED",
		message: "topic deletion is disabled"},
	FencedLeaderEpoch: {name: "FENCED_LEADER_EPOCH",
		message:   "the leader epoch in the request is older than the one of the broker",
		retriable: true, refresh: true},
	UnknownLeaderEpoch: {name: "UNKNOWN_LEADER_EPOCH",
		message:   "the leader epoch in the request is newer than the one of the broker",
		retriable: true},
	UnsupportedCompressionType: {name: "UNSUPPORTED_COMPRESSION_TYPE",
		message: "the client does not support the compression type of the partition"},
	StaleBrokerEpoch: {name: "STALE_BROKER_EPOCH",
		message: "the broker epoch is not the current one"},
	OffsetNotAvailable: {name: "OFFSET_NOT_AVAILABLE",
		message:   "the leader cannot tell the offset until its high watermark catches up",
		retriable: true},
	MemberIDRequired: {name: "MEMBER_ID_REQUIRED",
		message: "join again with the member id of this answer"},
	PreferredLeaderNotAvailable: {name: "PREFERRED_LEADER_NOT_AVAILABLE",
		message:   "the preferred leader is not available",
		retriable: true, refresh: true},
	GroupMaxSizeReached: {name: "GROUP_MAX_SIZE_REACHED",
		message: "the group has as many members as it may have"},
	FencedInstanceID: {name: "FENCED_INSTANCE_ID",
		message: "another member uses the same group instance id"},
	EligibleLeadersNotAvailable: {name: "ELIGIBLE_LEADERS_NOT_AVAILABLE",
		message:   "no eligible leader is available",
		retriable: true, refresh: true},
	ElectionNotNeeded: {name: "ELECTION_NOT_NEEDED",
		message:   "the partition does not need an election",
		retriable: true, refresh: true},
	NoReassignmentInProgress: {name: "NO_REASSIGNMENT_IN_PROGRESS",
		message: "no reassignment is in progress"},
	GroupSubscribedToTopic: {name: "GROUP_SUBSCRIBED_TO_TOPIC",
		message: "a member of the group is subscribed to the topic"},
	InvalidRecord: {name: "INVALID_RECORD",
		message: "a record failed the validation of the broker"},
	UnstableOffsetCommit: {name: "UNSTABLE_OFFSET_COMMIT",
		message:   "offsets of an unfinished transaction are pending",
		retriable: true},
	ThrottlingQuotaExceeded: {name: "THROTTLING_QUOTA_EXCEEDED",
		message:   "the quota is exceeded, try later",
		retriable: true},
	ProducerFenced: {name: "PRODUCER_FENCED",
		message: "a newer producer with the same transactional id took over"},
	ResourceNotFound: {name: "RESOURCE_NOT_FOUND",
		message: "the resource does not exist"},
	DuplicateResource: {name: "DUPLICATE_RESOURCE",
		message: "the resource exists already"},
	UnacceptableCredential: {name: "UNACCEPTABLE_CREDENTIAL",
		message: "the credential does not meet the criteria"},
	InconsistentVoterSet: {name: "INCONSISTENT_VOTER_SET",
		message: "the voter sets differ"},
	InvalidUpdateVersion: {name: "INVALID_UPDATE_VERSION",
		message: "the update version is not valid"},
	FeatureUpdateFailed: {name: "FEATURE_UPDATE_FAILED",
		message: "the finalized features could not be updated"},
	PrincipalDeserializationFailure: {name: "PRINCIPAL_DESERIALIZATION_FAILURE",
		message: "the forwarded principal could not be decoded"},
	SnapshotNotFound: {name: "SNAPSHOT_NOT_FOUND",
		message: "the snapshot does not exist"},
	UnknownTopicID: {name: "UNKNOWN_TOPIC_ID",
		message:   "this server does not know the topic id",
		retriable: true, refresh: true},
	DuplicateBrokerRegistration: {name: "DUPLICATE_BROKER_REGISTRATION",
		message: "the broker id is in use"},
	BrokerIDNotRegistered: {name: "BROKER_ID_NOT_REGISTERED",
		message: "the broker id is not registered"},
	InconsistentTopicID: {name: "INCONSISTENT_TOPIC_ID",
		message:   "the topic id in the log differs from the one of the request",
		retriable: true, refresh: true},
	InconsistentClusterID: {name: "INCONSISTENT_CLUSTER_ID",
		message: "the cluster id in the request is another one"},
	TransactionalIDNotFound: {name: "TRANSACTIONAL_ID_NOT_FOUND",
		message: "the transactional id does not exist"},
	FetchSessionTopicIDError: {name: "FETCH_SESSION_TOPIC_ID_ERROR",
		message:   "the fetch session was made with another use of topic ids",
		retriable: true},
	IneligibleReplica: {name: "INELIGIBLE_REPLICA",
		message: "the new ISR has a replica that may not be in it"},
	NewLeaderElected: {name: "NEW_LEADER_ELECTED",
		message: "the ISR change was superseded by a new leader"},
	OffsetMovedToTieredStorage: {name: "OFFSET_MOVED_TO_TIERED_STORAGE",
		message: "the offset lives in tiered storage"},
	FencedMemberEpoch: {name: "FENCED_MEMBER_EPOCH",
		message: "the member epoch is fenced"},
	UnreleasedInstanceID: {name: "UNRELEASED_INSTANCE_ID",
		message: "another member of the group still uses the instance id"},
	UnsupportedAssignor: {name: "UNSUPPORTED_ASSIGNOR",
		message: "the assignor is not supported"},
	StaleMemberEpoch: {name: "STALE_MEMBER_EPOCH",
		message: "the member epoch is stale"},
	MismatchedEndpointType: {name: "MISMATCHED_ENDPOINT_TYPE",
		message: "the request was sent to a listener of another type"},
	UnsupportedEndpointType: {name: "UNSUPPORTED_ENDPOINT_TYPE",
		message: "the endpoint type is not known"},
	UnknownControllerID: {name: "UNKNOWN_CONTROLLER_ID",
		message: "the controller id is not known"},
	UnknownSubscriptionID: {name: "UNKNOWN_SUBSCRIPTION_ID",
		message: "the client sent an outdated subscription id"},
	TelemetryTooLarge: {name: "TELEMETRY_TOO_LARGE",
		message: "the telemetry is larger than the broker accepts"},
	InvalidRegistration: {name: "INVALID_REGISTRATION",
		message: "the registration of the controller is not valid"},
	TransactionAbortable: {name: "TRANSACTION_ABORTABLE",
		message: "the transaction failed, abort it and go on"},
}

// Name is the protocol's spelling, as in NOT_LEADER_OR_FOLLOWER.
func (c Code) Name() string {
	if i, ok := table[c]; ok {
		return i.name
	}
	return "UNKNOWN(" + strconv.Itoa(int(c)) + ")"
}

// String is Name, so that codes read well in logs and transcripts.
func (c Code) String() string { return c.Name() }

// Message says in words what the code means; responses with a message field carry it.
func (c Code) Message() string {
	if i, ok := table[c]; ok {
		return i.message
	}
	return "error code " + strconv.Itoa(int(c))
}

// Error makes Code an error value.
func (c Code) Error() string { return c.Name() + ": " + c.Message() }

// Retriable reports whether a client may send the same request again.
func (c Code) Retriable() bool { return table[c].retriable }

// RefreshesMetadata reports whether the code also tells a client that its metadata is stale.
func (c Code) RefreshesMetadata() bool { return table[c].refresh }

// Known reports whether the protocol defines the code.
func (c Code) Known() bool { _, ok := table[c]; return ok }

// Err is nil for None, and the code itself otherwise.
func (c Code) Err() error {
	if c == None {
		return nil
	}
	return c
}

// Of finds the code an error carries: None for nil, the code when the chain holds one, and
// UnknownServerError for everything else.
func Of(err error) Code {
	if err == nil {
		return None
	}
	var c Code
	if errors.As(err, &c) {
		return c
	}
	return UnknownServerError
}
