package systemdtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Main is TestMain for tests that use Program or Binary. The test binary is the program, too:
// processes made with Program run main with their arguments instead of the tests. main may be nil.
func Main(m *testing.M, main func(args []string) int) {
	if os.Getenv(asProgram) != "" {
		os.Exit(main(os.Args))
	}
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // what is left in the temporary directory fails no test
	}
	os.Exit(code)
}

const asProgram = "SYSTEMDTEST_PROGRAM"

// Program is the test binary as the program of Main, called by the name in args[0].
func Program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Env = append(os.Environ(), asProgram+"=1",
		"GORACE=atexit_sleep_ms=0") // else each process of a race build sleeps a second
	return cmd
}

// RunProgram runs the program to its end.
func RunProgram(t testing.TB, args ...string) (output string, code int) {
	t.Helper()
	p := Start(t, Program(args...))
	code = p.Exit()
	return p.Output(), code
}

// RunInto runs the program to its end with its standard output in a file, which is closed here as
// soon as the program has it.
func RunInto(t testing.TB, out *os.File, args ...string) (errors string, code int) {
	t.Helper()
	cmd := Program(args...)
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &errs
	err := cmd.Start()
	_ = out.Close()
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(Patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // the exit code tells
	return errs.String(), cmd.ProcessState.ExitCode()
}

// CheckClosedPipe runs a command line with a standard output that nobody reads, which is no fault.
func CheckClosedPipe(t *testing.T, args ...string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	if errs, code := RunInto(t, w, args...); code != 0 || errs != "" {
		t.Errorf("%v: exit code %d\n%s", args, code, errs)
	}
}

// CheckFullDevice runs command lines with a standard output that takes nothing, and wants each of
// them to say so and to fail.
func CheckFullDevice(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		errs, code := RunInto(t, full, strings.Fields(line)...)
		if code != 1 || !strings.Contains(errs, "standard output cannot be written: write /dev/stdout:"+
			" no space left on device") {
			t.Errorf("%s: exit code %d\n%s", line, code, errs)
		}
	}
}

// Binary is the file of zkd or kafkad: of the directory $ZKAFKA_BIN, or built once per test binary.
func Binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// built is the directory that build made, empty if there is none.
var built string

var build = sync.OnceValues(func() (dir string, err error) {
	if dir := os.Getenv("ZKAFKA_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	if built, err = os.MkdirTemp("", "zkafka-bin"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", built, "zkafka/zkd", "zkafka/kafkad")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return built, nil
})
