package cmd

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"zkafka/systemd"
	"zkafka/zkd/cli"
)

// CLI is zkCli.sh: zkd cli, and the link of that name.
func CLI(version string) *cobra.Command {
	return &cobra.Command{
		Use:   "cli [-server HOST:PORT[,...][/CHROOT]] [-timeout MS] [-r] [COMMAND ARGS...]",
		Short: "Look at znodes and change them, as zkCli.sh does",
		Long: "Without a command it reads commands from the terminal, with history and\n" +
			"completion; \"help\" there lists them. The history, ~/.zkcli_history, holds what\n" +
			"was typed after addauth, so nobody else may read it.",
		Example: "  zkd cli -server zk1:2181 ls /brokers/ids\n" +
			"  zkd cli -server zk1:2181,zk2:2181/kafka",
		DisableFlagParsing:    true, // upstream's options have one dash
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			return runCLI(c, args, cli.Options{Version: version})
		},
	}
}

func runCLI(c *cobra.Command, args []string, opt cli.Options) error {
	for _, a := range args {
		if a == "--help" {
			if !c.HasParent() { // called by the link
				c.Use = strings.Replace(c.Use, "cli ", "zkCli.sh ", 1)
			}
			return c.Help()
		}
	}
	opt.In, opt.Out, opt.Err = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
	if opt.In == io.Reader(os.Stdin) && cli.IsTerminal(os.Stdin, os.Stdout) {
		opt.Terminal = true
		if home, err := os.UserHomeDir(); err == nil {
			opt.HistoryFile = filepath.Join(home, ".zkcli_history")
		}
	}
	if code := cli.Run(c.Context(), args, opt); code != 0 {
		return systemd.Silent(code)
	}
	return nil
}
