package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// UsableDir says what keeps the daemon from working in a data directory and what the operator can
// do, nil when nothing does. The key names the setting, the user the one whose directory it should
// be. With create, a missing directory is good when it can be made (it is not made here).
func UsableDir(key, dir string, unit Unit, user string, create bool) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		if hidden(dir) {
			return fmt.Errorf("%s=%s: %s hides %s from its service (ProtectHome=); move the data, or "+
				"run `systemctl edit %s` and write [Service] and ProtectHome=no", key, dir, unit,
				firstElement(dir), unit)
		}
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%s=%s: %w; the directories above it must be open to %s (chmod o+x)",
				key, dir, err, user)
		}
		if create && writable(existingParent(dir)) {
			return nil
		}
		return fmt.Errorf("%s=%s does not exist; make it: mkdir -p %s && chown -R %s:%s %s",
			key, dir, dir, user, user, dir)
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s=%s: %w; a part of the path is a file, name a directory", key, dir, err)
	case err != nil:
		return fmt.Errorf("%s=%s: %w", key, dir, err)
	case !info.IsDir():
		return fmt.Errorf("%s=%s is not a directory; move that file away, or name a directory", key, dir)
	case !writable(dir):
		return fmt.Errorf("%s=%s cannot be written by %s: %w; make it its own: chown -R %s:%s %s",
			key, dir, user, unix.Access(dir, unix.W_OK|unix.X_OK), user, user, dir)
	}
	return foreignFile(key, dir, user)
}

// foreignFile finds files in the directory that were left by a run as another user (mostly root).
func foreignFile(key, dir, user string) error {
	for _, pattern := range []string{"*", "version-2/*"} {
		names, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is well formed
		for _, name := range names {
			if info, err := os.Lstat(name); err != nil || info.Mode()&fs.ModeSymlink != 0 ||
				filepath.Base(name) == "lost+found" || filepath.Base(name) == "myid" {
				continue
			}
			if err := unix.Access(name, unix.R_OK|unix.W_OK); errors.Is(err, unix.EACCES) {
				return fmt.Errorf("%s=%s: %s belongs to somebody else; give all of it back: "+
					"chown -R %s:%s %s", key, dir, name, user, user, dir)
			}
		}
	}
	return nil
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }

// makeDir makes a directory and the parents it lacks, so that a power cut does not take them and
// what is written below. One that is there may be of a process that was killed in between.
func makeDir(dir string) error {
	dir = filepath.Clean(dir)
	top := existingParent(dir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		// A directory that we may not read, or whose filesystem has no such call, is left alone.
		err := syncDir(parent)
		if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("make the name of %s durable: %w", dir, err)
		}
		if parent == top {
			return nil
		}
	}
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}

func existingParent(dir string) string {
	for {
		dir = filepath.Dir(dir)
		if _, err := os.Stat(dir); err == nil || dir == "/" {
			return dir
		}
	}
}

// hidden: below the directories that ProtectHome=yes empties, in a process of the service manager.
func hidden(dir string) bool {
	switch firstElement(dir) {
	case "/home", "/root", "/run/user":
		return Supervised()
	}
	return false
}

func firstElement(dir string) string {
	parts := strings.SplitN(strings.TrimPrefix(filepath.Clean(dir), "/"), "/", 3)
	if len(parts) > 1 && parts[0] == "run" && parts[1] == "user" {
		return "/run/user"
	}
	return "/" + parts[0]
}
