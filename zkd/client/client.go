// Package client is a ZooKeeper client for servers from 3.4 on: sessions that survive reconnects,
// pipelined requests, one-shot watches that are set again after a reconnect, multi with a result
// per operation.
//
// A Client owns its goroutines: one that connects and reads, and one per connection that writes.
// Close and Abandon wait for them. All methods may be called from any goroutine. Callbacks
// (OnState, watches, Go) run in the client's own goroutine, in the order of the server's replies
// and events; they must not block and must not call methods that wait for the server.
package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"zkafka/zkd/proto"
)

// Errors of the client itself. Whatever else a call returns is a proto.Err from the server, or the
// error of the caller's context.
const (
	// ErrConnectionLoss fails the requests that were on the wire when the connection broke: whether
	// the server carried them out is not known.
	ErrConnectionLoss = proto.ErrConnectionLoss
	// ErrSessionExpired fails everything once the server has said that the session is gone.
	ErrSessionExpired = proto.ErrSessionExpired
	// ErrAuthFailed fails everything once the server has refused a credential of AddAuth.
	ErrAuthFailed = proto.ErrAuthFailed
)

// ErrClosed fails calls on a client after Close or Abandon.
var ErrClosed = errors.New("the ZooKeeper client is closed")

// State is what a Client is doing. Expired, AuthFailed and Closed are final.
type State int

// The states of a Client.
const (
	StateConnecting        State = iota // no connection yet
	StateConnected                      // the session is established
	StateConnectedReadOnly              // established with a server that only serves reads
	StateDisconnected                   // connection lost, trying the next server
	StateExpired                        // the server has ended the session
	StateAuthFailed                     // the server has refused a credential
	StateClosed                         // Close or Abandon was called
)

var stateNames = [...]string{
	"Connecting", "Connected", "ConnectedReadOnly", "Disconnected", "Expired", "AuthFailed",
	"Closed",
}

// String gives the name of the state.
func (s State) String() string {
	if s >= 0 && int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Up says whether requests reach a server in this state.
func (s State) Up() bool { return s == StateConnected || s == StateConnectedReadOnly }

// Event is what a watch delivers, once.
type Event struct {
	Type  proto.EventType   // EventNone when the session ended before anything happened
	State proto.KeeperState // SyncConnected, or Expired, AuthFailed, Closed with EventNone
	Path  string            // as the watch named it, without the chroot
	Zxid  int64             // transaction that fired the watch; -1 when the server does not say
}

// Options describe a client. Only Servers is required.
type Options struct {
	Servers []string // host:port; tried in random order. See ParseServers
	Chroot  string   // path that is put before every path; "" or "/" for none

	SessionTimeout time.Duration // asked for; default 30 s. The server may grant another
	ConnectTimeout time.Duration // per server; default SessionTimeout / number of servers, or / 3
	MaxFrame       int           // longest reply accepted; default 64 MiB
	MaxInFlight    int           // requests queued and on the wire before calls block; default 8192
	ReadOnly       bool          // accept a server that only serves reads
	FailFast       bool          // fail requests when no server can be reached: do not keep them

	SessionID int64  // with Password: attach to this session instead of opening one
	Password  []byte // of SessionID

	Log     *zap.Logger // nil for none
	OnState func(State) // called with every change of state, in order

	// OnEvent is called with every event the server sends, before the watches it fires.
	OnEvent func(Event)
	// DialContext replaces the network, for tests and tunnels.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (o *Options) setDefaults() error {
	if len(o.Servers) == 0 {
		return errors.New("connect to ZooKeeper: no servers given")
	}
	servers := make([]string, len(o.Servers))
	for i, s := range o.Servers {
		host, err := withPort(s)
		if err != nil {
			return fmt.Errorf("connect to ZooKeeper: %w", err)
		}
		servers[i] = host
	}
	o.Servers = servers
	rand.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	if o.Chroot == "/" {
		o.Chroot = ""
	}
	if o.Chroot != "" {
		if err := checkPath(o.Chroot); err != nil {
			return fmt.Errorf("connect to ZooKeeper: chroot: %w", err)
		}
	}
	if o.SessionTimeout <= 0 {
		o.SessionTimeout = 30 * time.Second
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = o.SessionTimeout / time.Duration(max(len(servers), 3))
	}
	if o.MaxFrame <= 0 {
		o.MaxFrame = 64 << 20
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 8192
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.DialContext == nil {
		o.DialContext = new(net.Dialer).DialContext
	}
	return nil
}

// Client is a session with a ZooKeeper ensemble.
//
// Invariants, under mu: queue holds the calls not yet given to a connection; the calls on the wire
// are in conn.sent, in the order of their xids. fatal is non-nil if and only if state is final.
// Calls in queue plus calls on the wire <= MaxInFlight.
type Client struct {
	opt    Options
	ctx    context.Context // ends when the client is closed
	cancel context.CancelFunc
	done   chan struct{} // closed when the run goroutine has ended
	slots  chan struct{} // one element per call in flight
	kick   chan struct{} // wakes the writer: there is something in queue

	mu       sync.Mutex
	state    State
	changed  chan struct{} // closed and replaced at every change of state
	fatal    error
	queue    []*call
	conn     *conn
	auths    []*auth
	watches  watches
	id       int64
	password []byte
	timeout  time.Duration // granted; the asked one before the first connection
	lastZxid int64
	xid      int32
	server   string // of the current or last connection
	trouble  error  // why there is no connection
	outage   outage
}

// outage is the time without a connection, as far as the log has told of it.
type outage struct {
	since  time.Time
	told   time.Time
	causes map[string]bool // what was logged already
}

const (
	tellEvery = time.Minute // an outage that goes on is logged again
	maxCauses = 64          // different causes of an outage that are logged at once
)

// news reports whether a cause is worth a log entry now, and how long the outage lasts.
func (o *outage) news(cause string, now time.Time) (bool, time.Duration) {
	if o.causes == nil {
		o.since, o.causes = now, map[string]bool{}
	}
	known := o.causes[cause] || len(o.causes) == maxCauses
	if known && now.Sub(o.told) < tellEvery {
		return false, 0
	}
	if !known {
		o.causes[cause] = true
	}
	o.told = now
	return true, now.Sub(o.since)
}

// Dial returns a client at once and connects in the background; Wait blocks until the session
// stands. Values of ctx reach DialContext; the end of ctx does not matter to the client.
func Dial(ctx context.Context, opt Options) (*Client, error) {
	if err := opt.setDefaults(); err != nil {
		return nil, err
	}
	c := &Client{
		opt:      opt,
		done:     make(chan struct{}),
		slots:    make(chan struct{}, opt.MaxInFlight),
		kick:     make(chan struct{}, 1),
		changed:  make(chan struct{}),
		id:       opt.SessionID,
		password: opt.Password,
		timeout:  opt.SessionTimeout,
	}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go c.run()
	return c, nil
}

// Wait blocks until the session is established. It fails when ctx ends, or for good when the
// session cannot be (ErrSessionExpired after attaching to a session that is gone, ErrAuthFailed,
// ErrClosed).
func (c *Client) Wait(ctx context.Context) error {
	for {
		c.mu.Lock()
		state, fatal, changed := c.state, c.fatal, c.changed
		c.mu.Unlock()
		if fatal != nil {
			return fatal
		}
		if state.Up() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for ZooKeeper: %w", ctx.Err())
		}
	}
}

// State returns the present state.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Session returns the id and password to attach to the session again, and the timeout the server
// has granted. The id is 0 before the first connection.
func (c *Client) Session() (id int64, password []byte, timeout time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id, c.password, c.timeout
}

// LastZxid returns the highest zxid seen in a reply.
func (c *Client) LastZxid() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastZxid
}

// Server returns the address of the present connection, or of the last attempt.
func (c *Client) Server() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server
}

// Trouble says why there is no connection: the error of the last attempt, or of the connection that
// was lost. It is nil while there is a connection and before the first attempt has failed.
func (c *Client) Trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

// noteTrouble keeps why there is no connection, for Trouble and for the log, which hears of every
// cause once and then of the outage once a minute.
func (c *Client) noteTrouble(what string, err error) {
	c.mu.Lock()
	server := c.server
	c.trouble = fmt.Errorf("%s %s: %w", what, server, err)
	news, lasts := c.outage.news(c.trouble.Error(), time.Now())
	c.mu.Unlock()
	if news {
		c.opt.Log.Warn(what+" ZooKeeper", zap.String("server", server), zap.Error(err),
			zap.Duration("away", lasts.Round(time.Second)))
	}
}

// Close ends the session and the client. Requests already made are answered first. Without a
// connection there is nobody to tell: Close then returns ErrConnectionLoss and the session ends by
// its timeout. The client is closed in every case.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	up, id, fatal := c.state.Up(), c.id, c.fatal
	c.mu.Unlock()
	var err error
	switch {
	case fatal != nil:
	case up:
		err = c.Do(ctx, Op{code: proto.OpCloseSession}).Err
	case id != 0:
		err = ErrConnectionLoss
	}
	c.Abandon()
	if err != nil {
		return fmt.Errorf("close the ZooKeeper session: %w", err)
	}
	return nil
}

// Abandon drops the connection and keeps the session, for somebody who attaches to it with its id
// and password before it times out. It waits for the client's goroutines.
func (c *Client) Abandon() {
	c.cancel()
	<-c.done
}

// setState changes the state unless it is final, and tells Wait and OnState.
func (c *Client) setState(s State) {
	c.mu.Lock()
	if c.state == s || c.fatal != nil {
		c.mu.Unlock()
		return
	}
	c.state = s
	switch s {
	case StateExpired:
		c.fatal = ErrSessionExpired
	case StateAuthFailed:
		c.fatal = ErrAuthFailed
	case StateClosed:
		c.fatal = ErrClosed
	}
	if s.Up() {
		c.trouble, c.outage = nil, outage{}
	}
	close(c.changed)
	c.changed = make(chan struct{})
	server, id := c.server, c.id
	c.mu.Unlock()
	c.opt.Log.Info("ZooKeeper session "+s.String(), zap.String("server", server),
		zap.String("session", fmt.Sprintf("0x%x", id)))
	if c.opt.OnState != nil {
		c.opt.OnState(s)
	}
}
