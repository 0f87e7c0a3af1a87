package etc

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// readTOML reads a TOML document and flattens its tables into dotted keys: admin.serverPort,
// "admin.serverPort" and serverPort under [admin] are one setting.
func readTOML(name string, data []byte) (*File, error) {
	keys := scanTOML(string(data))
	// The parser lets some of these pass and drops one of the settings.
	if fault := clash(name, keys); fault != nil {
		return nil, fault
	}
	tree := map[string]any{}
	if _, err := toml.Decode(string(data), &tree); err != nil {
		return nil, tomlFault(name, err)
	}
	f := &File{Name: name}
	if fault := f.flatten("", tree); fault != nil {
		fault.File, fault.Line = name, lineOf(keys, fault.Key)
		return nil, fault
	}
	for i := range f.Settings {
		f.Settings[i].Line = lineOf(keys, f.Settings[i].Key)
	}
	sort.SliceStable(f.Settings, func(i, j int) bool {
		return f.Settings[i].Line < f.Settings[j].Line
	})
	return f, nil
}

// lineOf is where a key stands: itself, or what is below or above it, because arrays of tables and
// tables in braces are no keys to the scanner. 0 is nowhere.
func lineOf(keys []tomlKey, name string) int {
	for _, matches := range []func(k string) bool{
		func(k string) bool { return k == name },
		func(k string) bool { return strings.HasPrefix(k, name+".") },
		func(k string) bool { return strings.HasPrefix(name, k+".") },
	} {
		for i := len(keys) - 1; i >= 0; i-- {
			if matches(keys[i].name) {
				return keys[i].line
			}
		}
	}
	return 0
}

// flatten adds the settings below a table.
func (f *File) flatten(prefix string, tree map[string]any) *Fault {
	names := make([]string, 0, len(tree))
	for k := range tree {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		key := k
		if prefix != "" {
			key = prefix + "." + k
		}
		if sub, ok := tree[k].(map[string]any); ok {
			if fault := f.flatten(key, sub); fault != nil {
				return fault
			}
			continue
		}
		value, fault := tomlValue(tree[k])
		if fault != nil {
			fault.Key, fault.Message = key, key+": "+fault.Message
			return fault
		}
		if f.has(key) {
			return &Fault{Key: key,
				Message: key + " is set twice, once in quotes and once as a dotted name",
				Hint:    "keep one of them"}
		}
		f.Settings = append(f.Settings, Setting{Key: key, Value: value})
	}
	return nil
}

func (f *File) has(key string) bool {
	for _, s := range f.Settings {
		if s.Key == key {
			return true
		}
	}
	return false
}

// tomlValue is the text upstream's files would have for a value.
func tomlValue(v any) (string, *Fault) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			text, fault := tomlValue(item)
			if fault != nil {
				return "", fault
			}
			if strings.Contains(text, ",") && len(v) > 1 {
				return "", &Fault{Hint: "make it two items",
					Message: fmt.Sprintf("%q has a comma, which separates the items of a list", text)}
			}
			items[i] = text
		}
		return strings.Join(items, ","), nil
	case []map[string]any, map[string]any:
		return "", &Fault{Message: "expected a value, found a table",
			Hint: `write key = "value", and tables with one pair of brackets`}
	default:
		return "", &Fault{Message: "dates and times are not values of settings",
			Hint: "put it in quotes"}
	}
}

// clash finds the fault that only files with upstream's names run into: a name that is both a value
// and a table.
func clash(name string, keys []tomlKey) error {
	for _, long := range keys {
		for _, short := range keys {
			if short.quoted || long.quoted || !strings.HasPrefix(long.name, short.name+".") {
				continue
			}
			return &Fault{File: name, Line: max(long.line, short.line), Key: long.name,
				Message: fmt.Sprintf("%s is a value in line %d, so TOML cannot also have a table "+
					"of that name for %s (line %d)", short.name, short.line, long.name, long.line),
				Hint: fmt.Sprintf("write the longer name in quotes: %q = ...", long.name)}
		}
	}
	return nil
}

// tomlFault turns the parser's error into a fault.
func tomlFault(name string, err error) error {
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		return &Fault{File: name, Message: strings.TrimPrefix(err.Error(), "toml: ")}
	}
	f := &Fault{File: name, Line: parse.Position.Line, Key: parse.LastKey,
		Message: strings.TrimSuffix(parse.Message, ".")}
	if f.Message == "" {
		f.Message = strings.TrimPrefix(err.Error(), "toml: ")
	}
	f.Hint = tomlHint(f.Message)
	return f
}

// tomlHint is the way out of a fault that the parser met.
func tomlHint(message string) string {
	has := func(part string) bool { return strings.Contains(message, part) }
	switch {
	case has("already been defined"):
		return "keep one of them"
	case has("UTF-8"):
		return "save the file as UTF-8"
	case has("cannot contain newlines"):
		return "close the quotes in the same line"
	case has("expected '.' or '='"):
		return "a line is key = value"
	case has("to end with a newline"):
		return "a value of several words stands in quotes, a list in brackets"
	case has("expected value"), has("invalid"):
		return "text stands in quotes in TOML; a file in upstream's own syntax must be named " +
			".properties or .cfg"
	}
	return "the syntax is that of https://toml.io"
}
