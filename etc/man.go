package etc

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ManSetting is a setting as a manual page shows it.
type ManSetting struct {
	Name, Type, Default, Doc string
}

// ManPages are the manual pages (section 8) of a command by file name, and of its visible
// subcommands when it is a program of ours; the scripts of upstream have one page with their verbs.
func ManPages(c *cobra.Command, version string) map[string][]byte {
	pages := map[string][]byte{pageName(c) + ".8": manPage(c, version)}
	if strings.HasSuffix(c.Root().Name(), ".sh") {
		return pages
	}
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		for name, text := range ManPages(sub, version) {
			pages[name] = text
		}
	}
	return pages
}

// pageName is the command's path with dashes: zkd-config-convert.
func pageName(c *cobra.Command) string {
	return strings.TrimSuffix(strings.ReplaceAll(c.CommandPath(), " ", "-"), ".sh")
}

func manPage(c *cobra.Command, version string) []byte {
	var b strings.Builder
	name := pageName(c)
	fmt.Fprintf(&b, ".TH %q 8 \"\" %q\n", strings.ToUpper(name), name+" "+version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, ".br\n.B %s\n\\fICOMMAND\\fR\n", roff(c.CommandPath()))
	}
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(text))
	if c.HasAvailableSubCommands() {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(sub.Use), roff(sub.Short))
			}
		}
	}
	flags := c.NonInheritedFlags()
	if flags.HasAvailableFlags() {
		b.WriteString(".SH OPTIONS\n")
		flags.VisitAll(func(f *pflag.Flag) { manFlag(&b, f) })
	}
	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}
	return []byte(b.String())
}

func manFlag(b *strings.Builder, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	b.WriteString(".TP\n")
	if f.Shorthand != "" {
		fmt.Fprintf(b, "\\fB\\-%s\\fR, ", f.Shorthand)
	}
	value, usage := pflag.UnquoteUsage(f)
	fmt.Fprintf(b, "\\fB\\-\\-%s\\fR", roff(f.Name))
	if value != "" {
		fmt.Fprintf(b, " \\fI%s\\fR", roff(value))
	}
	fmt.Fprintf(b, "\n%s", roff(usage))
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
		fmt.Fprintf(b, " (default %s)", roff(f.DefValue))
	}
	b.WriteString("\n")
}

// ManConf is the manual page (section 5) of a configuration file: file is the one installed, old
// the name of upstream's own syntax.
func ManConf(name, version, program, file, old string, settings []ManSetting) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 5 \"\" %q\n", strings.ToUpper(name), program+" "+version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- configuration of %s\n", roff(name), roff(program))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n%s\n.SH DESCRIPTION\n", roff(file))
	fmt.Fprintf(&b, "%s\n", roff("The file is TOML with upstream's names: tables and dots mean the "+
		"same, and a name in quotes is taken as it stands. Names that are the beginning of others "+
		"need the longer one in quotes. A "+old+" is read as it is when the file has that "+
		"extension. Durations and sizes are numbers in the unit of the description. Unknown names "+
		"are errors."))
	fmt.Fprintf(&b, ".PP\n%s\n", roff("`"+program+" check` validates the file, `"+program+
		" config convert` prints an old one as TOML, `"+program+" config keys` lists every "+
		"setting, those without effect here included."))
	b.WriteString(".SH SETTINGS\n")
	for _, s := range settings {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s", roff(s.Name), roff(s.Doc))
		if s.Default != "" {
			fmt.Fprintf(&b, " (%s, default %s)\n", s.Type, roff(s.Default))
		} else {
			fmt.Fprintf(&b, " (%s)\n", s.Type)
		}
	}
	return []byte(b.String())
}

// roff escapes text so that no line is a request and dashes stay dashes.
func roff(text string) string {
	text = strings.ReplaceAll(text, `\`, `\e`)
	text = strings.ReplaceAll(text, "-", `\-`)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
