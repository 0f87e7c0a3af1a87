package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/metastore"
	"zkafka/systemd"
)

// sessionFile is where the ZooKeeper session outlives the process, in the first log directory.
const sessionFile = "zookeeper.session"

// fenceTimeout bounds `kafkad fence`: the service manager waits for it before a restart.
const fenceTimeout = 15 * time.Second

func fenceCommand() *cobra.Command {
	var flags configFlags
	c := &cobra.Command{
		Use: "fence", Short: "Close the ZooKeeper session of a dead broker", Args: cobra.NoArgs,
		Long: "fence closes the ZooKeeper session that a killed broker process of this machine left\n" +
			"behind, so that the controller moves its leaders at once instead of after\n" +
			"zookeeper.session.timeout.ms. It does nothing while a broker runs on the log\n" +
			"directories, and after a clean stop. The unit runs it as ExecStopPost=.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, _, err := flags.load()
			if err != nil {
				return err
			}
			log := systemd.NewLogger(zap.InfoLevel)
			dir := cfg.LogDirs[0]
			file := filepath.Join(dir, sessionFile)
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return nil // a clean stop
			}
			lock, err := disk.Real().Lock(filepath.Join(dir, ".lock"))
			if err != nil {
				return fmt.Errorf("a broker runs on %s: %w", dir, err)
			}
			defer func() { _ = lock.Close() }() // the process ends anyway
			ctx, cancel := context.WithTimeout(c.Context(), fenceTimeout)
			defer cancel()
			closed, err := metastore.Fence(ctx, metastore.FenceOptions{
				Connect: cfg.ZooKeeperConnect(), SessionFile: file, MachineID: systemd.MachineID(),
				SessionTimeout: cfg.ZooKeeperSessionTimeout, Log: log,
			})
			if err != nil {
				return fmt.Errorf("close the session of the dead broker: %w", err)
			}
			if closed {
				log.Info("closed the ZooKeeper session of the dead broker")
			}
			return nil
		},
	}
	flags.add(c)
	return c
}
