// Package admin serves the broker's metrics over HTTP (/metrics, for Prometheus) and a liveness
// page (/health), on an address of their own. Edge: the HTTP server's goroutines. Everything shown
// is collected when it is asked for, from views that the broker keeps anyway.
//
// Names are those that upstream's MBeans have behind the usual JMX exporter, so that dashboards go
// on working. What has no counterpart there begins with kafkad_.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/coordinator"
	"zkafka/kafkad/host"
)

// Options are the parts of the broker that are looked at.
type Options struct {
	Address string // host:port
	NodeID  int32
	// Image is the broker's view of the cluster, IsController whether it leads it.
	Image        func() *cluster.Image
	IsController func() bool
	Connections  func() int // open client connections
	Host         *host.Host
	Groups       *coordinator.Coordinator
	Log          *zap.Logger // nil = silent
}

// Admin is a running HTTP server.
type Admin struct {
	opts     Options
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
}

// idleTimeout is how long a silent connection is kept.
const idleTimeout = 30 * time.Second

// healthTimeout is how long the broker's loops may take to answer /health.
const healthTimeout = 5 * time.Second

// Start listens and serves until Close.
func Start(opts Options) (*Admin, error) {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	l, err := net.Listen("tcp", opts.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	a := &Admin{opts: opts, listener: l}
	reg := prometheus.NewRegistry()
	reg.MustRegister(a, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg,
		promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(opts.Log)}))
	mux.HandleFunc("GET /health", a.health)
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: idleTimeout,
		IdleTimeout: idleTimeout, ErrorLog: zap.NewStdLog(opts.Log)}
	a.serving.Go(func() {
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			opts.Log.Error("the metrics page ended", zap.Error(err))
		}
	})
	return a, nil
}

// Addr is the address that the server listens on.
func (a *Admin) Addr() net.Addr { return a.listener.Addr() }

// Close ends all requests.
func (a *Admin) Close() error {
	err := a.server.Close()
	a.serving.Wait()
	return err
}

// health answers 200 when every loop that serves partitions turns.
func (a *Admin) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	if err := a.opts.Host.Alive(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
