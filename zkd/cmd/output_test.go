package cmd

import (
	"fmt"
	"testing"

	"zkafka/systemd/systemdtest"
)

// No program ends well whose output cannot be written.
func TestFullDevice(t *testing.T) {
	file, _, port, _ := newConfig(t, "")
	start(t, "zkd", "serve", "--config", file).Until("READY=1")
	systemdtest.CheckFullDevice(t, "zkd config convert "+file, "zkd config keys", "zkd version",
		"zkd links", "zkd check --config "+file, "zkd --help", "zkd completion bash",
		"zkd status --config "+file, "zkServer.sh status "+file, "zkServer.sh version",
		fmt.Sprintf("zkCli.sh -server 127.0.0.1:%d ls /", port), "zkd cli --help", "zkCli version")
}

func TestClosedPipe(t *testing.T) {
	systemdtest.CheckClosedPipe(t, "zkd", "config", "keys")
	systemdtest.CheckClosedPipe(t, "zkCli", "version")
}
