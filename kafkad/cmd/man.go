package cmd

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"zkafka/etc"
)

// manCommand writes the manual pages; packaging runs it.
func manCommand(version string) *cobra.Command {
	return &cobra.Command{
		Use: "gen-man DIR", Short: "Write the manual pages", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			pages := etc.ManPages(c.Root(), version)
			for _, p := range append(programs(version), tools...) {
				for name, text := range etc.ManPages(p.command(), version) {
					pages[name] = text
				}
			}
			pages["kafkad.conf.5"] = confPage(version)
			for name, text := range pages {
				if err := os.WriteFile(filepath.Join(args[0], name), text, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
