package cmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
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
	flags   *configFlags
	cfg     *config.Config
	log     *zap.Logger
	notify  systemd.Notifier
	hangup  chan os.Signal // SIGHUP; one that comes during the start waits for its end
	version string

	host   *host.Host
	server *server.Server
	admin  *admin.Admin
}

// serve runs the server to its end. What goes wrong is logged here; the error only has the exit
// code.
func serve(ctx context.Context, flags *configFlags, version string) error {
	d := &daemon{flags: flags, log: newLogger(), version: version,
		hangup: make(chan os.Signal, 1)}
	signal.Notify(d.hangup, syscall.SIGHUP) // from the first moment: by default it would kill
	defer signal.Stop(d.hangup)
	cfg, notes, err := flags.load()
	for _, n := range notes {
		d.log.Warn(n.Text)
	}
	if err != nil {
		d.notify.Status("bad configuration")
		for _, line := range strings.Split(err.Error(), "\n") {
			d.log.Error(line, systemd.MessageID(systemd.EventBadConfig))
		}
		return &exitError{code: exitConfig}
	}
	d.cfg = cfg
	if os.Getenv("GOGC") == "" {
		// The tree is most of the heap and lives for ever: collecting at half of it again costs
		// little time and spares a quarter of the memory.
		debug.SetGCPercent(50)
	}
	if ctx == nil {
		ctx = context.Background()
	}
	stop, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := d.run(stop); err != nil {
		d.notify.Status("failed: %v", err)
		d.log.Error("the server has failed", zap.Error(err))
		return &exitError{code: exitFault}
	}
	return nil
}

func (d *daemon) run(ctx context.Context) error {
	if err := d.prepare(); err != nil {
		return err
	}
	if err := d.open(ctx); err != nil {
		return errors.Join(err, d.close())
	}
	status := "standalone, serving clients on " + strings.Join(d.addresses(), " and ")
	d.notify.Status("%s", status)
	d.notify.Ready()
	d.log.Info("zkd "+d.version+" serves", zap.Strings("address", d.addresses()),
		zap.String("dataDir", d.cfg.DataDir), systemd.MessageID(systemd.EventStarted))
	err := d.wait(ctx)
	d.notify.Stopping("stopping")
	err = errors.Join(err, d.close())
	if err == nil {
		d.log.Info("zkd has stopped", systemd.MessageID(systemd.EventStopped))
	}
	return err
}

// prepare checks the machine, makes missing directories and gives up every other file.
func (d *daemon) prepare() error {
	warnings, err := checkMachine(d.cfg)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		d.log.Warn(w)
	}
	dirs := []string{d.cfg.DataDir, d.cfg.DataLogDir}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	file, err := filepath.Abs(d.flags.file)
	if err != nil {
		return err
	}
	if err := systemd.Confine(dirs, []string{filepath.Dir(file)}); err != nil {
		d.log.Warn("the process keeps access to files it does not need", zap.Error(err))
	}
	return nil
}

func (d *daemon) open(ctx context.Context) (err error) {
	d.notify.Status("loading %s", d.cfg.DataDir)
	loading, loaded := context.WithCancel(ctx)
	defer loaded()
	go d.notify.KeepExtending(loading)
	options := hostOptions(d.cfg)
	options.Log = d.log
	options.RecoveryProgress = func(zxid int64, txns int) {
		d.notify.Status("loading: %d transactions replayed, zxid 0x%x", txns, zxid)
	}
	if d.host, err = host.Open(options); err != nil {
		return err
	}
	if err := d.listen(); err != nil {
		return err
	}
	return nil
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
		TCPKeepAlive: cfg.ClientTCPKeepAlive, Log: d.log,
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; find who has it: ss -ltnp 'sport = :%d'", err, cfg.ClientPort)
	}
	if err != nil {
		return err
	}
	if err := d.openAdmin(); err != nil {
		d.log.Warn("the admin pages are off", zap.Error(err))
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
		MetricsAddress: cfg.MetricsAddress, Log: d.log,
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

// wait returns when the server shall stop (nil) or has failed. Meanwhile the watchdog is fed
// through the loop, and SIGHUP checks the configuration.
func (d *daemon) wait(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers.Go(func() {
		d.notify.Watchdog(ctx, func(probe context.Context) error {
			return d.host.View(probe, func(*replica.Machine) {})
		})
	})
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.host.Done():
			return d.host.Err()
		case <-d.hangup:
			d.reload()
		}
	}
}

// reload reads the configuration again and says which changes wait for a restart: this server has
// no setting that could change under its clients.
func (d *daemon) reload() {
	done := d.notify.Reloading()
	defer done()
	cfg, _, err := d.flags.load()
	if err != nil {
		d.log.Error("the changed configuration cannot be used; the old one stays in force",
			zap.Error(err), systemd.MessageID(systemd.EventBadConfig))
		return
	}
	changed := differences(d.cfg.Explicit(), cfg.Explicit())
	if len(changed) == 0 {
		d.log.Info("the configuration has not changed", systemd.MessageID(systemd.EventReloaded))
		return
	}
	d.log.Warn("the configuration has changed and is good; these settings wait for a restart",
		zap.String("settings", strings.Join(changed, " ")), systemd.MessageID(systemd.EventReloaded))
}

// differences are the names whose values differ, sorted.
func differences(a, b map[string]string) []string {
	var out []string
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			out = append(out, k)
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}

// stopTimeout is how long connections and the last sync may take before the process ends anyway;
// the unit's TimeoutStopSec is longer.
const stopTimeout = 45 * time.Second

// close stops what runs, in the reverse order of its start.
func (d *daemon) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	extending, stopped := context.WithCancel(ctx)
	defer stopped()
	go d.notify.KeepExtending(extending)
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
