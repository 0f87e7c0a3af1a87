package etc

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Setting is one setting of a file. Lists are joined with commas, as upstream spells them.
type Setting struct {
	Key      string
	Value    string
	Line     int      // of the key, from 1
	Before   []int    // lines of the same key that it overrules; only in properties files
	Comments []string // comment lines above it, without "#"; only from properties files
}

// File is what one configuration file says.
type File struct {
	Name     string
	Settings []Setting // in order; a key appears once, with its last value
}

// Fault is a setting, or a place in a file, that cannot be used.
type Fault struct {
	File    string // empty when it did not come from a file
	Line    int    // 0: unknown
	Key     string // empty for a fault of syntax
	Cause   string // another key that the fault comes from, when the file does not have Key
	Message string
	Hint    string // the way out, when there is one
}

// Error gives the position (if known), the message and the way out.
func (f *Fault) Error() string {
	s := f.Message
	switch {
	case f.File != "" && f.Line > 0:
		s = f.File + ":" + strconv.Itoa(f.Line) + ": " + s
	case f.File != "":
		s = f.File + ": " + s
	}
	if f.Hint != "" {
		s += "; " + f.Hint
	}
	return s
}

// Faults is everything found wrong in one go.
type Faults []*Fault

// Error joins the faults, one per line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.As and errors.Is the single faults.
func (f Faults) Unwrap() []error {
	out := make([]error, len(f))
	for i, one := range f {
		out[i] = one
	}
	return out
}

// Read parses a file by the extension of its name: .toml is TOML, everything else (.cfg,
// .properties, .conf) is Java properties. The error is a *Fault.
func Read(name string, data []byte) (*File, error) {
	const utf8Mark = "\xef\xbb\xbf" // editors on Windows write it
	data = bytes.TrimPrefix(data, []byte(utf8Mark))
	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(data, []byte(mark)) {
			return nil, &Fault{File: name, Line: 1, Message: "the text is UTF-16",
				Hint: "save the file as UTF-8"}
		}
	}
	if isTOML(name) {
		return readTOML(name, data)
	}
	return readProperties(name, data)
}

func isTOML(name string) bool { return strings.EqualFold(path.Ext(name), ".toml") }

// Values returns the settings by key.
func (f *File) Values() map[string]string {
	out := make(map[string]string, len(f.Settings))
	for _, s := range f.Settings {
		out[s.Key] = s.Value
	}
	return out
}

// Line is the line of a key, 0 when the file does not have it.
func (f *File) Line(key string) int {
	for _, s := range f.Settings {
		if s.Key == key {
			return s.Line
		}
	}
	return 0
}

// Locate writes into each fault where its value comes from: elsewhere knows those that the file did
// not give ("" for others), else it is the file, with the line of the key if there is one.
func (f *File) Locate(faults Faults, elsewhere func(key string) string) {
	for _, one := range faults {
		if one.File != "" {
			continue
		}
		one.File = elsewhere(one.Key)
		if one.File != "" {
			continue
		}
		one.File, one.Line = f.Name, f.Line(one.Key)
		if one.Line == 0 && one.Cause != "" {
			one.Line = f.Line(one.Cause)
		}
	}
}

// Remark is something in a file that is no fault, but most likely a slip.
type Remark struct{ Key, Text string }

// Remarks are the slips that upstream's syntax lets pass: a key that stands twice, and a comment
// after a value, which is part of the value.
func (f *File) Remarks() []Remark {
	var out []Remark
	if isTOML(f.Name) {
		return nil // which has neither
	}
	for _, s := range f.Settings {
		at := fmt.Sprintf("%s:%d: %s", f.Name, s.Line, s.Key)
		if len(s.Before) > 0 {
			out = append(out, Remark{s.Key, at + " is also in line " + joinLines(s.Before) +
				"; the last one counts, remove the others"})
		}
		if strings.Contains(s.Value, " #") {
			out = append(out, Remark{s.Key, fmt.Sprintf("%s is %q, with what follows the #; a comment "+
				"stands in a line of its own", at, s.Value)})
		}
	}
	return out
}

func joinLines(lines []int) string {
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = strconv.Itoa(l)
	}
	return strings.Join(texts, " and ")
}

// PathHint is the way out when a path is not absolute: usual, unless it is spelled as in TOML.
func PathHint(path, usual string) string {
	if strings.Trim(path, `"'[ `) != path {
		return "text stands without quotes and brackets in this syntax; a file in TOML must be named " +
			".toml"
	}
	return usual
}
