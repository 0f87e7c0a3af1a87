package tool

import (
	"context"
	"os"
	"path/filepath"

	"zkafka/zkd/cli"
)

// ZookeeperShell is zookeeper-shell: the server is its first argument, what follows is one
// command of zkCli; without a command it reads them from standard input.
func ZookeeperShell() *Tool {
	return &Tool{
		Name:    "zookeeper-shell",
		Summary: "This tool runs commands against ZooKeeper.",
		raw: func(ctx context.Context, env Env, args []string) int {
			opt := cli.Options{
				In: env.In, Out: env.Out, Err: env.Err, Version: Version,
				Terminal: env.Terminal, Shell: true,
			}
			if home, err := os.UserHomeDir(); err == nil {
				opt.HistoryFile = filepath.Join(home, ".zookeeper_shell_history")
			}
			return cli.Run(ctx, args, opt)
		},
	}
}
