package tool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A tool that streams is told when the reader of its pipe goes, though it writes nothing.
func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	streams := &Tool{Name: "x", Streams: true}
	streams.Main = func(ctx context.Context, env Env, _ *Parsed) int {
		fmt.Fprintln(env.Out, "one")
		if b, err := io.ReadAll(io.LimitReader(r, 4)); string(b) != "one\n" || ctx.Err() != nil {
			t.Errorf("before: read %q, %v, context %v", b, err, ctx.Err())
		}
		r.Close()
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), ErrOutput) {
			t.Errorf("the context ends with %v", context.Cause(ctx))
		}
		return 0
	}
	var errs bytes.Buffer
	if code := streams.Run(t.Context(), Env{Out: w, Err: &errs}, []string{"x"}); code != 0 {
		t.Errorf("exit code %d\n%s", code, errs.String())
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A tool fails when its output is lost, and one that streams ends then.
func TestFullOutput(t *testing.T) {
	for _, streams := range []bool{true, false} {
		cmd := &Tool{Name: "x", Streams: streams}
		cmd.Main = func(ctx context.Context, env Env, _ *Parsed) int {
			fmt.Fprintln(env.Out, "lost")
			if streams {
				<-ctx.Done()
			}
			return 0
		}
		var errs bytes.Buffer
		code := cmd.Run(t.Context(), Env{Out: full{}, Err: &errs}, []string{"x"})
		if code != ExitFailed || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("exit code %d\n%s", code, errs.String())
		}
	}
}
