package commitlog

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"zkafka/kafkad/disk"
)

func TestDirectoryIsLocked(t *testing.T) {
	path := t.TempDir()
	mustOpen(t, nil, path)
	if _, err := OpenDir(Options{Path: path}); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
}

func TestPlacement(t *testing.T) {
	mem := disk.NewMem()
	a, b := mustOpen(t, mem, "/a"), mustOpen(t, mem, "/b")
	dirs := []*Dir{a, b}
	for i := range int32(5) {
		mustLog(t, Fewest(dirs), TP{"t", i}, DefaultConfig())
	}
	if a.Count() != 3 || b.Count() != 2 {
		t.Fatal(a.Count(), b.Count())
	}
	if err := Duplicates(dirs); err != nil {
		t.Fatal(err)
	}
	mustLog(t, b, TP{"t", 0}, DefaultConfig())
	if err := Duplicates(dirs); !errors.Is(err, ErrStorage) {
		t.Fatal(err)
	}
}

func TestNamesInTheDirectory(t *testing.T) {
	mem := disk.NewMem()
	for _, name := range []string{"a-b-0", "a-12", "x-0.0123456789abcdef0123456789abcdef-delete",
		"y-0.0123456789abcdef0123456789abcdef-future", "lost+found", "nodash", "t-x", "t-01"} {
		if err := mem.MkdirAll("/d/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := mustOpen(t, mem, "/d")
	if got := d.Existing(); !slices.Equal(got, []TP{{"a", 12}, {"a-b", 0}}) {
		t.Fatal(got)
	}
	if err := d.Sweep(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := mem.Stat("/d/x-0.0123456789abcdef0123456789abcdef-delete"); err == nil {
		t.Fatal("deletion is not resumed")
	}
	long := TP{strings.Repeat("n", 249), 7}
	if err := mustLog(t, d, long, DefaultConfig()).Delete(); err != nil {
		t.Fatal(err)
	}
	names, err := mem.List("/d")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if len(n) > maxName {
			t.Errorf("name of %d bytes", len(n))
		}
	}
}

func TestTopicID(t *testing.T) {
	mem := disk.NewMem()
	d := mustOpen(t, mem, "/d")
	l := mustLog(t, d, TP{"t", 0}, DefaultConfig())
	id := [16]byte{1, 2, 3}
	if err := l.SetTopicID(id); err != nil {
		t.Fatal(err)
	}
	b, err := readFile(mem, "/d/t-0/partition.metadata")
	if err != nil || string(b) != "version: 0\ntopic_id: AQIDAAAAAAAAAAAAAAAAAA" {
		t.Fatalf("%q %v", b, err)
	}
	if err := d.Close(1); err != nil {
		t.Fatal(err)
	}
	if l = mustLog(t, mustOpen(t, mem, "/d"), TP{"t", 0}, DefaultConfig()); l.TopicID() != id {
		t.Fatal(l.TopicID())
	}
}
