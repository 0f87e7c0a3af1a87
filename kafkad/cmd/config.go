package cmd

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"zkafka/etc"
	"zkafka/kafkad/config"
	"zkafka/systemd"
)

// configFlags are the flags of every command that reads the configuration.
type configFlags struct {
	file      string
	overrides []string
}

func (f *configFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.file, "config", "c", defaultConfig,
		"configuration: server.toml, or a server.properties as it is")
	c.Flags().StringArrayVar(&f.overrides, "override", nil, "a setting, key=value; wins over the file")
}

// load reads the configuration with what the environment adds. Every error is a BadConfig.
func (f *configFlags) load() (*config.Config, []config.Note, error) {
	data, err := systemd.ReadConfig(f.file, "kafkad")
	if err != nil {
		return nil, nil, err
	}
	overrides, err := etc.ParseOverrides(f.overrides)
	if err != nil {
		return nil, nil, systemd.BadConfig(err)
	}
	cfg, notes, err := config.Parse(f.file, data, os.Getenv("KAFKA_OPTS"), overrides)
	if err != nil {
		return nil, notes, systemd.BadConfig(err)
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

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Convert and explain configurations"}
	convert := &cobra.Command{
		Use: "convert FILE", Short: "Print a server.properties as server.toml",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := systemd.ReadConfig(args[0], "kafkad")
			if err != nil {
				return err
			}
			out, err := config.Convert(args[0], data)
			if err != nil {
				return systemd.BadConfig(err)
			}
			_, err = c.OutOrStdout().Write(out)
			return err
		},
	}
	keys := &cobra.Command{
		Use: "keys", Short: "List every setting: name, default, meaning", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			for _, k := range config.BrokerKeys() {
				effect := ""
				if why := k.Ignored + k.Refused; why != "" {
					effect = " (no effect: " + why + ")"
				}
				text := "unset"
				if k.Default != nil {
					text = fmt.Sprintf("%q", *k.Default)
				}
				fmt.Fprintf(c.OutOrStdout(), "%s\t%s\t%s%s\n", k.Name, text, k.Doc, effect)
			}
		},
	}
	c.AddCommand(convert, keys)
	return c
}

// confPage is kafkad.conf(5): every setting that has an effect.
func confPage(version string) []byte {
	var settings []etc.ManSetting
	for _, k := range config.BrokerKeys() {
		if k.Ignored != "" || k.Refused != "" {
			continue
		}
		s := etc.ManSetting{Name: k.Name, Type: k.Type.String(), Doc: k.Doc}
		if k.Default != nil {
			s.Default = *k.Default
		}
		settings = append(settings, s)
	}
	return etc.ManConf("kafkad.conf", version, "kafkad", defaultConfig, "server.properties", settings)
}
