package systemd

import (
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
)

// Confine takes from this process every file it has not named: from now on it may write below the
// writable directories and read the readable paths (missing ones are passed over), besides what
// name resolution and the Go runtime read. It cannot be undone. Kernels without Landlock, or with
// less of it than we ask for, confine less; that is no error.
func Confine(writable, readable []string) error {
	rules := []landlock.Rule{
		landlock.RWDirs(writable...).WithRefer(),
		landlock.RWFiles("/dev/null").IgnoreIfMissing(),
		landlock.RWDirs("/dev/shm").IgnoreIfMissing(), // large journal entries pass through it
		landlock.ROFiles(systemFiles...).IgnoreIfMissing(),
		landlock.RODirs(systemDirs...).IgnoreIfMissing(),
		landlock.PathAccess(readAny, readable...).IgnoreIfMissing(),
	}
	if err := landlock.V5.BestEffort().RestrictPaths(rules...); err != nil {
		return fmt.Errorf("confine to %v: %w", writable, err)
	}
	return nil
}

// systemFiles are what resolving names, telling the time and knowing the users needs.
var systemFiles = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
	"/etc/services", "/etc/host.conf", "/etc/localtime", "/etc/machine-id", "/etc/passwd",
	"/etc/group", "/etc/gai.conf"}

// systemDirs: the resolver's file is a link into /run on many systems; the runtime looks at limits
// below /sys/fs/cgroup and /proc/self; the kernel's network settings are below /proc/sys/net.
var systemDirs = []string{"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager",
	"/usr/share/zoneinfo", "/sys/fs/cgroup", "/sys/kernel/mm", "/proc"}

const readAny = landlock.AccessFSSet(1<<2 | 1<<3) // read a file, list a directory
