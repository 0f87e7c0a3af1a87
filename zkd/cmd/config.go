package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"zkafka/systemd"
	"zkafka/zkd/config"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Convert and explain configurations"}
	convert := &cobra.Command{
		Use: "convert FILE", Short: "Print a zoo.cfg as server.toml", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := systemd.ReadConfig(args[0], "zkd")
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
			for _, k := range config.Keys() {
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
