package cmd

import (
	"context"
	"errors"
	"strings"
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
	*systemd.Service
	flags   *configFlags
	cfg     *config.Config
	version string
	broker  broker
	failed  context.Context // ends with the first fault that the broker cannot outlive as cause
}

// serve runs the broker to its end. What goes wrong is logged; the error only has the exit code.
func serve(ctx context.Context, flags *configFlags, version string) error {
	return systemd.Serve(ctx, "broker", newLogger(),
		func(ctx context.Context, s *systemd.Service) error {
			cfg, notes, err := flags.load()
			for _, n := range notes {
				s.Log.Warn(n.Text)
			}
			if err != nil {
				return err
			}
			d := &daemon{Service: s, flags: flags, cfg: cfg, version: version}
			failed, fail := context.WithCancelCause(context.Background())
			defer fail(nil)
			d.failed = failed
			d.broker.cfg, d.broker.log = cfg, s.Log
			d.broker.status, d.broker.fatal = d.status, fail
			return d.run(ctx)
		})
}

func (d *daemon) run(ctx context.Context) error {
	usable, faults := usableDirs(d.cfg)
	if len(usable) == 0 {
		return errors.Join(faults...)
	}
	if err := d.Settle(usable, d.flags.file); err != nil {
		return err
	}
	err := d.start(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		err = nil // told to stop while starting
	case err == nil:
		d.broker.serves.Store(true)
		d.status(d.broker.store.Status().Text)
		d.Ready()
		d.Log.Info("kafkad "+d.version+" serves", zap.Int32("BROKER", d.broker.id),
			zap.String("listeners", listenerTexts(d.cfg.Listeners)),
			systemd.MessageID(systemd.EventStarted))
		d.Wait(ctx, d.failed.Done(), d.broker.alive, d.reload)
		err = context.Cause(d.failed)
	}
	d.broker.serves.Store(false)
	d.Stopping("stopping")
	err = errors.Join(err, d.stop())
	if err == nil {
		d.Log.Info("kafkad has stopped", systemd.MessageID(systemd.EventStopped))
	}
	return err
}

// start brings the broker up, asking the service manager for more time as long as it recovers logs
// or waits for ZooKeeper.
func (d *daemon) start(ctx context.Context) error {
	defer d.KeepExtending(ctx)()
	return d.broker.start(ctx)
}

// status is the line of `systemctl status`: what is waited for or done, and once the broker serves,
// its role.
func (d *daemon) status(text string) {
	if d.broker.serves.Load() {
		text += "; serving clients on " + listenerTexts(d.cfg.Listeners)
	}
	d.Status("%s", text)
}

func listenerTexts(list []config.Listener) string {
	texts := make([]string, len(list))
	for i, l := range list {
		texts[i] = l.String()
	}
	return strings.Join(texts, ",")
}

// reload checks a changed configuration: as with upstream's brokers, the file counts at start.
func (d *daemon) reload() { d.Reload(d.cfg.Explicit(), d.flags.explicit) }

// stopTimeout is how long requests in flight and the farewell to ZooKeeper may take; logs are
// flushed whatever it takes.
const stopTimeout = 30 * time.Second

func (d *daemon) stop() error {
	defer d.KeepExtending(context.Background())()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return d.broker.stop(ctx)
}
