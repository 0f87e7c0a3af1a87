package cmd

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"zkafka/etc"
	"zkafka/systemd"
	"zkafka/zkd/config"
)

// configFlags are the flags of every command that reads the configuration.
type configFlags struct {
	file      string
	overrides []string
}

func (f *configFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.file, "config", "c", defaultConfig,
		"configuration: server.toml, or a zoo.cfg as it is")
	c.Flags().StringArrayVar(&f.overrides, "override", nil, "a setting, key=value; wins over the file")
}

// load reads the configuration with what the environment adds. Every error is a BadConfig.
func (f *configFlags) load() (*config.Config, []config.Note, error) {
	data, err := os.ReadFile(f.file)
	if err != nil {
		return nil, nil, systemd.BadConfig(fmt.Errorf("read the configuration: %w", err))
	}
	overrides, err := etc.ParseOverrides(f.overrides)
	if err != nil {
		return nil, nil, systemd.BadConfig(err)
	}
	flags := []string{os.Getenv("JVMFLAGS"), os.Getenv("SERVER_JVMFLAGS")}
	cfg, notes, err := config.Parse(f.file, data, flags, overrides)
	if err != nil {
		return nil, notes, systemd.BadConfig(err)
	}
	if !cfg.Standalone() || cfg.DynamicConfigFile != "" {
		return nil, notes, systemd.BadConfig(fmt.Errorf("%s names an ensemble, and this version "+
			"serves alone; it would not share one tree with the others. Remove the server lines to "+
			"run it alone", f.file))
	}
	return cfg, notes, nil
}

// explicit are the settings of the file, as load reads them.
func (f *configFlags) explicit() (map[string]string, error) {
	cfg, _, err := f.load()
	if err != nil {
		return nil, err
	}
	return cfg.Explicit(), nil
}
