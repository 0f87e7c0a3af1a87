package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ReadConfig reads a configuration file. What keeps it from being read is a BadConfig that names
// the file and the way out; user is the one that the daemon runs as.
func ReadConfig(file, user string) ([]byte, error) {
	data, err := os.ReadFile(file)
	hint := ""
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, fs.ErrNotExist):
		hint = "; make the file, or name another one"
	case errors.Is(err, syscall.EISDIR):
		hint = "; name a file in it"
	case errors.Is(err, fs.ErrPermission):
		hint = fmt.Sprintf("; let %s read it: chgrp %s %s && chmod 640 %s", user, user, file, file)
	}
	return nil, BadConfig(fmt.Errorf("read the configuration: %w%s", err, hint))
}
