// Package admin answers operators and their monitoring: the four letter words on the client port,
// the same commands as JSON over HTTP, and Prometheus metrics. Names and shapes are those of Apache
// ZooKeeper 3.9, because scripts and dashboards read them.
//
// Everything shown is collected when it is asked for (sample); nothing here keeps state but the
// HTTP listeners.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"zkafka/zkd/host"
	"zkafka/zkd/server"
)

// Options are the settings of an Admin.
type Options struct {
	Host   *host.Host
	Server *server.Server

	// Version is what follows "Zookeeper version: "; see Version.
	Version string
	// Words are the four letter words that clients may send, "*" for all. srvr always may.
	Words []string

	// What the command conf shows.
	ClientPort        int
	SecureClientPort  int // -1 when there is none
	ClientPortBacklog int // -1: the system's
	MaxClientCnxns    int
	TickTime          time.Duration
	MinSessionTimeout time.Duration
	MaxSessionTimeout time.Duration
	ServerID          int64
	// ConfigText is the configuration file, for initial_configuration.
	ConfigText string

	// Address is where the HTTP pages listen, "host:port"; empty for nowhere.
	Address string
	// CommandURL is the path of the commands; /commands.
	CommandURL string
	// MetricsAddress is where /metrics listens besides Address (metricsProvider.httpPort); empty
	// for nowhere.
	MetricsAddress string

	Log *zap.Logger
}

// apacheVersion is the release whose commands and protocol this server shows.
const apacheVersion = "3.9.4"

// Version returns a version text that clients and tools can parse: the release of Apache ZooKeeper
// that zkd answers like, and its own name and version.
func Version(own, built string) string {
	return fmt.Sprintf("%s-zkd-%s, built on %s UTC", apacheVersion, own, built)
}

// Admin serves the commands.
type Admin struct {
	o         Options
	log       *zap.Logger
	listeners []net.Listener
	servers   []*http.Server
	serving   sync.WaitGroup
}

// New opens the HTTP listeners, which queue requests until Start.
func New(o Options) (*Admin, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.CommandURL == "" {
		o.CommandURL = "/commands"
	}
	if o.Version == "" {
		o.Version = Version("dev", "1970-01-01 00:00")
	}
	a := &Admin{o: o, log: o.Log}
	metrics := a.metricsHandler()
	all := http.NewServeMux()
	all.Handle("/metrics", metrics)
	a.handleCommands(all)
	only := http.NewServeMux()
	only.Handle("/metrics", metrics)
	for _, e := range []struct {
		addr    string
		handler http.Handler
	}{{o.Address, all}, {o.MetricsAddress, only}} {
		if e.addr == "" {
			continue
		}
		if err := a.listen(e.addr, e.handler); err != nil {
			a.closeListeners()
			return nil, err
		}
	}
	return a, nil
}

func (a *Admin) listen(addr string, handler http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for admin pages: %w", err)
	}
	a.listeners = append(a.listeners, l)
	a.servers = append(a.servers, &http.Server{
		Handler:           handler,
		ReadTimeout:       idleTimeout,
		ReadHeaderTimeout: idleTimeout,
		WriteTimeout:      2 * idleTimeout, // who does not read a page does not keep it
		IdleTimeout:       idleTimeout,
		ErrorLog:          zap.NewStdLog(a.log),
	})
	return nil
}

// idleTimeout is upstream's.
const idleTimeout = 30 * time.Second

// Start serves the HTTP pages.
func (a *Admin) Start() {
	for i, s := range a.servers {
		a.serving.Add(1)
		go func() {
			defer a.serving.Done()
			if err := s.Serve(a.listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				a.log.Error("the admin pages ended", zap.Error(err))
			}
		}()
	}
}

// Addrs returns the addresses of the HTTP listeners.
func (a *Admin) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(a.listeners))
	for i, l := range a.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Close stops the HTTP pages. Requests under way are cut off: none of them changes anything.
func (a *Admin) Close() {
	for _, s := range a.servers {
		_ = s.Close()
	}
	a.closeListeners()
	a.serving.Wait()
}

func (a *Admin) closeListeners() {
	for _, l := range a.listeners {
		_ = l.Close() // the HTTP server may have closed it
	}
}

// allowed says whether clients may send the word.
func (a *Admin) allowed(word string) bool {
	return word == "srvr" || slices.Contains(a.o.Words, "*") || slices.Contains(a.o.Words, word)
}

// askTimeout bounds how long a command waits for the loop.
const askTimeout = 5 * time.Second

func askContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), askTimeout)
}
