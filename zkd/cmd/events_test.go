package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A message that was reworded would silently lose its MESSAGE_ID.
func TestEventsAreLogged(t *testing.T) {
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
