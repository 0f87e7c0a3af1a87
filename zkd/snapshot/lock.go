package snapshot

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"zkafka/zkd/disk"
)

// lockName is the lock file in dataDir and dataLogDir. Apache's server has none and ignores it.
const lockName = ".zkd.lock"

// LockDirs makes sure that no other zkd uses the directories, until the result is closed.
func LockDirs(fsys disk.FS, dataDir, logDir string) (io.Closer, error) {
	dirs := []string{dataDir}
	if logDir != "" && filepath.Clean(logDir) != filepath.Clean(dataDir) {
		dirs = append(dirs, logDir)
	}
	var held locks
	for _, dir := range dirs {
		if err := fsys.MkdirAll(dir); err != nil {
			_ = held.Close()
			return nil, fmt.Errorf("create the data directory: %w", err)
		}
		l, err := fsys.Lock(filepath.Join(dir, lockName))
		if err != nil {
			_ = held.Close()
			return nil, fmt.Errorf("another server uses %s: %w", dir, err)
		}
		held = append(held, l)
	}
	return held, nil
}

type locks []io.Closer

func (l locks) Close() error {
	var errs []error
	for _, c := range l {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
