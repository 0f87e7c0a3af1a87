// Package cmd holds kafkad's commands: the daemon, its checks and conversions, and the command line
// tools of upstream under their own names. It is the edge where files, environment, signals and the
// service manager are met; everything below gets values.
package cmd

import (
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"zkafka/etc"
	"zkafka/systemd"
)

// unit is the service unit that the package installs.
const unit = systemd.Unit("kafka-server.service")

// defaultConfig is the file that the package installs.
const defaultConfig = "/etc/kafkad/server.toml"

// programs are the names besides kafkad that this binary answers to: the scripts that start and
// stop the daemon, and the tools.
func programs(version string) etc.Programs {
	all := etc.Programs{
		"kafka-server-start": func() *cobra.Command { return startScript(version) },
		"kafka-server-stop":  stopScript,
	}
	maps.Copy(all, tools)
	return all
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

// Root is the kafkad command. A tool is a subcommand of it, without the prefix "kafka-".
func Root(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   "kafkad",
		Short: "Kafka-compatible broker",
		Long: "kafkad is a Kafka broker in ZooKeeper mode, with Kafka's own files on disk.\n" +
			"Its service is " + string(unit) + ", its configuration " + defaultConfig + ".",
		Version: version,
	}
	root.SetVersionTemplate("kafkad {{.Version}}\n")
	root.AddCommand(serveCommand(version), checkCommand(), configCommand(), fenceCommand(),
		etc.VersionCommand("kafkad", version), manCommand(version),
		programs(version).LinksCommand())
	for _, name := range slices.Sorted(maps.Keys(tools)) {
		root.AddCommand(tools.Subcommand(name, strings.TrimPrefix(name, "kafka-")))
	}
	return root
}
