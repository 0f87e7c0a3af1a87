package admin

import (
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

// environment is what envi shows. The keys are upstream's, because tools look for zookeeper.version
// and host.name among them; of the Java ones those remain that have a counterpart.
func environment(version string) object {
	var o object
	o.add("zookeeper.version", version)
	o.add("host.name", hostName())
	o.add("java.version", "<NA>")
	o.add("java.vendor", "<NA>")
	o.add("java.home", "<NA>")
	o.add("java.class.path", executable())
	o.add("java.library.path", "<NA>")
	o.add("java.io.tmpdir", os.TempDir())
	o.add("java.compiler", runtime.Version())
	o.add("os.name", "Linux")
	o.add("os.arch", runtime.GOARCH)
	o.add("os.version", kernel())
	name, home := account()
	o.add("user.name", name)
	o.add("user.home", home)
	dir, err := os.Getwd()
	if err != nil {
		dir = "<NA>"
	}
	o.add("user.dir", dir)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	o.add("os.memory.free", megabytes(m.HeapIdle-m.HeapReleased))
	o.add("os.memory.max", megabytes(m.Sys))
	o.add("os.memory.total", megabytes(m.HeapSys))
	return o
}

func megabytes(n uint64) string { return fmt.Sprintf("%dMB", n>>20) }

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "<NA>"
	}
	return name
}

func executable() string {
	path, err := os.Executable()
	if err != nil {
		return "<NA>"
	}
	return path
}

func kernel() string {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return "<NA>"
	}
	var b []byte
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}

func account() (name, home string) {
	u, err := user.Current()
	if err != nil {
		return strconv.Itoa(os.Getuid()), "<NA>"
	}
	return u.Username, u.HomeDir
}
