package cmd

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"zkafka/etc"
	"zkafka/zkd/config"
)

// manCommand writes the manual pages; packaging runs it.
func manCommand(version string) *cobra.Command {
	return &cobra.Command{
		Use: "gen-man DIR", Short: "Write the manual pages", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			pages := programs(version).ManPages(c.Root(), version)
			pages["zkd.conf.5"] = confPage(version)
			for name, text := range pages {
				if err := os.WriteFile(filepath.Join(args[0], name), text, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// confPage is zkd.conf(5): every setting that has an effect.
func confPage(version string) []byte {
	var settings []etc.ManSetting
	for _, k := range config.Keys() {
		if k.Ignored != "" || k.Refused != "" {
			continue
		}
		s := etc.ManSetting{Name: strings.Replace(k.Name, ".*", ".N", 1), Type: k.Type, Doc: k.Doc}
		if k.Default != nil {
			s.Default = *k.Default
		}
		settings = append(settings, s)
	}
	return etc.ManConf("zkd.conf", version, "zkd", defaultConfig, "zoo.cfg", settings)
}
