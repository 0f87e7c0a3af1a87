package systemd

import (
	"context"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"go.uber.org/zap"
)

// Service is the process of a daemon that runs. The Notifier tells the service manager of it.
type Service struct {
	Notifier
	Log    *zap.Logger
	hangup chan os.Signal // SIGHUP; one that comes during the start waits for its end
}

// Serve runs a daemon to its end: run gets a context that SIGTERM and SIGINT end, and returns when
// everything has stopped. What goes wrong is logged here, line by line if it is a BadConfig, unless
// it is Silent; the error only has the exit code. name is what the log calls the daemon.
func Serve(
	ctx context.Context, name string, log *zap.Logger, run func(context.Context, *Service) error,
) error {
	s := &Service{Log: log, hangup: make(chan os.Signal, 1)}
	signal.Notify(s.hangup, syscall.SIGHUP) // from the first moment: by default it would kill
	defer signal.Stop(s.hangup)
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	err := run(ctx, s)
	code := ExitCode(err)
	switch code {
	case 0:
		return nil
	case ExitConfig:
		s.Status("bad configuration")
		for line := range strings.SplitSeq(err.Error(), "\n") {
			log.Error(line, MessageID(EventBadConfig))
		}
	default:
		if err.Error() == "" {
			break // everything was said
		}
		s.Status("failed: %v", err)
		log.Error("the "+name+" has failed", zap.Error(err))
	}
	return Silent(code)
}

// Settle makes the daemon's data directories and gives up every file outside of them but those
// beside its configuration.
func (s *Service) Settle(dirs []string, config string) error {
	for _, dir := range dirs {
		if err := makeDir(dir); err != nil {
			return err
		}
	}
	file, err := filepath.Abs(config)
	if err != nil {
		return err
	}
	if err := Confine(dirs, []string{filepath.Dir(file)}); err != nil {
		s.Log.Warn("the process keeps access to files it does not need", zap.Error(err))
	}
	return nil
}

// Wait returns when the daemon shall stop, as ctx ends, or failed is closed. Meanwhile the watchdog
// is fed as long as alive answers, and each SIGHUP calls reload.
func (s *Service) Wait(
	ctx context.Context, failed <-chan struct{},
	alive func(ctx context.Context) error, reload func(),
) {
	var workers sync.WaitGroup
	defer workers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers.Go(func() { s.Watchdog(ctx, alive) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-failed:
			return
		case <-s.hangup:
			reload()
		}
	}
}

// Reload reads the configuration again with load and says which settings differ from those that are
// in force: they wait for a restart.
func (s *Service) Reload(inForce map[string]string, load func() (map[string]string, error)) {
	done := s.Reloading()
	defer done()
	settings, err := load()
	if err != nil {
		s.Log.Error("the changed configuration cannot be used; the old one stays in force",
			zap.Error(err), MessageID(EventBadConfig))
		return
	}
	changed := differences(inForce, settings)
	if len(changed) == 0 {
		s.Log.Info("the configuration has not changed", MessageID(EventReloaded))
		return
	}
	s.Log.Warn("the configuration has changed and is good; these settings wait for a restart",
		zap.String("settings", strings.Join(changed, " ")), MessageID(EventReloaded))
}

// differences are the names whose values differ, sorted.
func differences(a, b map[string]string) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	maps.DeleteFunc(all, func(k, _ string) bool {
		v, inA := a[k]
		w, inB := b[k]
		return inA && inB && v == w
	})
	return slices.Sorted(maps.Keys(all))
}
