package systemdtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// CheckEvents fails the test for messages that nothing in the daemon's sources logs, seen from its
// cmd package: a message that was reworded would silently lose its MESSAGE_ID.
func CheckEvents(t *testing.T, events map[string]string) {
	t.Helper()
	sources, err := filepath.Glob("../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "/events.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for message := range events {
		if !bytes.Contains(all.Bytes(), []byte(`"`+message+`"`)) {
			t.Errorf("nothing logs %q", message)
		}
	}
}
