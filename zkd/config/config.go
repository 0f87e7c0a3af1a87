// Package config knows every setting of an Apache ZooKeeper 3.9 server: name, type, default, limits
// and meaning. It turns server.toml or zoo.cfg into a Config, prints one as TOML, and says which
// settings have no effect here and why.
//
// The package is pure: it reads bytes, not files, and looks at no environment; zkd/cmd hands it
// both. A Config is built once and never changed afterwards, so any goroutine may read it.
package config

import (
	"net"
	"strconv"
	"time"
)

// Config is a validated server configuration. Fields tagged with a key are that setting's value.
type Config struct {
	// Data.
	DataDir    string `key:"dataDir"`
	DataLogDir string `key:"dataLogDir"` // DataDir unless set

	// Clients. An empty ClientAddress is all interfaces; ClientPort 0 is off.
	ClientAddress        string `key:"clientPortAddress"`
	ClientPort           int    `key:"clientPort"`
	MaxClientConns       int    `key:"maxClientCnxns"` // per address; 0: no limit
	MaxConns             int    `key:"maxCnxns"`       // 0: no limit
	ClientTCPKeepAlive   bool   `key:"clientTcpKeepAlive"`
	GlobalOutstandingMax int    `key:"globalOutstandingLimit"` // requests
	JuteMaxBuffer        int    `key:"jute.maxbuffer"`         // bytes of one packet
	// HandshakeTimeout is how long a connection may stay without a session.
	HandshakeTimeout time.Duration `key:"nio.sessionlessCnxnTimeout"`

	// Sessions. The limits are resolved: 2 and 20 ticks unless set.
	TickTime          time.Duration `key:"tickTime"`
	MinSessionTimeout time.Duration
	MaxSessionTimeout time.Duration

	// Tree.
	SkipACL               bool          `key:"skipACL"`
	DigestEnabled         bool          `key:"digest.enabled"`
	ExtendedTypes         bool          `key:"extendedTypesEnabled"`
	ContainerInterval     time.Duration `key:"znode.container.checkIntervalMs"`
	ContainerMaxPerMinute int           `key:"znode.container.maxPerMinute"`
	ContainerNeverUsed    time.Duration `key:"znode.container.maxNeverUsedIntervalMs"`

	// Identities. SuperDigest is "user:base64" of the super user, empty for none.
	SuperDigest       string `key:"DigestAuthenticationProvider.superDigest"`
	DigestAlgorithm   string `key:"DigestAuthenticationProvider.digestAlg"`
	DigestAuthEnabled bool   `key:"DigestAuthenticationProvider.enabled"`

	// Transaction log and snapshots.
	SnapCount          int           `key:"snapCount"` // transactions between snapshots
	SnapSizeLimitBytes int64         // snapSizeLimitInKb; ≤ 0: no limit
	TxnLogSizeLimit    int64         // txnLogSizeLimitInKb in bytes; ≤ 0: no limit
	PreAllocBytes      int64         // preAllocSize
	ForceSync          bool          `key:"forceSync"`
	FsyncWarning       time.Duration `key:"fsync.warningthresholdms"`
	TrustEmptySnapshot bool          `key:"snapshot.trust.empty"`
	DataDirAutoCreate  bool          `key:"datadir.autocreate"`
	PurgeRetain        int           `key:"autopurge.snapRetainCount"`
	PurgeInterval      time.Duration `key:"autopurge.purgeInterval"` // 0: off

	// Admin. FourLetterWords holds "*" or the allowed words; AdminAddress is where the HTTP pages
	// listen, empty when switched off.
	FourLetterWords []string
	AdminAddress    string
	AdminCommandURL string `key:"admin.commandURL"`
	// MetricsAddress is where metrics stand on a port of their own; empty: only on AdminAddress.
	MetricsAddress string

	// Ensemble. Servers is empty in standalone mode; MyID is read by the caller from dataDir/myid.
	Servers           []Server
	Groups            map[int64]int64 // server id to group number; empty: majority
	Weights           map[int64]int64
	InitLimit         int `key:"initLimit"` // ticks
	SyncLimit         int `key:"syncLimit"` // ticks
	Observer          bool
	StandaloneEnabled bool   `key:"standaloneEnabled"`
	DynamicConfigFile string `key:"dynamicConfigFile"`

	values map[string]string
}

// Server is one member of an ensemble, as in server.N=host:quorum:election[:role][;[host:]client].
type Server struct {
	ID        int64
	Addresses []ServerAddress // alternatives, at least one
	Observer  bool
	// ClientAddress and ClientPort are the part after the semicolon; port 0: not given.
	ClientAddress string
	ClientPort    int
}

// ServerAddress is one way to reach a member.
type ServerAddress struct {
	Host         string
	QuorumPort   int
	ElectionPort int
}

// Standalone reports whether the server runs alone: no voter, or one voter with standaloneEnabled.
func (c *Config) Standalone() bool {
	voters := 0
	for _, s := range c.Servers {
		if !s.Observer {
			voters++
		}
	}
	return voters == 0 || voters == 1 && c.StandaloneEnabled && len(c.Servers) == 1
}

// ClientListen is the address of the client port as net.Listen takes it, empty when there is none.
func (c *Config) ClientListen() string {
	if c.ClientPort == 0 {
		return ""
	}
	return net.JoinHostPort(c.ClientAddress, strconv.Itoa(c.ClientPort))
}

// FourLetterWord reports whether clients may send the word.
func (c *Config) FourLetterWord(word string) bool {
	for _, w := range c.FourLetterWords {
		if w == "*" || w == word {
			return true
		}
	}
	return word == "srvr"
}

// Explicit returns the settings that were given (not defaults), by name.
func (c *Config) Explicit() map[string]string {
	out := make(map[string]string, len(c.values))
	for k, v := range c.values {
		out[k] = v
	}
	return out
}
