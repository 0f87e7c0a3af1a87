package cmd

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// manCommand writes the manual pages; packaging runs it.
func manCommand(version string) *cobra.Command {
	return &cobra.Command{
		Use: "gen-man DIR", Short: "Write the manual pages", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			pages := programs(version).ManPages(c.Root(), version)
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
