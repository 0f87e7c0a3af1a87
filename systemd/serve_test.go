package systemd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// A run of a daemon that is reloaded, and stopped by the signal that a service manager sends.
func TestServe(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "")
	receive := manager(t)
	core, logs := observer.New(zapcore.InfoLevel)
	inForce := map[string]string{"a": "1", "b": "2", "gone": "3"}
	var reloads int
	err := Serve(t.Context(), "server", zap.New(core), func(ctx context.Context, s *Service) error {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
			return err
		}
		s.Wait(ctx, nil, nil, func() {
			s.Reload(inForce, func() (map[string]string, error) {
				reloads++
				return []map[string]string{{"a": "1", "b": "3", "new": "4"}, inForce, nil}[reloads-1],
					[]error{nil, nil, errors.New("cannot be read")}[reloads-1]
			})
			sig := []syscall.Signal{syscall.SIGHUP, syscall.SIGHUP, syscall.SIGTERM}[reloads-1]
			if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
				t.Error(err)
			}
		})
		return nil
	})
	if err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	for range 3 {
		for _, want := range []string{"RELOADING=1", "READY=1"} {
			if got := receive(); !strings.HasPrefix(got, want) {
				t.Errorf("sent %q, want %q", got, want)
			}
		}
	}
	var said []string
	for _, e := range logs.AllUntimed() {
		said = append(said, fmt.Sprint(e.Message, " ", e.ContextMap()["settings"]))
	}
	want := []string{
		"the configuration has changed and is good; these settings wait for a restart b gone new",
		"the configuration has not changed <nil>",
		"the changed configuration cannot be used; the old one stays in force <nil>",
	}
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("logged\n%s", strings.Join(said, "\n"))
	}
}

func TestServeFails(t *testing.T) {
	tests := []struct {
		err    error
		code   int
		status string
		lines  []string
	}{
		{errors.New("the disk\nis full"), ExitFault, "STATUS=failed: the disk\nis full",
			[]string{"the server has failed"}},
		{BadConfig(errors.New("one\ntwo")), ExitConfig, "STATUS=bad configuration",
			[]string{"one", "two"}},
		{fmt.Errorf("wrapped: %w", BadConfig(errors.New("one"))), ExitConfig,
			"STATUS=bad configuration", []string{"wrapped: one"}},
	}
	for _, tt := range tests {
		receive := manager(t)
		core, logs := observer.New(zapcore.InfoLevel)
		err := Serve(t.Context(), "server", zap.New(core),
			func(context.Context, *Service) error { return tt.err })
		if err == nil || err.Error() != "" || Exit("program", err) != tt.code {
			t.Errorf("%v ends with %q, code %d", tt.err, err, ExitCode(err))
		}
		if got := receive(); got != tt.status {
			t.Errorf("%v: sent %q", tt.err, got)
		}
		var said []string
		for _, e := range logs.AllUntimed() {
			said = append(said, e.Message)
		}
		if strings.Join(said, "\n") != strings.Join(tt.lines, "\n") {
			t.Errorf("%v: logged %q", tt.err, said)
		}
	}
}
