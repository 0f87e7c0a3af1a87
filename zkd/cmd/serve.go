package cmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"zkafka/systemd"
	"zkafka/zkd/admin"
	"zkafka/zkd/config"
	"zkafka/zkd/host"
	"zkafka/zkd/replica"
	"zkafka/zkd/server"
)

func serveCommand(version string) *cobra.Command {
	var flags configFlags
	c := &cobra.Command{
		Use: "serve", Short: "Run the server", Args: cobra.NoArgs,
		Long: "serve runs the server until it gets SIGTERM or SIGINT, and then stops cleanly.\n" +
			"SIGHUP checks the configuration again. Exit status: 0 stopped, 1 fault, 78 bad\n" +
			"configuration.",
		RunE: func(c *cobra.Command, _ []string) error {
			return serve(c.Context(), &flags, version)
		},
	}
	flags.add(c)
	return c
}

// daemon is one run of the server.
type daemon struct {
	*systemd.Service
	flags   *configFlags
	cfg     *config.Config
	version string

	host   *host.Host
	server *server.Server
	admin  *admin.Admin
}

// serve runs the server to its end. What goes wrong is logged; the error only has the exit code.
func serve(ctx context.Context, flags *configFlags, version string) error {
	return systemd.Serve(ctx, "server", newLogger(),
		func(ctx context.Context, s *systemd.Service) error {
			cfg, notes, err := flags.load()
			for _, n := range notes {
				s.Log.Warn(n.Text)
			}
			if err != nil {
				return err
			}
			if os.Getenv("GOGC") == "" {
				// The tree is most of the heap and lives for ever: collecting at half of it again
				// costs little time and spares a quarter of the memory.
				debug.SetGCPercent(50)
			}
			d := &daemon{Service: s, flags: flags, cfg: cfg, version: version}
			return d.run(ctx)
		})
}

func (d *daemon) run(ctx context.Context) error {
	warnings, err := checkMachine(d.cfg)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		d.Log.Warn(w)
	}
	if err := d.Settle([]string{d.cfg.DataDir, d.cfg.DataLogDir}, d.flags.file); err != nil {
		return err
	}
	if err := d.open(ctx); err != nil {
		return errors.Join(err, d.close())
	}
	d.Status("standalone, serving clients on %s", strings.Join(d.addresses(), " and "))
	d.Ready()
	d.Log.Info("zkd "+d.version+" serves", zap.Strings("address", d.addresses()),
		zap.String("dataDir", d.cfg.DataDir), systemd.MessageID(systemd.EventStarted))
	d.Wait(ctx, d.host.Done(), d.alive, d.reload)
	d.Stopping("stopping")
	err = d.close()
	if failure := d.host.Err(); failure != nil {
		d.Status("failed: %v", failure)
		return systemd.Silent(systemd.ExitFault) // the host has logged it when it happened
	}
	if err == nil {
		d.Log.Info("zkd has stopped", systemd.MessageID(systemd.EventStopped))
	}
	return err
}

func (d *daemon) open(ctx context.Context) (err error) {
	d.Status("loading %s", d.cfg.DataDir)
	defer d.KeepExtending(ctx)()
	options := hostOptions(d.cfg)
	options.Log = d.Log
	options.RecoveryProgress = func(zxid int64, txns int) {
		d.Status("loading: %d transactions replayed, zxid 0x%x", txns, zxid)
	}
	if d.host, err = host.Open(options); err != nil {
		return err
	}
	return d.listen()
}

// listen opens the client port and the admin pages. As upstream, the server does without the pages
// when their port is taken.
func (d *daemon) listen() error {
	cfg := d.cfg
	passed, err := systemd.Listeners()
	if err != nil {
		return err
	}
	var addresses []string
	if len(passed) == 0 {
		addresses = []string{cfg.ClientListen()}
	}
	d.server, err = server.New(server.Options{
		Host: d.host, Listeners: passed, Addresses: addresses,
		MaxClientCnxns: off(cfg.MaxClientConns), MaxCnxns: cfg.MaxConns,
		MaxFrame: cfg.JuteMaxBuffer, SessionlessTimeout: cfg.HandshakeTimeout,
		TCPKeepAlive: cfg.ClientTCPKeepAlive, Log: d.Log,
	})
	if err != nil {
		return systemd.ListenFault(err, "clientPort and clientPortAddress")
	}
	if err := d.openAdmin(); err != nil {
		d.Log.Warn("the admin pages are off", zap.Error(err))
		adminOptions := d.adminOptions()
		adminOptions.Address, adminOptions.MetricsAddress = "", ""
		if d.admin, err = admin.New(adminOptions); err != nil {
			return err
		}
	}
	d.admin.Start()
	d.server.Start(d.admin.FourLetter)
	return nil
}

func (d *daemon) openAdmin() (err error) {
	d.admin, err = admin.New(d.adminOptions())
	return err
}

func (d *daemon) adminOptions() admin.Options {
	cfg := d.cfg
	return admin.Options{
		Host: d.host, Server: d.server,
		Version: admin.Version(d.version, buildTime()),
		Words:   cfg.FourLetterWords, ClientPort: cfg.ClientPort, SecureClientPort: -1,
		ClientPortBacklog: -1, MaxClientCnxns: cfg.MaxClientConns,
		TickTime: cfg.TickTime, MinSessionTimeout: cfg.MinSessionTimeout,
		MaxSessionTimeout: cfg.MaxSessionTimeout, ConfigText: d.configText(),
		Address: cfg.AdminAddress, CommandURL: cfg.AdminCommandURL,
		MetricsAddress: cfg.MetricsAddress, Log: d.Log,
	}
}

// configText is the configuration as upstream's pages show it: its lines, without secrets.
func (d *daemon) configText() string {
	var out strings.Builder
	given := d.cfg.Explicit()
	for _, k := range slices.Sorted(maps.Keys(given)) {
		if strings.Contains(strings.ToLower(k), "password") || strings.HasSuffix(k, "superDigest") {
			continue
		}
		fmt.Fprintf(&out, "%s=%s\n", k, given[k])
	}
	return out.String()
}

// buildTime is the time of the commit this binary was built from, in upstream's form.
func buildTime() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return t.UTC().Format("2006-01-02 15:04")
			}
		}
	}
	return "1970-01-01 00:00"
}

// addresses are those that clients can reach, with the real port where any was asked for.
func (d *daemon) addresses() []string {
	var out []string
	for _, a := range d.server.Addrs() {
		out = append(out, a.String())
	}
	return out
}

// alive is the watchdog's question: does the loop turn?
func (d *daemon) alive(ctx context.Context) error {
	return d.host.View(ctx, func(*replica.Machine) {})
}

// reload checks a changed configuration: this server has no setting that could change under its
// clients.
func (d *daemon) reload() { d.Reload(d.cfg.Explicit(), d.flags.explicit) }

// stopTimeout is how long connections and the last sync may take before the process ends anyway;
// the unit's TimeoutStopSec is longer.
const stopTimeout = 45 * time.Second

// close stops what runs, in the reverse order of its start.
func (d *daemon) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	defer d.KeepExtending(ctx)()
	var errs []error
	if d.server != nil {
		d.server.Close()
	}
	if d.admin != nil {
		d.admin.Close()
	}
	if d.host != nil {
		errs = append(errs, d.host.Close(ctx))
	}
	return errors.Join(errs...)
}

// hostOptions translates the settings. The host's zero values are upstream's defaults, so "off"
// has to be said.
func hostOptions(cfg *config.Config) host.Options {
	return host.Options{
		DataDir: cfg.DataDir, DataLogDir: cfg.DataLogDir,
		TickTime: cfg.TickTime, MinSessionTimeout: cfg.MinSessionTimeout,
		MaxSessionTimeout:      cfg.MaxSessionTimeout,
		MaxLength:              cfg.JuteMaxBuffer,
		GlobalOutstandingLimit: cfg.GlobalOutstandingMax,
		SkipACL:                cfg.SkipACL, SuperDigest: cfg.SuperDigest,
		DigestAlg: cfg.DigestAlgorithm, DigestDisabled: !cfg.DigestAuthEnabled,
		ExtendedTypes: cfg.ExtendedTypes, TxnDigestsDisabled: !cfg.DigestEnabled,
		ContainerCheckInterval: cfg.ContainerInterval,
		ContainerMaxPerMinute:  int64(cfg.ContainerMaxPerMinute),
		ContainerMaxNeverUsed:  cfg.ContainerNeverUsed,
		SnapCount:              cfg.SnapCount,
		SnapSizeLimitBytes:     off(cfg.SnapSizeLimitBytes),
		TxnLogSizeLimitBytes:   max(cfg.TxnLogSizeLimit, 0),
		PreallocBytes:          off(cfg.PreAllocBytes),
		NoSync:                 !cfg.ForceSync,
		FsyncWarningThreshold:  cfg.FsyncWarning,
		SnapRetainCount:        cfg.PurgeRetain,
		PurgeInterval:          cfg.PurgeInterval,
		TrustEmptySnapshot:     cfg.TrustEmptySnapshot,
		NoCreateDirs:           !cfg.DataDirAutoCreate,
	}
}

// off says "none" to packages whose zero value is a default.
func off[N int | int64](n N) N {
	if n <= 0 {
		return -1
	}
	return n
}
