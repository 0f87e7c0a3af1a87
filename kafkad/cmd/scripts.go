package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"zkafka/systemd"
)

// daemonPatience is how long -daemon waits for the broker, to tell at once when it cannot start.
const daemonPatience = 10 * time.Second

// startScript is kafka-server-start.sh: [-daemon] FILE [--override key=value]...
func startScript(version string) *cobra.Command {
	return &cobra.Command{
		Use:                "kafka-server-start.sh [-daemon] FILE [--override key=value]...",
		Short:              "Run the broker",
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			background, flags, err := parseStart(args)
			if err != nil {
				return err
			}
			if !background {
				return serve(c.Context(), flags, version)
			}
			command := []string{"serve", "--config", flags.file}
			for _, o := range flags.overrides {
				command = append(command, "--override", o)
			}
			ctx, cancel := context.WithTimeout(c.Context(), daemonPatience)
			defer cancel()
			_, err = systemd.Spawn(ctx, systemd.OutputFile("kafkaServer.out"), command...)
			if errors.Is(err, systemd.ErrNotReady) { // it waits for ZooKeeper, most likely
				fmt.Fprintln(c.ErrOrStderr(), err)
				return nil
			}
			return err
		},
	}
}

var errStartUsage = errors.New(
	"USAGE: kafka-server-start.sh [-daemon] server.properties [--override property=value]*")

func parseStart(args []string) (background bool, flags *configFlags, err error) {
	flags = &configFlags{}
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-daemon" && flags.file == "":
			background = true
		case arg == "--override" && flags.file != "" && i+1 < len(args):
			i++
			flags.overrides = append(flags.overrides, args[i])
		case len(arg) > 0 && arg[0] != '-' && flags.file == "":
			flags.file = arg
		default:
			return false, nil, errStartUsage
		}
	}
	if flags.file == "" {
		return false, nil, errStartUsage
	}
	return background, flags, nil
}

// stopScript is kafka-server-stop.sh.
func stopScript() *cobra.Command {
	return &cobra.Command{
		Use: "kafka-server-stop.sh", Short: "Stop the broker on this machine",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), 5*time.Minute)
			defer cancel()
			err := unit.StopServing(ctx)
			if errors.Is(err, systemd.ErrNotRunning) {
				fmt.Fprintln(c.OutOrStdout(), "No kafka server to stop")
				return systemd.Silent(systemd.ExitFault)
			}
			return err
		},
	}
}
