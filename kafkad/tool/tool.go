// Package tool is the frame of the command line tools that people know by the names kafka-topics,
// kafka-console-producer and so on: reading options and printing their help as upstream's tools
// of 3.9 do, the settings of Java clients, exit codes, signals. The tools themselves are in
// console and manage. They are clients like any other: nothing here knows the broker's insides.
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
	"slices"
	"sync"
	"syscall"

	"golang.org/x/term"

	"zkafka/systemd"
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

// Tool is one command line tool. Either Main or Raw is set.
type Tool struct {
	Name    string // with the prefix kafka-
	Summary string // one line, what the tool does
	Options []Option
	Terse   bool // says only what is wrong with a command line, without listing the options
	Streams bool // prints until it is told to stop; its context ends when nobody reads that

	// Main runs the tool and returns its exit code.
	Main func(ctx context.Context, env Env, p *Parsed) int
	// Raw runs a tool that reads its arguments itself.
	Raw func(ctx context.Context, env Env, args []string) int
}

// AllOptions lists the tool's options and those that every tool has.
func (t *Tool) AllOptions() []Option {
	if t.Raw != nil {
		return t.Options
	}
	return slices.Concat(t.Options, helpOptions)
}

// ExitFailed is the exit code of a tool that could not do what it was asked to.
const ExitFailed = 1

// exitSignal plus its number is the exit code after a signal, as shells and JVMs have it.
const exitSignal = 128

// Run runs the tool and returns its exit code. Interrupting the process ends ctx. The tool may
// write to its Err from several goroutines. A tool fails whose output could not be written, but not
// one whose reader has gone: upstream's take no notice of that.
func (t *Tool) Run(ctx context.Context, env Env, args []string) int {
	env.Err = &sharedWriter{w: env.Err}
	file, out := env.Out, systemd.NewOutput(env.Out)
	env.Out = out
	ctx, caught, stop := withSignals(ctx)
	defer stop()
	if t.Streams {
		var stopWatch func()
		ctx, stopWatch = whileRead(ctx, out, file)
		defer stopWatch()
	}
	code := t.main(ctx, env, args)
	if err := out.Err(); err != nil {
		fmt.Fprintln(env.Err, "ERROR", err)
		if code == 0 {
			code = ExitFailed
		}
	}
	if s, ok := caught().(syscall.Signal); ok {
		return exitSignal + int(s)
	}
	return code
}

// sharedWriter writes one piece at a time.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

func (t *Tool) main(ctx context.Context, env Env, args []string) int {
	if t.Raw != nil {
		return t.Raw(ctx, env, args)
	}
	p, err := Parse(t.AllOptions(), args)
	if err != nil && t.Terse {
		fmt.Fprintln(env.Err, err)
		return ExitFailed
	}
	if err != nil {
		return t.Usage(env, err.Error())
	}
	switch {
	case len(args) == 0 || p.Has("help"):
		return t.Usage(env, t.Summary)
	case p.Has("version"):
		fmt.Fprintln(env.Out, Version)
		return 0
	}
	return t.Main(ctx, env, p)
}

// Usage prints a message and the options, and returns the exit code.
func (t *Tool) Usage(env Env, message string) int {
	fmt.Fprintln(env.Err, message)
	printUsage(env.Err, t.AllOptions())
	return ExitFailed
}

// Fail prints why the tool failed, after a UsageError also the options, and returns the exit
// code.
func (t *Tool) Fail(env Env, err error) int {
	var u UsageError
	if errors.As(err, &u) {
		return t.Usage(env, string(u))
	}
	fmt.Fprintln(env.Err, err)
	return ExitFailed
}

// withSignals ends the context at the first interrupt and tells which signal that was.
func withSignals(ctx context.Context) (context.Context, func() os.Signal, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ch := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // nohup, and shells about what they run in the background, ignore some
			signal.Notify(ch, s)
		}
	}
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
