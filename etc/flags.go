package etc

import (
	"fmt"
	"strings"
)

// Flags is what operators hand to upstream's JVM in SERVER_JVMFLAGS, JVMFLAGS or KAFKA_OPTS.
type Flags struct {
	Properties []Setting // -Dname=value, in order; Line is 0
	Others     []string  // everything else
}

// ParseFlags splits the text of such a variable as a shell would split it unquoted, with quotes
// understood, since service managers hand them on.
func ParseFlags(text string) Flags {
	var out Flags
	for _, word := range words(text) {
		def, ok := strings.CutPrefix(word, "-D")
		if !ok || def == "" {
			out.Others = append(out.Others, word)
			continue
		}
		name, value, _ := strings.Cut(def, "=")
		out.Properties = append(out.Properties, Setting{Key: name, Value: value})
	}
	return out
}

// ParseOverrides reads settings of a command line, key=value each.
func ParseOverrides(args []string) (map[string]string, error) {
	out := map[string]string{}
	for _, a := range args {
		key, value, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("--override %s: expected key=value", a)
		}
		out[strings.TrimSpace(key)] = value
	}
	return out, nil
}

func words(text string) []string {
	var out []string
	var word strings.Builder
	var quote rune
	inWord := false
	for _, c := range text {
		switch {
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case c == quote:
			quote = 0
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inWord {
				out = append(out, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if inWord {
		out = append(out, word.String())
	}
	return out
}
