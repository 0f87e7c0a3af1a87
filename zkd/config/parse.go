package config

import (
	"errors"
	"fmt"
	"strings"

	"zkafka/etc"
)

// Note is something the operator should know that does not keep the server from starting.
type Note struct {
	Key  string
	Text string
}

// Parse reads a configuration file; its name decides the syntax (see etc.Read). Flags are the texts
// of SERVER_JVMFLAGS and JVMFLAGS: their zookeeper.* properties count as settings that the file
// does not have. Overrides win over both. The error is an *etc.Fault or etc.Faults.
func Parse(name string, data []byte, flags []string, overrides map[string]string) (
	*Config, []Note, error,
) {
	file, err := etc.Read(name, data)
	if err != nil {
		return nil, nil, err
	}
	values := map[string]string{}
	var notes []Note
	for _, text := range flags {
		notes = append(notes, fromFlags(values, text)...)
	}
	for _, s := range file.Settings {
		values[strings.TrimPrefix(s.Key, "zookeeper.")] = s.Value
	}
	for k, v := range overrides {
		values[k] = v
	}
	c, err := New(values)
	if err != nil {
		locate(file, err)
		return nil, notes, err
	}
	for _, name := range sorted(values) {
		k, _ := Lookup(name)
		if k.Ignored == "" {
			continue
		}
		where := ""
		if line := file.Line(name); line > 0 {
			where = fmt.Sprintf("%s:%d: ", file.Name, line)
		}
		notes = append(notes, Note{name, fmt.Sprintf("%s%s has no effect: %s", where, name,
			k.Ignored)})
	}
	return c, notes, nil
}

func locate(file *etc.File, err error) {
	var faults etc.Faults
	if errors.As(err, &faults) {
		file.Locate(faults)
		for _, f := range faults { // a system property's name in the file
			if line := file.Line("zookeeper." + f.Key); line > 0 && f.Line == 0 {
				f.File, f.Line = file.Name, line
			}
		}
	}
}

// unprefixed are the settings that upstream reads from system properties without "zookeeper.".
var unprefixed = []string{"jute.maxbuffer", "readonlymode.enabled", "znode.container.",
	"fsync.warningthresholdms"}

// fromFlags takes the settings out of JVM flags and says what became of the rest.
func fromFlags(values map[string]string, text string) []Note {
	flags := etc.ParseFlags(text)
	var notes []Note
	jvm := append([]string(nil), flags.Others...)
	for _, p := range flags.Properties {
		name, ours := strings.CutPrefix(p.Key, "zookeeper.")
		for _, u := range unprefixed {
			ours = ours || strings.HasPrefix(p.Key, u)
		}
		if _, known := Lookup(name); !ours || !known {
			jvm = append(jvm, "-D"+p.Key)
			continue
		}
		values[name] = p.Value
	}
	if len(jvm) > 0 {
		notes = append(notes, Note{"", "flags of the JVM have no effect: " + strings.Join(jvm, " ")})
	}
	return notes
}

// Convert prints a file of any syntax as TOML with the same settings. The file must be valid.
func Convert(name string, data []byte) ([]byte, error) {
	if _, _, err := Parse(name, data, nil, nil); err != nil {
		return nil, err
	}
	file, err := etc.Read(name, data)
	if err != nil {
		return nil, err
	}
	isKey := func(name string) bool { _, ok := keyTable().byName[name]; return ok }
	return etc.PrintTOML(file, kindOf, isKey), nil
}

func kindOf(key string) etc.Kind {
	k, ok := Lookup(key)
	if !ok {
		return etc.Text
	}
	switch k.Type {
	case "int", "long", "double":
		return etc.Number
	case "bool":
		return etc.Truth
	case "list":
		return etc.Items
	}
	return etc.Text
}
