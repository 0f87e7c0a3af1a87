package etc

import (
	"path"
	"strconv"
	"strings"
)

// Setting is one setting of a file. Lists are joined with commas, as upstream spells them.
type Setting struct {
	Key      string
	Value    string
	Line     int      // of the key, from 1
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
	if strings.EqualFold(path.Ext(name), ".toml") {
		return readTOML(name, data)
	}
	return readProperties(name, data)
}

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

// Locate writes into each fault where its key stands in the file.
func (f *File) Locate(faults Faults) {
	for _, one := range faults {
		if line := f.Line(one.Key); line > 0 && one.File == "" {
			one.File, one.Line = f.Name, line
		}
	}
}
