package cmd

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"zkafka/kafkad/config"
	"zkafka/systemd"
)

func serveCommand(version string) *cobra.Command {
	var flags configFlags
	c := &cobra.Command{
		Use: "serve", Short: "Run the broker", Args: cobra.NoArgs,
		Long: "serve runs the broker until it gets SIGTERM or SIGINT, and then stops cleanly. It\n" +
			"waits for ZooKeeper as long as it takes. SIGHUP checks the configuration again.\n" +
			"Exit status: 0 stopped, 1 fault, 78 bad configuration.",
		RunE: func(c *cobra.Command, _ []string) error {
			return serve(c.Context(), &flags, version)
		},
	}
	flags.add(c)
	return c
}

// daemon is one run of the broker.
type daemon struct {
	flags   *configFlags
	cfg     *config.Config
	log     *zap.Logger
	notify  systemd.Notifier
	hangup  chan os.Signal // SIGHUP; one that comes during the start waits for its end
	version string
	broker  broker
	fatal   chan error // the first fault that the broker cannot outlive
}

// serve runs the broker to its end. What goes wrong is logged here; the error only has the exit
// code.
func serve(ctx context.Context, flags *configFlags, version string) error {
	d := &daemon{flags: flags, log: newLogger(), version: version,
		hangup: make(chan os.Signal, 1), fatal: make(chan error, 1)}
	signal.Notify(d.hangup, syscall.SIGHUP) // from the first moment: by default it would kill
	defer signal.Stop(d.hangup)
	d.broker.log, d.broker.status, d.broker.fatal = d.log, d.status, d.fail
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
	d.cfg, d.broker.cfg = cfg, cfg
	if ctx == nil {
		ctx = context.Background()
	}
	stop, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := d.run(stop); err != nil {
		d.notify.Status("failed: %v", err)
		d.log.Error("the broker has failed", zap.Error(err))
		return &exitError{code: exitFault}
	}
	return nil
}

func (d *daemon) run(ctx context.Context) error {
	if err := d.prepare(); err != nil {
		return err
	}
	err := d.start(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		err = nil // told to stop while starting
	case err == nil:
		d.broker.serves.Store(true)
		d.status(d.broker.store.Status().Text)
		d.notify.Ready()
		d.log.Info("kafkad "+d.version+" serves", zap.Int32("BROKER", d.broker.id),
			zap.String("listeners", listenerTexts(d.cfg.Listeners)),
			systemd.MessageID(systemd.EventStarted))
		err = d.wait(ctx)
	}
	d.broker.serves.Store(false)
	d.notify.Stopping("stopping")
	err = errors.Join(err, d.stop())
	if err == nil {
		d.log.Info("kafkad has stopped", systemd.MessageID(systemd.EventStopped))
	}
	return err
}

// prepare makes missing log directories and gives up every file outside of them.
func (d *daemon) prepare() error {
	usable, faults := usableDirs(d.cfg)
	if len(usable) == 0 {
		return errors.Join(faults...)
	}
	for _, dir := range usable {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	file, err := filepath.Abs(d.flags.file)
	if err != nil {
		return err
	}
	if err := systemd.Confine(usable, []string{filepath.Dir(file)}); err != nil {
		d.log.Warn("the process keeps access to files it does not need", zap.Error(err))
	}
	return nil
}

// start brings the broker up, asking the service manager for more time as long as it recovers logs
// or waits for ZooKeeper.
func (d *daemon) start(ctx context.Context) error {
	ctx, started := context.WithCancel(ctx)
	defer started()
	go d.notify.KeepExtending(ctx)
	return d.broker.start(ctx)
}

// status is the line of `systemctl status`: what is waited for or done, and once the broker serves,
// its role.
func (d *daemon) status(text string) {
	if d.broker.serves.Load() {
		text += "; serving clients on " + listenerTexts(d.cfg.Listeners)
	}
	d.notify.Status("%s", text)
}

func listenerTexts(list []config.Listener) string {
	texts := make([]string, len(list))
	for i, l := range list {
		texts[i] = l.String()
	}
	return strings.Join(texts, ",")
}

func (d *daemon) fail(err error) {
	select {
	case d.fatal <- err:
	default: // an earlier one is reported
	}
}

// wait returns when the broker shall stop (nil) or has failed. Meanwhile the watchdog is fed
// through the loops that serve, and SIGHUP checks the configuration.
func (d *daemon) wait(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers.Go(func() { d.notify.Watchdog(ctx, d.broker.alive) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-d.fatal:
			return err
		case <-d.hangup:
			d.reload()
		}
	}
}

// reload reads the configuration again and says which changes wait for a restart: as with
// upstream's brokers, the file counts at start.
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
		zap.String("settings", strings.Join(changed, " ")),
		systemd.MessageID(systemd.EventReloaded))
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

// stopTimeout is how long requests in flight and the farewell to ZooKeeper may take; logs are
// flushed whatever it takes.
const stopTimeout = 30 * time.Second

func (d *daemon) stop() error {
	extending, stopped := context.WithCancel(context.Background())
	defer stopped()
	go d.notify.KeepExtending(extending)
	ctx, cancel := context.WithTimeout(extending, stopTimeout)
	defer cancel()
	return d.broker.stop(ctx)
}
