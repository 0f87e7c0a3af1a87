// Kafkad is a Kafka broker in ZooKeeper mode. Everything it does is a command, see kafkad/cmd;
// under the names of upstream's scripts it behaves like them.
package main

import (
	"os"
	"runtime/debug"

	"zkafka/kafkad/cmd"
)

// version is set by the linker in releases.
var version = "dev"

func main() { os.Exit(cmd.Main(os.Args, buildVersion())) }

// buildVersion is the release, or else the commit that `go build` recorded.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if version != "dev" || !ok {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return version + "-" + s.Value[:12]
		}
	}
	return version
}
