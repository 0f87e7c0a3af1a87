package tool

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The options of upstream's tools are read by a Java library with rules of its own, and scripts
// rely on them: "--name value", "--name=value" and "-name value"; an option that requires an
// argument takes the next word whatever it looks like; an optional argument is the next word if
// that is no Option; options may repeat and stand between other words, which are ignored.

// Argument says whether an option takes an argument.
type Argument uint8

const (
	// None is an option without argument.
	None Argument = iota
	// Required takes the next word, whatever it looks like.
	Required
	// Optional takes the next word unless that looks like an option.
	Optional
)

// Option describes one option of a tool.
type Option struct {
	Name      string // without dashes
	Argument  Argument
	Describes string // the kind of argument, for the help text: "String: topic"
	Default   string // shown in the help text, and the value of an option that is not given
	Integer   bool   // the argument must be a whole number
	Needs     []string
	Help      string
}

// Text is an option that takes any argument; what names the argument, "" if upstream does not.
func Text(name, what, help string) Option {
	if what != "" {
		what = ": " + what
	}
	return Option{Name: name, Argument: Required, Describes: "String" + what, Help: help}
}

// Number is an option whose argument is a whole number; what names it with its type.
func Number(name, what, help string) Option {
	return Option{Name: name, Argument: Required, Describes: what, Integer: true, Help: help}
}

// WithDefault returns the option with the value that it has when it is not given.
func (o Option) WithDefault(value string) Option {
	o.Default = value
	return o
}

// Flag is an option without argument.
func Flag(name, help string) Option { return Option{Name: name, Help: help} }

// helpOptions are what every tool has.
var helpOptions = []Option{
	Flag("help", "Print usage information."), Flag("version", "Display Kafka version."),
}

// Parsed is the outcome of reading a command line.
type Parsed struct {
	options []Option
	values  map[string][]string // by option, in the order given; nil elements cannot occur
	given   map[string]bool
}

// Parse reads args, which are without the program's name. The error texts are those of the Java
// library.
func Parse(options []Option, args []string) (*Parsed, error) {
	p := &Parsed{
		options: options, values: map[string][]string{}, given: map[string]bool{},
	}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		if !looksLikeOption(word) {
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
		o := p.find(name)
		if o == nil {
			if !strings.HasPrefix(word, "--") {
				name = name[:1] // a cluster of one-letter options, none of which there are
			}
			return nil, fmt.Errorf("%s is not a recognized option", name)
		}
		p.given[o.Name] = true
		switch {
		case o.Argument == None:
		case hasValue:
			p.values[o.Name] = append(p.values[o.Name], value)
		case o.Argument == Required && len(args) == 0:
			return nil, fmt.Errorf("Option %s requires an argument", o.Name)
		case o.Argument == Required, len(args) > 0 && !looksLikeOption(args[0]):
			p.values[o.Name] = append(p.values[o.Name], args[0])
			args = args[1:]
		}
	}
	return p, p.check()
}

func looksLikeOption(word string) bool { return len(word) > 1 && word[0] == '-' }

func (p *Parsed) find(name string) *Option {
	i := slices.IndexFunc(p.options, func(o Option) bool { return o.Name == name })
	if i < 0 {
		return nil
	}
	return &p.options[i]
}

func (p *Parsed) check() error {
	for i := range p.options {
		o := &p.options[i]
		if !p.given[o.Name] {
			continue
		}
		if o.Integer {
			for _, v := range p.values[o.Name] {
				if _, err := strconv.ParseInt(v, 10, 64); err != nil {
					return UpstreamError("Cannot parse argument '%s' of option %s", v, o.Name)
				}
			}
		}
		if len(o.Needs) > 0 && !slices.ContainsFunc(o.Needs, p.Has) {
			return fmt.Errorf("Option(s) [%s] are unavailable given other options on the"+
				" command line", o.Name)
		}
	}
	return nil
}

// Has tells whether the option was given.
func (p *Parsed) Has(name string) bool { return p.given[name] }

// All returns every value given for the option.
func (p *Parsed) All(name string) []string { return p.values[name] }

// Value returns the value of the option, or its default. Callers that must not take two have
// asked Single first.
func (p *Parsed) Value(name string) string {
	if v := p.values[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	if o := p.find(name); o != nil {
		return o.Default
	}
	return ""
}

// Number returns the value of an option whose argument is a number, 0 if there is none.
func (p *Parsed) Number(name string) int64 {
	n, _ := strconv.ParseInt(p.Value(name), 10, 64) // checked by Parse
	return n
}

// Single refuses a second value of options that have one.
func (p *Parsed) Single(names ...string) error {
	for _, name := range names {
		if len(p.values[name]) > 1 {
			return UpstreamError("Found multiple arguments for option %s, but you asked for only one",
				name)
		}
	}
	return nil
}

// Missing returns a UsageError for the first of the names that was not given.
func (p *Parsed) Missing(names ...string) error {
	for _, name := range names {
		if !p.given[name] {
			return UsageError(fmt.Sprintf(`Missing required argument "[%s]"`, name))
		}
	}
	return nil
}

// Excludes returns a UsageError if name was given together with one of the others.
func (p *Parsed) Excludes(name string, others ...string) error {
	if !p.given[name] {
		return nil
	}
	for _, o := range others {
		if p.given[o] {
			return UsageError(fmt.Sprintf(
				`Option "[%s]" can't be used with option "[%s]"`, name, o))
		}
	}
	return nil
}

// UpstreamError makes an error whose text is upstream's, capitals and all: scripts look for it.
func UpstreamError(format string, args ...any) error { return fmt.Errorf(format, args...) }

// UsageError is an error in the command line, after which a tool prints its options.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// The help text has two columns in 80 characters, as upstream's.
const (
	helpWidth   = 80
	helpColumn  = 39
	helpBetween = 2
)

// printUsage writes the options in upstream's shape.
func printUsage(w io.Writer, options []Option) {
	list := slices.SortedFunc(slices.Values(options), func(a, b Option) int {
		return strings.Compare(a.Name, b.Name)
	})
	left := make([][]string, len(list))
	width := len("Option")
	for i := range list {
		o := &list[i]
		s := "--" + o.Name
		switch o.Argument {
		case Required:
			s += " <" + o.Describes + ">"
		case Optional:
			s += " [" + o.Describes + "]"
		}
		left[i] = wrap(s, helpColumn)
		for _, l := range left[i] {
			width = max(width, len(l))
		}
	}
	right := helpWidth - helpBetween - width
	row := func(l, r string) {
		fmt.Fprintf(w, "%-*s%*s%-*s\n", width, l, helpBetween, "", right, r)
	}
	row("Option", "Description")
	row("------", "-----------")
	for i := range list {
		desc := list[i].Help
		if list[i].Default != "" {
			desc += " (default: " + list[i].Default + ")"
		}
		lines := wrap(desc, min(right, helpColumn))
		for j := range max(len(left[i]), len(lines)) {
			var l, r string
			if j < len(left[i]) {
				l = left[i][j]
			}
			if j < len(lines) {
				r = lines[j]
			}
			row(l, r)
		}
	}
}

// wrap breaks text into lines of at most width; all but the first of a paragraph are indented.
func wrap(s string, width int) []string {
	var out []string
	for _, paragraph := range strings.Split(s, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			switch {
			case strings.TrimSpace(line) == "":
				line += word
			case len(line)+1+len(word) > width:
				out = append(out, line)
				line = "  " + word
			default:
				line += " " + word
			}
		}
		out = append(out, line)
	}
	return out
}
