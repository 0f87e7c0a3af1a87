// Package cmd holds kafkad's commands: the daemon, its checks and conversions, and the command line
// tools of upstream under their own names. It is the edge where files, environment, signals and the
// service manager are met; everything below gets values.
package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes. A bad configuration is EX_CONFIG, which keeps the service manager from restarting.
const (
	exitFault  = 1
	exitConfig = 78
)

// unit is the service unit that the package installs.
const unit = "kafka-server.service"

// defaultConfig is the file that the package installs.
const defaultConfig = "/etc/kafkad/server.toml"

// exitError ends the program with a code; without an error everything was said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// program is one of the names this binary answers to. As a subcommand of kafkad it goes without
// the prefix "kafka-".
type program struct {
	name string
	make func() *cobra.Command
}

// command is the program's command under its own name.
func (p program) command() *cobra.Command {
	c := p.make()
	_, args, _ := strings.Cut(c.Use, " ")
	c.Use = strings.TrimSpace(p.name + ".sh " + args)
	return c
}

// Links is every name besides kafkad that this binary answers to.
func Links() []string {
	var out []string
	for _, p := range append(programs(""), tools...) {
		out = append(out, p.name, p.name+".sh")
	}
	return out
}

// programs are the start and stop scripts.
func programs(version string) []program {
	return []program{
		{"kafka-server-start", func() *cobra.Command { return startScript(version) }},
		{"kafka-server-stop", stopScript},
	}
}

// Main runs the command that args name (args[0] is the program's own name) and returns the exit
// code.
func Main(args []string, version string) int {
	name := strings.TrimSuffix(filepath.Base(args[0]), ".sh")
	root := Root(version)
	for _, p := range append(programs(version), tools...) {
		if p.name == name {
			root = p.command()
		}
	}
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(args[1:])
	err := root.Execute()
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, name+": "+text)
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitFault
}

// Root is the kafkad command.
func Root(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   "kafkad",
		Short: "Kafka-compatible broker",
		Long: "kafkad is a Kafka broker in ZooKeeper mode, with Kafka's own files on disk.\n" +
			"Its service is " + unit + ", its configuration " + defaultConfig + ".",
		Version: version,
	}
	root.SetVersionTemplate("kafkad {{.Version}}\n")
	root.AddCommand(serveCommand(version), checkCommand(), configCommand(), fenceCommand(),
		versionCommand(version), manCommand(version), linksCommand())
	for _, t := range tools {
		c := t.make()
		_, rest, hasArgs := strings.Cut(c.Use, " ")
		c.Use = strings.TrimPrefix(t.name, "kafka-")
		if hasArgs {
			c.Use += " " + rest
		}
		root.AddCommand(c)
	}
	return root
}

func versionCommand(version string) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintln(c.OutOrStdout(), "kafkad", version)
		},
	}
}

func linksCommand() *cobra.Command {
	return &cobra.Command{
		Use: "links", Short: "Print the other names of this program", Args: cobra.NoArgs,
		Hidden: true,
		Run: func(c *cobra.Command, _ []string) {
			for _, l := range Links() {
				fmt.Fprintln(c.OutOrStdout(), l)
			}
		},
	}
}
