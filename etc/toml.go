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
	if err := f.flatten("", tree); err != nil {
		return nil, err
	}
	lines := map[string]int{}
	for _, k := range keys {
		lines[k.name] = k.line
	}
	for i := range f.Settings {
		f.Settings[i].Line = lines[f.Settings[i].Key]
	}
	sort.SliceStable(f.Settings, func(i, j int) bool {
		return f.Settings[i].Line < f.Settings[j].Line
	})
	return f, nil
}

// flatten adds the settings below a table.
func (f *File) flatten(prefix string, tree map[string]any) error {
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
			if err := f.flatten(key, sub); err != nil {
				return err
			}
			continue
		}
		value, err := tomlValue(tree[k])
		if err != nil {
			return &Fault{File: f.Name, Key: key, Message: key + ": " + err.Error()}
		}
		if f.has(key) {
			return &Fault{File: f.Name, Key: key,
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
func tomlValue(v any) (string, error) {
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
			text, err := tomlValue(item)
			if err != nil {
				return "", err
			}
			if strings.Contains(text, ",") && len(v) > 1 {
				return "", fmt.Errorf("%q has a comma, which separates the items of a list", text)
			}
			items[i] = text
		}
		return strings.Join(items, ","), nil
	case []map[string]any, map[string]any:
		return "", errors.New("expected a value, found a table")
	default:
		return "", errors.New("dates and times are not values of settings; put it in quotes")
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
	if errors.As(err, &parse) {
		f := &Fault{File: name, Line: parse.Position.Line, Key: parse.LastKey,
			Message: parse.Message}
		if f.Message == "" {
			f.Message = strings.TrimPrefix(err.Error(), "toml: ")
		}
		if strings.Contains(f.Message, "already been defined") {
			f.Hint = "keep one of them"
		} else if looksLikeProperties(f.Message) {
			f.Hint = "text stands in quotes in TOML; a file in upstream's own syntax must be " +
				"named .properties or .cfg"
		}
		return f
	}
	return &Fault{File: name, Message: strings.TrimPrefix(err.Error(), "toml: ")}
}

// looksLikeProperties: the parser met a value without quotes.
func looksLikeProperties(message string) bool {
	return strings.Contains(message, "expected value") || strings.Contains(message, "invalid")
}
