package proto

import "fmt"

// Err is an error code of the protocol. The non-zero codes are errors: compare with errors.Is or
// ==.
type Err int32

// Error codes. ErrOK is no error and is never returned as one.
const (
	ErrOK                           Err = 0
	ErrSystemError                  Err = -1
	ErrRuntimeInconsistency         Err = -2
	ErrDataInconsistency            Err = -3
	ErrConnectionLoss               Err = -4
	ErrMarshallingError             Err = -5
	ErrUnimplemented                Err = -6
	ErrOperationTimeout             Err = -7
	ErrBadArguments                 Err = -8
	ErrUnknownSession               Err = -12
	ErrNewConfigNoQuorum            Err = -13
	ErrReconfigInProgress           Err = -14
	ErrAPIError                     Err = -100
	ErrNoNode                       Err = -101
	ErrNoAuth                       Err = -102
	ErrBadVersion                   Err = -103
	ErrNoChildrenForEphemerals      Err = -108
	ErrNodeExists                   Err = -110
	ErrNotEmpty                     Err = -111
	ErrSessionExpired               Err = -112
	ErrInvalidCallback              Err = -113
	ErrInvalidACL                   Err = -114
	ErrAuthFailed                   Err = -115
	ErrSessionMoved                 Err = -118
	ErrNotReadOnly                  Err = -119
	ErrEphemeralOnLocalSession      Err = -120
	ErrNoWatcher                    Err = -121
	ErrRequestTimeout               Err = -122
	ErrReconfigDisabled             Err = -123
	ErrSessionClosedRequireSASLAuth Err = -124
	ErrQuotaExceeded                Err = -125
	ErrThrottledOp                  Err = -127
)

// errTexts are upstream's words, which its tools print after "KeeperErrorCode = ".
var errTexts = map[Err]string{
	ErrOK:                           "ok",
	ErrSystemError:                  "SystemError",
	ErrRuntimeInconsistency:         "RuntimeInconsistency",
	ErrDataInconsistency:            "DataInconsistency",
	ErrConnectionLoss:               "ConnectionLoss",
	ErrMarshallingError:             "MarshallingError",
	ErrUnimplemented:                "Unimplemented",
	ErrOperationTimeout:             "OperationTimeout",
	ErrBadArguments:                 "BadArguments",
	ErrUnknownSession:               "UnknownSession",
	ErrNewConfigNoQuorum:            "NewConfigNoQuorum",
	ErrReconfigInProgress:           "ReconfigInProgress",
	ErrAPIError:                     "APIError",
	ErrNoNode:                       "NoNode",
	ErrNoAuth:                       "NoAuth",
	ErrBadVersion:                   "BadVersion",
	ErrNoChildrenForEphemerals:      "NoChildrenForEphemerals",
	ErrNodeExists:                   "NodeExists",
	ErrNotEmpty:                     "Directory not empty",
	ErrSessionExpired:               "Session expired",
	ErrInvalidCallback:              "Invalid callback",
	ErrInvalidACL:                   "InvalidACL",
	ErrAuthFailed:                   "AuthFailed",
	ErrSessionMoved:                 "Session moved",
	ErrNotReadOnly:                  "Not a read-only call",
	ErrEphemeralOnLocalSession:      "Ephemeral node on local session",
	ErrNoWatcher:                    "No such watcher",
	ErrRequestTimeout:               "Request timeout",
	ErrReconfigDisabled:             "Reconfig is disabled",
	ErrSessionClosedRequireSASLAuth: "Session closed because client failed to authenticate",
	ErrQuotaExceeded:                "Quota has exceeded",
	ErrThrottledOp:                  "Op throttled due to high load",
}

// Text gives upstream's words for the code, such as "NoNode".
func (e Err) Text() string {
	if s, ok := errTexts[e]; ok {
		return s
	}
	return fmt.Sprintf("Unknown error %d", int32(e))
}

// Error gives the message that upstream's tools and logs show.
func (e Err) Error() string { return "KeeperErrorCode = " + e.Text() }

// Err returns e as an error, nil for ErrOK.
func (e Err) Err() error {
	if e == ErrOK {
		return nil
	}
	return e
}
