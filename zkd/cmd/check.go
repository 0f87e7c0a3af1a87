package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"zkafka/systemd"
	"zkafka/zkd/config"
)

func checkCommand() *cobra.Command {
	var flags configFlags
	c := &cobra.Command{
		Use: "check", Short: "Validate the configuration without starting", Args: cobra.NoArgs,
		Long: "check reads the configuration and looks at the data directories. It exits 0 when the\n" +
			"server would start, 78 when the file is wrong, 1 when the machine is not ready.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, notes, err := flags.load()
			for _, n := range notes {
				fmt.Fprintln(c.ErrOrStderr(), "warning:", n.Text)
			}
			if err != nil {
				return err
			}
			warnings, err := checkMachine(cfg)
			for _, w := range warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning:", w)
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), flags.file+": good")
			return nil
		},
	}
	flags.add(c)
	return c
}

// checkMachine looks whether the data directories can be used by this user.
func checkMachine(cfg *config.Config) (warnings []string, err error) {
	dirs := []string{cfg.DataDir}
	if cfg.DataLogDir != cfg.DataDir {
		dirs = append(dirs, cfg.DataLogDir)
	}
	for i, dir := range dirs {
		key := []string{"dataDir", "dataLogDir"}[i]
		if err := systemd.UsableDir(key, dir, unit, "zkd", cfg.DataDirAutoCreate); err != nil {
			return nil, err
		}
	}
	if text := checkMyID(cfg); text != "" {
		warnings = append(warnings, text)
	}
	return warnings, nil
}

// checkMyID looks at dataDir/myid. A server alone does not need it, but a file that is there and
// empty is the trace of `echo 1> myid`, which redirects an empty line instead of writing a 1.
func checkMyID(cfg *config.Config) string {
	file := filepath.Join(cfg.DataDir, "myid")
	data, err := os.ReadFile(file)
	switch text := strings.TrimSpace(string(data)); {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		return fmt.Sprintf("%s cannot be read: %v; it is a file with the number of this server: "+
			"echo 1 > %s && chown zkd:zkd %s", file, err, file, file)
	case text == "":
		return fmt.Sprintf("%s is empty; write the number of this server into it: echo 1 > %s "+
			"(with a blank before the >)", file, file)
	default:
		if n, err := strconv.ParseInt(text, 10, 64); err != nil || n < 0 {
			return fmt.Sprintf("%s says %q, which is not the number of a server; write it: echo 1 > %s",
				file, text, file)
		}
	}
	return ""
}
