package cmd

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

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

// load reads the configuration with what the environment adds. Every error is exitConfig.
func (f *configFlags) load() (*config.Config, []config.Note, error) {
	data, err := os.ReadFile(f.file)
	if err != nil {
		return nil, nil, &exitError{exitConfig, fmt.Errorf("read the configuration: %w", err)}
	}
	overrides := map[string]string{}
	for _, o := range f.overrides {
		key, value, ok := strings.Cut(o, "=")
		if !ok {
			return nil, nil, &exitError{exitConfig, fmt.Errorf("--override %s: expected key=value", o)}
		}
		overrides[strings.TrimSpace(key)] = value
	}
	flags := []string{os.Getenv("JVMFLAGS"), os.Getenv("SERVER_JVMFLAGS")}
	cfg, notes, err := config.Parse(f.file, data, flags, overrides)
	if err != nil {
		return nil, notes, &exitError{exitConfig, err}
	}
	if !cfg.Standalone() || cfg.DynamicConfigFile != "" {
		return nil, notes, &exitError{exitConfig, fmt.Errorf("%s names an ensemble, and this version "+
			"serves alone; it would not share one tree with the others. Remove the server lines to "+
			"run it alone", f.file)}
	}
	return cfg, notes, nil
}
