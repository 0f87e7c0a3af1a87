package systemd

import (
	"errors"
	"fmt"
	"os"
)

// Exit codes of our programs. A bad configuration is EX_CONFIG, which keeps the service manager
// from starting the daemon again.
const (
	ExitFault  = 1
	ExitConfig = 78
)

// exitError ends the program with a code; without an error everything was said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// BadConfig makes err end the program with ExitConfig. The code of other errors is ExitFault.
func BadConfig(err error) error { return &exitError{ExitConfig, err} }

// Silent ends the program with a code after everything was said.
func Silent(code int) error { return &exitError{code: code} }

// ExitCode is the code that err ends a program with, 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return ExitFault
}

// Exit says on standard error what ended the program, unless that was said, and returns its code.
func Exit(program string, err error) int {
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, program+": "+err.Error())
	}
	return ExitCode(err)
}
