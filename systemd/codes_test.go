package systemd

import (
	"os"
	"path/filepath"
	"testing"
)

// systemctl as it behaves when the daemon of a unit ends with an exit code.
const fakeSystemctl = `#!/bin/sh
case $1 in
show) echo $MAIN_STATUS ;;
*) exit $VERB_STATUS ;;
esac
`

// A unit that does not start because of its configuration is told from one that has a fault.
func TestUnitPassesExitCode(t *testing.T) {
	dir := t.TempDir()
	err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(fakeSystemctl), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, c := range []struct {
		verb, main string
		want       int
	}{{"0", "0", 0}, {"1", "78", ExitConfig}, {"1", "1", ExitFault}, {"3", "", ExitFault}} {
		t.Setenv("VERB_STATUS", c.verb)
		t.Setenv("MAIN_STATUS", c.main)
		if got := ExitCode(Unit("x.service").Do("start")); got != c.want {
			t.Errorf("systemctl %s, daemon %s: exit code %d, want %d", c.verb, c.main, got, c.want)
		}
	}
}
