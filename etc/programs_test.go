package etc

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

func TestPrograms(t *testing.T) {
	p := Programs{
		"kafka-topics": func() *cobra.Command {
			return &cobra.Command{Use: "kafka-topics [options]", Short: "Topics", Run: nothing}
		},
		"zkCli": func() *cobra.Command {
			return &cobra.Command{Use: "cli", Short: "A client", Run: nothing}
		},
	}
	for arg0, want := range map[string]string{
		"/usr/bin/kafka-topics.sh": "kafka-topics.sh [options]", "kafka-topics": "kafka-topics.sh [options]",
		"./zkCli": "zkCli.sh", "zkd": "",
	} {
		use := ""
		if c := p.Command(ProgramName(arg0)); c != nil {
			use = c.Use
		}
		if use != want {
			t.Errorf("called as %s it is %q, want %q", arg0, use, want)
		}
	}
	if got := p.Subcommand("kafka-topics", "topics").Use; got != "topics [options]" {
		t.Errorf("as a subcommand it is %q", got)
	}
	links := []string{"kafka-topics", "kafka-topics.sh", "zkCli", "zkCli.sh"}
	if got := p.Links(); !slices.Equal(got, links) {
		t.Errorf("links %q", got)
	}
	root := &cobra.Command{Use: "zkd", Short: "A server"}
	root.AddCommand(VersionCommand("zkd", "1"), p.LinksCommand())
	pages := p.ManPages(root, "1")
	for _, page := range []string{"zkd.8", "zkd-version.8", "zkCli.8", "kafka-topics.8"} {
		if len(pages[page]) == 0 {
			t.Errorf("no page %s", page)
		}
	}
	if len(pages) != 4 {
		t.Errorf("%d pages", len(pages))
	}
}

func nothing(*cobra.Command, []string) {}

func TestParseOverrides(t *testing.T) {
	got, err := ParseOverrides([]string{"a=1", " b =x=y", "c="})
	if err != nil || len(got) != 3 || got["a"] != "1" || got["b"] != "x=y" || got["c"] != "" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := ParseOverrides([]string{"a"}); err == nil ||
		err.Error() != "--override a: expected key=value" {
		t.Errorf("%v", err)
	}
}
