// Package cmd holds zkd's commands: the daemon, its checks and conversions, the client, and the
// scripts of upstream under their own names. It is the edge where files, environment, signals and
// the service manager are met; everything below gets values.
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

// Unit is the service unit that the package installs.
const unit = "zookeeper-server.service"

// defaultConfig is the file that the package installs.
const defaultConfig = "/etc/zkd/server.toml"

// exitError ends the program with a code; an empty text was said already.
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

// program is one of the names this binary answers to.
type program struct {
	name string
	make func(version string) *cobra.Command
}

// command is the program's command under its own name.
func (p program) command(version string) *cobra.Command {
	c := p.make(version)
	_, args, _ := strings.Cut(c.Use, " ")
	c.Use = strings.TrimSpace(p.name + ".sh " + args)
	return c
}

// programs are the links that packages install, each with and without ".sh".
var programs = []program{
	{"zkServer", serverScript},
	{"zkCli", CLI},
	{"zookeeper-server-start", startScript},
	{"zookeeper-server-stop", stopScript},
}

// Links is every name besides zkd that this binary answers to.
func Links() []string {
	var out []string
	for _, p := range programs {
		out = append(out, p.name, p.name+".sh")
	}
	return out
}

// Main runs the command that args name (args[0] is the program's own name) and returns the exit
// code.
func Main(args []string, version string) int {
	name := strings.TrimSuffix(filepath.Base(args[0]), ".sh")
	root := Root(version)
	for _, p := range programs {
		if p.name == name {
			root = p.command(version)
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

// Root is the zkd command.
func Root(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   "zkd",
		Short: "ZooKeeper-compatible coordinator",
		Long: "zkd serves the ZooKeeper protocol, with ZooKeeper's own files on disk.\n" +
			"Its service is " + unit + ", its configuration " + defaultConfig + ".",
		Version: version,
	}
	root.SetVersionTemplate("zkd {{.Version}}\n")
	root.AddCommand(serveCommand(version), checkCommand(), configCommand(), statusCommand(),
		versionCommand(version), manCommand(), linksCommand(), cliCommand(version))
	return root
}

func versionCommand(version string) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "zkd", version) },
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

// cliCommand is zkCli as a subcommand.
func cliCommand(version string) *cobra.Command {
	c := CLI(version)
	_, args, _ := strings.Cut(c.Use, " ")
	c.Use = strings.TrimSpace("cli " + args)
	return c
}
