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
// that is no option; options may repeat and stand between other words, which are ignored.

type argument uint8

const (
	noArgument argument = iota
	required
	optional
)

// option describes one option of a tool.
type option struct {
	name    string
	arg     argument
	what    string // the kind of argument, for the help text: "String: topic"
	def     string // default, shown in the help text
	integer bool   // the argument must be a whole number
	needs   []string
	help    string
}

func text(name, what, help string) option {
	return option{name: name, arg: required, what: "String: " + what, help: help}
}

func number(name, what, help string) option {
	return option{name: name, arg: required, what: what, integer: true, help: help}
}

func flag(name, help string) option { return option{name: name, help: help} }

// helpOptions are what every tool has.
var helpOptions = []option{
	flag("help", "Print usage information."), flag("version", "Display Kafka version."),
}

// parsed is the outcome of reading a command line.
type parsed struct {
	options []option
	values  map[string][]string // by option, in the order given; nil elements cannot occur
	given   map[string]bool
}

// parse reads args. The error texts are those of the Java library.
func parse(options []option, args []string) (*parsed, error) {
	p := &parsed{
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
		p.given[o.name] = true
		switch {
		case o.arg == noArgument:
		case hasValue:
			p.values[o.name] = append(p.values[o.name], value)
		case o.arg == required && len(args) == 0:
			return nil, fmt.Errorf("Option %s requires an argument", o.name)
		case o.arg == required, len(args) > 0 && !looksLikeOption(args[0]):
			p.values[o.name] = append(p.values[o.name], args[0])
			args = args[1:]
		}
	}
	return p, p.check()
}

func looksLikeOption(word string) bool { return len(word) > 1 && word[0] == '-' }

func (p *parsed) find(name string) *option {
	i := slices.IndexFunc(p.options, func(o option) bool { return o.name == name })
	if i < 0 {
		return nil
	}
	return &p.options[i]
}

func (p *parsed) check() error {
	for i := range p.options {
		o := &p.options[i]
		if !p.given[o.name] {
			continue
		}
		if o.integer {
			for _, v := range p.values[o.name] {
				if _, err := strconv.ParseInt(v, 10, 64); err != nil {
					return upstreamError("Cannot parse argument '%s' of option %s", v, o.name)
				}
			}
		}
		if len(o.needs) > 0 && !slices.ContainsFunc(o.needs, p.has) {
			return fmt.Errorf("Option(s) [%s] are unavailable given other options on the"+
				" command line", o.name)
		}
	}
	return nil
}

// has tells whether the option was given.
func (p *parsed) has(name string) bool { return p.given[name] }

// all returns every value given for the option.
func (p *parsed) all(name string) []string { return p.values[name] }

// value returns the value of the option, or its default. Callers that must not take two have
// asked single first.
func (p *parsed) value(name string) string {
	if v := p.values[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	if o := p.find(name); o != nil {
		return o.def
	}
	return ""
}

// number returns the value of an option whose argument is a number.
func (p *parsed) number(name string) int64 {
	n, _ := strconv.ParseInt(p.value(name), 10, 64) // checked by parse
	return n
}

// single refuses a second value of options that have one.
func (p *parsed) single(names ...string) error {
	for _, name := range names {
		if len(p.values[name]) > 1 {
			return upstreamError("Found multiple arguments for option %s, but you asked for only one",
				name)
		}
	}
	return nil
}

// missing returns a usage error for the first of the names that was not given.
func (p *parsed) missing(names ...string) error {
	for _, name := range names {
		if !p.given[name] {
			return usageError(fmt.Sprintf(`Missing required argument "[%s]"`, name))
		}
	}
	return nil
}

// excludes returns a usage error if name was given together with one of the others.
func (p *parsed) excludes(name string, others ...string) error {
	if !p.given[name] {
		return nil
	}
	for _, o := range others {
		if p.given[o] {
			return usageError(fmt.Sprintf(
				`Option "[%s]" can't be used with option "[%s]"`, name, o))
		}
	}
	return nil
}

// upstreamError makes an error whose text is upstream's, capitals and all: scripts look for it.
func upstreamError(format string, args ...any) error { return fmt.Errorf(format, args...) }

// usageError is an error after which the tool prints its options.
type usageError string

func (e usageError) Error() string { return string(e) }

// The help text has two columns in 80 characters, as upstream's.
const (
	helpWidth   = 80
	helpColumn  = 39
	helpBetween = 2
)

// printUsage writes the options in upstream's shape.
func printUsage(w io.Writer, options []option) {
	list := slices.SortedFunc(slices.Values(options), func(a, b option) int {
		return strings.Compare(a.name, b.name)
	})
	left := make([][]string, len(list))
	width := len("Option")
	for i := range list {
		o := &list[i]
		s := "--" + o.name
		switch o.arg {
		case required:
			s += " <" + o.what + ">"
		case optional:
			s += " [" + o.what + "]"
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
		desc := list[i].help
		if list[i].def != "" {
			desc += " (default: " + list[i].def + ")"
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
