package tool

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Client is a kind of Java client, or several of them.
type Client uint8

// The Java clients whose properties tools take.
const (
	Producer Client = 1 << iota
	Consumer
	Admin

	every = Producer | Consumer | Admin
)

// Settings are the properties of a Java client, checked and translated.
type Settings struct {
	client Client
	given  map[string]string
	opts   []kgo.Opt
}

// NewSettings reads the properties of a client of one kind. It warns on env.Err of names that such
// a client does not know, and goes on as upstream does. It fails if upstream's client would refuse
// a value, and if somebody may rely on a property that has no effect here.
func NewSettings(env Env, client Client, props map[string]string) (*Settings, error) {
	s := &Settings{client: client, given: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(props)) {
		value := strings.TrimSpace(props[name])
		p, ok := javaProperties[name]
		if !ok || p.known&client == 0 {
			s.warn(env, "The configuration '%s' was supplied but isn't a known config.", name)
			continue
		}
		if fault := p.check(value); fault != "" {
			return nil, UpstreamError("Invalid value %s for configuration %s: %s", value, name, fault)
		}
		s.given[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(javaProperties)) {
		p := javaProperties[name]
		if v := s.Text(name); v != "" && p.options != nil && p.known&client != 0 {
			s.add(p.options(v)...)
		}
	}
	s.backOff()
	if err := s.connect(env); err != nil {
		return nil, err
	}
	var err error
	switch client {
	case Producer:
		err = s.produce(env)
	case Consumer:
		s.consume()
	case Admin:
		s.administrate()
	}
	return s, err
}

func (s *Settings) warn(env Env, format string, args ...any) {
	fmt.Fprintf(env.Err, "WARN "+format+"\n", args...)
}

// Options are the settings as options for kgo.NewClient.
func (s *Settings) Options() []kgo.Opt { return slices.Clone(s.opts) }

// Has tells whether the property was given.
func (s *Settings) Has(name string) bool {
	_, ok := s.given[name]
	return ok
}

// Text returns a property, or upstream's default of it.
func (s *Settings) Text(name string) string {
	if v, ok := s.given[name]; ok {
		return v
	}
	return javaProperties[name].def
}

// Number returns a property that is a whole number.
func (s *Settings) Number(name string) int { return whole(s.Text(name)) }

// Duration returns a property that is a number of milliseconds.
func (s *Settings) Duration(name string) time.Duration { return milliseconds(s.Text(name)) }

// Flag returns a property that is true or false.
func (s *Settings) Flag(name string) bool { return isTrue(s.Text(name)) }

// list returns a property that is a list.
func (s *Settings) list(name string) []string { return commaList(s.Text(name)) }

func (s *Settings) add(opts ...kgo.Opt) { s.opts = append(s.opts, opts...) }

func whole(v string) int {
	n, _ := strconv.Atoi(v) // checked when it was read
	return n
}

// longest stands for ever: Java's clients take the largest long for that.
const longest = 100 * 365 * 24 * time.Hour

func milliseconds(v string) time.Duration {
	n, _ := strconv.ParseInt(v, 10, 64) // checked when it was read
	most := int64(longest / time.Millisecond)
	return time.Duration(min(max(n, -most), most)) * time.Millisecond
}

func isTrue(v string) bool { return strings.EqualFold(v, "true") }

func commaList(v string) []string {
	var out []string
	for _, f := range strings.Split(v, ",") {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	return out
}

// check says in upstream's words what is wrong with a value, "" if nothing.
type check func(value string) string

func anything(string) string { return "" }

func nonEmpty(v string) string {
	if v == "" {
		return "String must be non-empty"
	}
	return ""
}

func boolean(v string) string {
	if isTrue(v) || strings.EqualFold(v, "false") {
		return ""
	}
	return "Expected value to be either true or false"
}

func integer(least int64) check { return between("INT", 32, least, math.MaxInt32) }
func long(least int64) check    { return between("LONG", 64, least, math.MaxInt64) }

func between(kind string, bits int, least, most int64) check {
	return func(v string) string {
		n, err := strconv.ParseInt(v, 10, bits)
		switch {
		case err != nil:
			return "Not a number of type " + kind
		case n < least:
			return fmt.Sprintf("Value must be at least %d", least)
		case n > most:
			return fmt.Sprintf("Value must be no more than %d", most)
		}
		return ""
	}
}

func oneOf(values ...string) check {
	return func(v string) string {
		if slices.Contains(values, v) {
			return ""
		}
		return "String must be one of: " + strings.Join(values, ", ")
	}
}

func oneOfAnyCase(values ...string) check {
	return func(v string) string {
		if slices.Contains(values, strings.ToUpper(v)) {
			return ""
		}
		return "String must be one of (case insensitive): " + strings.Join(values, ", ")
	}
}

// refused takes no value but the empty one.
func refused(why string) check {
	return func(v string) string {
		if v == "" {
			return ""
		}
		return "This tool cannot have it: " + why
	}
}
