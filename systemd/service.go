package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Unit is a service unit that the packages install.
type Unit string

// Installed reports whether systemd runs this machine and knows the unit.
func (u Unit) Installed() bool {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return false
	}
	return exec.Command("systemctl", "cat", "--no-pager", string(u)).Run() == nil
}

// Active reports whether the unit runs or is about to.
func (u Unit) Active() bool {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return false
	}
	out, _ := exec.Command("systemctl", "is-active", string(u)).Output()
	state := strings.TrimSpace(string(out))
	return state == "active" || state == "activating" || state == "reloading"
}

// Do runs a verb of systemctl (start, stop, restart) on the unit, with its output on ours. If the
// daemon refuses its configuration, the error has that exit code: systemctl's own says nothing.
func (u Unit) Do(verb string) error {
	cmd := exec.Command("systemctl", verb, string(u))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("systemctl %s %s: %w", verb, u, err)
	status, _ := exec.Command("systemctl", "show", "--property=ExecMainStatus", "--value",
		string(u)).Output() // without an answer the fault is an ordinary one
	if strings.TrimSpace(string(status)) == strconv.Itoa(ExitConfig) {
		return BadConfig(err)
	}
	return err
}

// StopServing stops the unit if it is active, and else every process that Serving finds. Without
// any it is ErrNotRunning.
func (u Unit) StopServing(ctx context.Context) error {
	if u.Active() {
		return u.Do("stop")
	}
	pids := Serving()
	if len(pids) == 0 {
		return ErrNotRunning
	}
	for _, pid := range pids {
		if err := Stop(ctx, pid); err != nil && !errors.Is(err, ErrNotRunning) {
			return err
		}
	}
	return nil
}

// Supervised reports whether a service manager started this process.
func Supervised() bool { return os.Getenv("INVOCATION_ID") != "" }

// MachineID is the identity of this installation (/etc/machine-id), empty when there is none.
func MachineID() string {
	data, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return ""
	}
	id := strings.TrimSpace(string(data))
	if id == "uninitialized" {
		return ""
	}
	return id
}

// ErrNotRunning says that there is no process to stop.
var ErrNotRunning = errors.New("not running")

// ErrNotReady says that a started process has not become ready in time; it goes on starting.
var ErrNotReady = errors.New("it is not ready yet and goes on starting")
