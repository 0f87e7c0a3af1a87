package systemd

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadConfig(t *testing.T) {
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked.toml")
	if err := os.WriteFile(locked, []byte("a = 1\n"), 0o000); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if data, err := ReadConfig(locked, "zkd"); err != nil || string(data) != "a = 1\n" {
			t.Errorf("%q, %v", data, err)
		}
		locked = "" // root may read everything
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file or directory; make the file, or name another one",
		dir:                        "is a directory; name a file in it",
		locked:                     "permission denied; let zkd read it: chgrp zkd " + locked + " && chmod 640 " + locked,
	} {
		if file == "" {
			continue
		}
		_, err := ReadConfig(file, "zkd")
		verb := "open "
		if file == dir {
			verb = "read "
		}
		want = "read the configuration: " + verb + file + ": " + want
		if err == nil || err.Error() != want || ExitCode(err) != ExitConfig {
			t.Errorf("exit code %d\n got %v\nwant %s", ExitCode(err), err, want)
		}
	}
}
