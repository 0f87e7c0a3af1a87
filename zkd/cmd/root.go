// Package cmd holds zkd's commands: the daemon, its checks and conversions, the client, and the
// scripts of upstream under their own names. It is the edge where files, environment, signals and
// the service manager are met; everything below gets values.
package cmd

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"zkafka/etc"
	"zkafka/systemd"
)

// unit is the service unit that the package installs.
const unit = systemd.Unit("zookeeper-server.service")

// defaultConfig is the file that the package installs.
const defaultConfig = "/etc/zkd/server.toml"

// programs are the names besides zkd that this binary answers to.
func programs(version string) etc.Programs {
	return etc.Programs{
		"zkServer":               func() *cobra.Command { return serverScript(version) },
		"zkCli":                  func() *cobra.Command { return CLI(version) },
		"zookeeper-server-start": func() *cobra.Command { return startScript(version) },
		"zookeeper-server-stop":  stopScript,
	}
}

// Main runs the command that args name (args[0] is the program's own name) and returns the exit
// code.
func Main(args []string, version string) int {
	name := etc.ProgramName(args[0])
	c := programs(version).Command(name)
	if c == nil {
		c = Root(version)
	}
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args[1:])
	signal.Ignore(syscall.SIGPIPE) // whoever reads our output has not the say when we end
	out := systemd.NewOutput(os.Stdout)
	c.SetOut(out)
	err := etc.Execute(c)
	return systemd.Exit(name, out.Check(err))
}

// Root is the zkd command.
func Root(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   "zkd",
		Short: "ZooKeeper-compatible coordinator",
		Long: "zkd serves the ZooKeeper protocol, with ZooKeeper's own files on disk.\n" +
			"Its service is " + string(unit) + ", its configuration " + defaultConfig + ".",
		Version: version,
	}
	root.SetVersionTemplate("zkd {{.Version}}\n")
	root.AddCommand(serveCommand(version), checkCommand(), configCommand(), statusCommand(),
		etc.VersionCommand("zkd", version), manCommand(version), programs(version).LinksCommand(),
		programs(version).Subcommand("zkCli", "cli"))
	return root
}
