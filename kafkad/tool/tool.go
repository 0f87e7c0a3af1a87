// Package tool holds the command line tools that people know by the names kafka-topics,
// kafka-console-producer and so on: same options, same output, same exit codes as upstream's of
// 3.9, and where people still type them the older spellings (--zookeeper, --broker-list). They
// are clients like any other: nothing here knows the broker's insides.
//
// A tool runs on its caller's goroutine and owns the goroutines it starts; the context ends when
// the user interrupts it.
package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// Version is the Kafka release whose tools these are, as --version prints it.
const Version = "3.9.2"

// Env is where a tool reads and writes.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Terminal bool // In and Out are a terminal
}

// StandardEnv is the environment of a process.
func StandardEnv() Env {
	return Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Terminal: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())),
	}
}

// Tool is one command line tool.
type Tool struct {
	Name    string // with the prefix kafka-
	Summary string // one line, what the tool does
	options []option
	terse   bool // says only what is wrong with a command line, without listing the options
	run     func(ctx context.Context, env Env, p *parsed) int
	raw     func(ctx context.Context, env Env, args []string) int // reads its arguments itself
}

// Option is an option as documentation and completion need it.
type Option struct {
	Name, Help, Default string
	TakesArgument       bool
	ArgumentOptional    bool
}

// Options lists what the tool knows.
func (t *Tool) Options() []Option {
	out := make([]Option, len(t.options))
	for i := range t.options {
		o := &t.options[i]
		out[i] = Option{
			Name: o.name, Help: o.help, Default: o.def,
			TakesArgument: o.arg != noArgument, ArgumentOptional: o.arg == optional,
		}
	}
	return out
}

// Exit codes of an interrupted program, as shells and JVMs number them.
const (
	exitFailed      = 1
	exitInterrupted = 128 + int(syscall.SIGINT)
	exitTerminated  = 128 + int(syscall.SIGTERM)
)

// Run runs the tool and returns its exit code. Interrupting the process ends ctx.
func (t *Tool) Run(ctx context.Context, env Env, args []string) int {
	ctx, caught, stop := withSignals(ctx)
	defer stop()
	code := t.main(ctx, env, args)
	switch caught() {
	case os.Interrupt:
		return exitInterrupted
	case syscall.SIGTERM:
		return exitTerminated
	}
	return code
}

func (t *Tool) main(ctx context.Context, env Env, args []string) int {
	if t.raw != nil {
		return t.raw(ctx, env, args)
	}
	p, err := parse(t.options, args)
	if err != nil && t.terse {
		fmt.Fprintln(env.Err, err)
		return exitFailed
	}
	if err != nil {
		return t.usage(env, err.Error())
	}
	switch {
	case len(args) == 0 || p.has("help"):
		return t.usage(env, t.Summary)
	case p.has("version"):
		fmt.Fprintln(env.Out, Version)
		return 0
	}
	return t.run(ctx, env, p)
}

// usage prints a message and the options.
func (t *Tool) usage(env Env, message string) int {
	fmt.Fprintln(env.Err, message)
	printUsage(env.Err, t.options)
	return exitFailed
}

// withSignals ends the context at the first interrupt and tells which signal that was.
func withSignals(ctx context.Context) (context.Context, func() os.Signal, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case s := <-ch:
			signal.Stop(ch) // a second one ends the process at once
			cancel(signalError{s})
		case <-ctx.Done():
		}
	}()
	caught := func() os.Signal {
		var s signalError
		if errors.As(context.Cause(ctx), &s) {
			return s.Signal
		}
		return nil
	}
	return ctx, caught, func() {
		signal.Stop(ch)
		cancel(nil)
		<-done
	}
}

type signalError struct{ os.Signal }

func (e signalError) Error() string { return "interrupted: " + e.String() }

// keyValues reads options of the form key=value; the last of a key counts.
func keyValues(list []string) map[string]string {
	out := map[string]string{}
	for _, s := range list {
		k, v, _ := strings.Cut(s, "=")
		out[k] = v
	}
	return out
}
