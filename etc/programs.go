package etc

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Programs are the commands of a binary that also answer to names of their own: upstream's scripts,
// without ".sh". Packages install a link for each name.
type Programs map[string]func() *cobra.Command

// ProgramName is the name that a binary was called by, without directory and ".sh".
func ProgramName(arg0 string) string { return strings.TrimSuffix(path.Base(arg0), ".sh") }

// Command makes the command of that name; nil if there is none.
func (p Programs) Command(name string) *cobra.Command {
	build := p[name]
	if build == nil {
		return nil
	}
	return renamed(build(), name+".sh")
}

// Subcommand is the command of that name as a part of another one, where it is called use.
func (p Programs) Subcommand(name, use string) *cobra.Command { return renamed(p[name](), use) }

func renamed(c *cobra.Command, name string) *cobra.Command {
	_, args, _ := strings.Cut(c.Use, " ")
	c.Use = strings.TrimSpace(name + " " + args)
	return c
}

// Links is every name with and without ".sh", sorted.
func (p Programs) Links() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p)) {
		out = append(out, name, name+".sh")
	}
	return out
}

// LinksCommand prints the links; packaging runs it.
func (p Programs) LinksCommand() *cobra.Command {
	return &cobra.Command{
		Use: "links", Short: "Print the other names of this program", Args: cobra.NoArgs,
		Hidden: true,
		Run: func(c *cobra.Command, _ []string) {
			for _, l := range p.Links() {
				fmt.Fprintln(c.OutOrStdout(), l)
			}
		},
	}
}

// ManPages are those of the root command and of all programs.
func (p Programs) ManPages(root *cobra.Command, version string) map[string][]byte {
	pages := ManPages(root, version)
	for name := range p {
		maps.Copy(pages, ManPages(p.Command(name), version))
	}
	return pages
}

// Execute runs a command line. An error in the line itself, which is found before a command begins,
// says where its help is.
func Execute(c *cobra.Command) error {
	begun := false
	c.PersistentPreRun = func(*cobra.Command, []string) { begun = true }
	at, err := c.ExecuteC()
	if err != nil && !begun {
		err = fmt.Errorf("%w; see %s --help", err, at.CommandPath())
	}
	return err
}

// VersionCommand prints the version of a program.
func VersionCommand(program, version string) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), program, version) },
	}
}
