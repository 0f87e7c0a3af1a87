package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"zkafka/kafkad/config"
	"zkafka/systemd"
)

func checkCommand() *cobra.Command {
	var flags configFlags
	c := &cobra.Command{
		Use: "check", Short: "Validate the configuration without starting", Args: cobra.NoArgs,
		Long: "check reads the configuration and looks at the log directories. It exits 0 when the\n" +
			"broker would start, 78 when the file is wrong, 1 when the machine is not ready.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, notes, err := flags.load()
			for _, n := range notes {
				fmt.Fprintln(c.ErrOrStderr(), "warning:", n.Text)
			}
			if err != nil {
				return err
			}
			usable, faults := usableDirs(cfg)
			if len(usable) == 0 {
				return errors.Join(faults...)
			}
			for _, f := range faults {
				fmt.Fprintln(c.ErrOrStderr(), "warning:", f)
			}
			fmt.Fprintln(c.OutOrStdout(), flags.file+": good")
			return nil
		},
	}
	flags.add(c)
	return c
}

// usableDirs are the log directories this user can work in, and what is wrong with the others. As
// in upstream, a broker starts as long as it has one.
func usableDirs(cfg *config.Config) (usable []string, faults []error) {
	for _, dir := range cfg.LogDirs {
		if err := systemd.UsableDir("log.dirs", dir, unit, "kafkad", true); err != nil {
			faults = append(faults, err)
			continue
		}
		usable = append(usable, dir)
	}
	return usable, faults
}
