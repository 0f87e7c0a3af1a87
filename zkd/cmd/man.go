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
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "gen-man DIR", Short: "Write the manual pages", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			if err := etc.ManPages(args[0], root, root.Version); err != nil {
				return err
			}
			for _, p := range programs {
				page := p.make(root.Version)
				if err := etc.ManPages(args[0], page, root.Version); err != nil {
					return err
				}
			}
			return os.WriteFile(filepath.Join(args[0], "zkd.conf.5"), confPage(root.Version), 0o644)
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
