package config

import (
	"cmp"
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
	place := places(file, overrides, values)
	for _, r := range file.Remarks() {
		notes = append(notes, Note(r))
	}
	c, err := New(values)
	if err != nil {
		var faults etc.Faults
		if errors.As(err, &faults) {
			for _, f := range faults { // a system property's name in the file
				f.Cause = cmp.Or(f.Cause, "zookeeper."+f.Key)
			}
			file.Locate(faults, place)
		}
		return nil, notes, err
	}
	for _, name := range sorted(values) {
		text := classNote(name, values[name])
		if k, _ := Lookup(name); k.Ignored != "" {
			text = name + " has no effect: " + k.Ignored
		}
		if text == "" {
			continue
		}
		at := &etc.Fault{Key: name, Cause: "zookeeper." + name, Message: text}
		file.Locate(etc.Faults{at}, place)
		notes = append(notes, Note{name, at.Error()})
	}
	return c, notes, nil
}

// places tells where a value comes from if the file did not give it: "" for those that nobody gave.
func places(file *etc.File, overrides, values map[string]string) func(string) string {
	return func(key string) string {
		if _, ok := overrides[key]; ok {
			return "--override"
		}
		_, given := values[key]
		if given && file.Line(key) == 0 && file.Line("zookeeper."+key) == 0 {
			return "SERVER_JVMFLAGS or JVMFLAGS"
		}
		return ""
	}
}

// classNote says what is missing because a class of the JVM is not built in, "" if nothing is.
func classNote(name, class string) string {
	simple := class[strings.LastIndexByte(class, '.')+1:]
	switch name = strings.TrimPrefix(name, "zookeeper."); {
	case strings.HasPrefix(name, "authProvider."):
		switch simple {
		case "DigestAuthenticationProvider", "IPAuthenticationProvider":
			return ""
		}
		scheme := "its scheme"
		if s := schemes[simple]; s != "" {
			scheme = "the scheme " + s
		}
		return fmt.Sprintf("%s=%s is not built in: clients cannot authenticate with %s, and ACLs that"+
			" name it let nobody in; remove the line and have clients use digest or ip",
			name, class, scheme)
	case name == "metricsProvider.className":
		switch simple {
		case "", "PrometheusMetricsProvider", "DefaultMetricsProvider", "NullMetricsProvider":
			return ""
		}
		return fmt.Sprintf("%s=%s is not built in: there is no such export; remove the line, metrics"+
			" are at /metrics of the admin pages", name, class)
	}
	return ""
}

// schemes are the authentication schemes of upstream's classes that are not built in.
var schemes = map[string]string{
	"SASLAuthenticationProvider": "sasl", "X509AuthenticationProvider": "x509",
	"KeyAuthenticationProvider": "key", "EnsembleAuthenticationProvider": "ensemble",
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
