package cmd

import (
	"strings"

	"github.com/spf13/cobra"

	"zkafka/kafkad/console"
	"zkafka/kafkad/manage"
	"zkafka/kafkad/tool"
	"zkafka/systemd"
)

// The tools read their command lines themselves, as upstream's do; cobra knows their options only
// for completion and manual pages.

// Topics is kafka-topics.
func Topics() *cobra.Command { return clientTool(manage.Topics()) }

// ConsoleProducer is kafka-console-producer.
func ConsoleProducer() *cobra.Command { return clientTool(console.Producer()) }

// ConsoleConsumer is kafka-console-consumer.
func ConsoleConsumer() *cobra.Command { return clientTool(console.Consumer()) }

// ConsumerGroups is kafka-consumer-groups.
func ConsumerGroups() *cobra.Command { return clientTool(manage.ConsumerGroups()) }

// BrokerApiVersions is kafka-broker-api-versions.
func BrokerApiVersions() *cobra.Command { return clientTool(manage.BrokerApiVersions()) }

// VerifiableProducer is kafka-verifiable-producer.
func VerifiableProducer() *cobra.Command { return clientTool(console.VerifiableProducer()) }

// ZookeeperShell is zookeeper-shell.
func ZookeeperShell() *cobra.Command {
	c := clientTool(manage.ZookeeperShell())
	c.Use = "zookeeper-shell host:port[/path] [-zk-tls-config-file file] [command]"
	return c
}

func clientTool(t *tool.Tool) *cobra.Command {
	options := t.AllOptions()
	c := &cobra.Command{
		Use: t.Name + " [options]", Short: t.Summary, DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			if code := t.Run(c.Context(), tool.StandardEnv(), args); code != 0 {
				return systemd.Silent(code)
			}
			return nil
		},
	}
	// cobra completes no options of commands that read theirs themselves.
	c.ValidArgsFunction = func(
		_ *cobra.Command, _ []string, word string,
	) ([]cobra.Completion, cobra.ShellCompDirective) {
		if !strings.HasPrefix(word, "-") {
			return nil, cobra.ShellCompDirectiveDefault
		}
		var out []cobra.Completion
		for _, o := range options {
			if strings.HasPrefix("--"+o.Name, word) {
				out = append(out, cobra.CompletionWithDesc("--"+o.Name, o.Help))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	for _, o := range options {
		switch {
		case o.Name == "help":
		case o.Argument == tool.None:
			c.Flags().Bool(o.Name, false, o.Help)
		default:
			c.Flags().String(o.Name, o.Default, o.Help)
		}
		if f := c.Flags().Lookup(o.Name); f != nil && o.Argument == tool.Optional {
			f.NoOptDefVal = " "
		}
	}
	return c
}
