package etc

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/magiconair/properties"
)

// readProperties reads Java properties: "#" and "!" comments, "=", ":" or a blank after the key,
// backslash continuations and escapes, the last of equal keys wins. No ${} expansion: to upstream
// that is text.
func readProperties(name string, data []byte) (*File, error) {
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	if !utf8.Valid(data) {
		loader.Encoding = properties.ISO_8859_1
	}
	p, err := loader.LoadBytes(data)
	if err != nil {
		return nil, propertiesFault(name, err)
	}
	lines := scanProperties(string(data))
	f := &File{Name: name}
	for i, key := range p.Keys() {
		value, _ := p.Get(key)
		s := Setting{Key: strings.TrimSpace(key), Value: strings.TrimSpace(value)}
		if at, ok := lines[s.Key]; ok {
			s.Line, s.Before, s.Comments = at.line, at.before, at.comments
		}
		if s.Key == "" {
			return nil, &Fault{File: name, Line: i + 1, Message: "a value without a key"}
		}
		f.put(s)
	}
	return f, nil
}

var propertiesPosition = regexp.MustCompile(`^properties: Line (\d+): (.*)$`)

// propertiesFault turns the library's error into a fault.
func propertiesFault(name string, err error) error {
	f := &Fault{File: name, Message: err.Error(),
		Hint: `a line is key=value, and a backslash in a value is written \\`}
	if m := propertiesPosition.FindStringSubmatch(err.Error()); m != nil {
		f.Line, _ = strconv.Atoi(m[1]) // digits
		f.Message = "not a line of a properties file: " + m[2]
	}
	return f
}

// put adds a setting. Keys can be equal once the blanks around them are gone; the last one wins.
func (f *File) put(s Setting) {
	for i := range f.Settings {
		if f.Settings[i].Key == s.Key {
			f.Settings[i] = s
			return
		}
	}
	f.Settings = append(f.Settings, s)
}

type position struct {
	line     int
	before   []int // lines that gave the key before
	comments []string
}

// scanProperties finds the line (the last one) and the comments above each key.
func scanProperties(text string) map[string]position {
	out := map[string]position{}
	var comments []string
	continued := false
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		was := continued
		continued = false
		switch {
		case was:
			continued = endsOpen(line)
		case line == "":
		case line[0] == '#' || line[0] == '!':
			comments = append(comments, line[1:])
		default:
			key := propertyKey(line)
			before := out[key]
			at := position{line: i + 1, comments: comments}
			if before.line > 0 {
				at.before = append(before.before, before.line)
			}
			out[key] = at
			comments = nil
			continued = endsOpen(line)
		}
	}
	return out
}

// endsOpen reports whether a line goes on in the next one: an odd number of final backslashes.
func endsOpen(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// propertyKey is the text before the first separator that is not escaped, unescaped.
func propertyKey(line string) string {
	var key strings.Builder
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case '\\':
			if i++; i < len(line) {
				key.WriteByte(line[i])
			}
		case '=', ':', ' ', '\t', '\f':
			return key.String()
		default:
			key.WriteByte(c)
		}
	}
	return key.String()
}
