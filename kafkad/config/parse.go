package config

import (
	"errors"
	"fmt"
	"strings"

	"zkafka/etc"
)

// Note is something the operator should know that does not keep the broker from starting: a setting
// without effect here, or a flag of the JVM.
type Note struct {
	Key  string
	Text string
}

// Parse reads a configuration file; its name decides the syntax (see etc.Read). Flags is the text
// of KAFKA_OPTS; what it holds comes back in notes. Overrides are those of --override and win
// over the file. The error is an *Error or Errors.
func Parse(name string, data []byte, flags string, overrides map[string]string) (
	*Config, []Note, error,
) {
	file, err := etc.Read(name, data)
	if err != nil {
		return nil, nil, err
	}
	values := file.Values()
	for k, v := range overrides {
		values[k] = v
	}
	notes := flagNotes(flags)
	for _, r := range file.Remarks() {
		notes = append(notes, Note(r))
	}
	c, err := New(values)
	if err != nil {
		var faults Errors
		if errors.As(err, &faults) {
			file.Locate(faults, func(key string) string {
				if _, given := overrides[key]; given {
					return "--override"
				}
				return ""
			})
		}
		return nil, notes, err
	}
	for _, key := range sortedKeys(c.values) {
		if k, _ := BrokerKey(key); k.Ignored != "" {
			where := ""
			if line := file.Line(key); line > 0 {
				where = fmt.Sprintf("%s:%d: ", file.Name, line)
			}
			notes = append(notes, Note{key,
				fmt.Sprintf("%s%s has no effect: %s", where, key, k.Ignored)})
		}
	}
	return c, notes, nil
}

// flagNotes says what becomes of JVM flags: nothing in this version of a broker has a meaning in
// them (jute.maxbuffer is fixed at what upstream's brokers set, and there is no SASL or TLS).
func flagNotes(text string) []Note {
	flags := etc.ParseFlags(text)
	all := flags.Others
	for _, p := range flags.Properties {
		all = append(all, "-D"+p.Key)
	}
	if len(all) == 0 {
		return nil
	}
	return []Note{{"", "flags of the JVM have no effect: " + strings.Join(all, " ")}}
}

// Convert prints a file of any syntax as TOML with the same settings. The file must be valid.
func Convert(name string, data []byte) ([]byte, error) {
	if _, _, err := Parse(name, data, "", nil); err != nil {
		return nil, err
	}
	file, err := etc.Read(name, data)
	if err != nil {
		return nil, err
	}
	isKey := func(name string) bool { _, ok := brokerTable().byName[name]; return ok }
	return etc.PrintTOML(file, kindOf, isKey), nil
}

func kindOf(key string) etc.Kind {
	k, ok := BrokerKey(key)
	if !ok {
		return etc.Text
	}
	switch k.Type {
	case Int, Short, Long, Double:
		return etc.Number
	case Boolean:
		return etc.Truth
	case List:
		return etc.Items
	}
	return etc.Text
}
