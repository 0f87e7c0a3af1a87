package systemd

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary runs itself for what cannot be undone in this process.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CONFINE_TEST_DIR"); dir != "" {
		if err := tryConfined(dir); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// tryConfined confines this process to dir/data and dir/etc and looks what it can still do.
func tryConfined(dir string) error {
	data, etc, other := dir+"/data", dir+"/etc", dir+"/other"
	if err := Confine([]string{data}, []string{etc, dir + "/missing"}); err != nil {
		return err
	}
	var wrong []string
	expect := func(what string, err, want error) {
		if !errors.Is(err, want) || want == nil && err != nil {
			wrong = append(wrong, what+" gave "+errorText(err))
		}
	}
	expect("write data", os.WriteFile(data+"/new", []byte("x"), 0o600), nil)
	expect("rename in data", os.Rename(data+"/new", data+"/sub/newer"), nil)
	expect("truncate data", os.Truncate(data+"/sub/newer", 0), nil)
	expect("remove data", os.Remove(data+"/sub/newer"), nil)
	_, err := os.ReadFile(etc + "/file")
	expect("read configuration", err, nil)
	expect("write configuration", os.WriteFile(etc+"/file", nil, 0o600), fs.ErrPermission)
	_, err = os.ReadFile(other + "/file")
	expect("read elsewhere", err, fs.ErrPermission)
	expect("write elsewhere", os.WriteFile(other+"/new", nil, 0o600), fs.ErrPermission)
	_, err = os.ReadFile("/etc/hosts")
	if !errors.Is(err, fs.ErrNotExist) {
		expect("read /etc/hosts", err, nil)
	}
	// Threads that exist already are confined, too.
	ended := make(chan error)
	go func() { _, err := os.ReadFile(other + "/file"); ended <- err }()
	expect("read elsewhere from another thread", <-ended, fs.ErrPermission)
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}

func errorText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func TestConfine(t *testing.T) {
	// Version 2 of the interface allows renames between directories, 3 controls truncation.
	const versionFlag = 1
	abi, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, versionFlag)
	if errno != 0 || abi < 3 {
		t.Skipf("this kernel's Landlock is version %d (%v)", abi, errno)
	}
	dir := t.TempDir()
	for _, d := range []string{"data/sub", "etc", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"etc/file", "other/file"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CONFINE_TEST_DIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
