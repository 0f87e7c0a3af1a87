package manage

import (
	"context"
	"os"
	"path/filepath"

	"zkafka/kafkad/tool"
	"zkafka/zkd/cli"
)

// ZookeeperShell is zookeeper-shell: the server is its first argument, what follows is one
// command of zkCli; without a command it reads them from standard input.
func ZookeeperShell() *tool.Tool {
	return &tool.Tool{
		Name:    "zookeeper-shell",
		Summary: "This tool runs commands against ZooKeeper.",
		Raw: func(ctx context.Context, env tool.Env, args []string) int {
			opt := cli.Options{
				In: env.In, Out: env.Out, Err: env.Err, Version: tool.Version,
				Terminal: env.Terminal, Shell: true,
			}
			if home, err := os.UserHomeDir(); err == nil {
				opt.HistoryFile = filepath.Join(home, ".zookeeper_shell_history")
			}
			return cli.Run(ctx, args, opt)
		},
	}
}
