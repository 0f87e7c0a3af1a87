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
	data, err := systemd.ReadConfig(f.file, "zkd")
	if err != nil {
		return nil, nil, err
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
		return nil, notes, systemd.BadConfig(ensemble(f.file, data, cfg))
	}
	return cfg, notes, nil
}

// ensemble is the fault of a file that names more than one server.
func ensemble(file string, data []byte, cfg *config.Config) error {
	fault := &etc.Fault{File: file, Key: "dynamicConfigFile", Message: "dynamicConfigFile names an " +
		"ensemble", Hint: "remove it to run this server alone"}
	if n := len(cfg.Servers); n > 0 {
		fault.Key = fmt.Sprintf("server.%d", cfg.Servers[n-1].ID)
		fault.Message = fault.Key + " is of an ensemble"
		fault.Hint = "remove the server lines to run this server alone"
	}
	fault.Message += ", and this version serves alone: it would not share one tree with the others"
	if parsed, err := etc.Read(file, data); err == nil {
		fault.Line = parsed.Line(fault.Key)
	}
	return fault
}

// explicit are the settings of the file, as load reads them.
func (f *configFlags) explicit() (map[string]string, error) {
	cfg, _, err := f.load()
	if err != nil {
		return nil, err
	}
	return cfg.Explicit(), nil
}
