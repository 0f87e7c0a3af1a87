package etc

import (
	"strconv"
	"strings"
)

// Kind is how a value is spelled in TOML.
type Kind int

// The kinds of values.
const (
	Text   Kind = iota // in quotes
	Number             // bare
	Truth              // true, false
	Items              // an array of texts
)

// PrintTOML writes settings as TOML, comments included. A name stands in quotes when TOML needs it:
// when it has characters that bare names lack, or when a shorter setting would be both a value and
// a table (isKey tells which names exist).
func PrintTOML(f *File, kind func(key string) Kind, isKey func(name string) bool) []byte {
	var out strings.Builder
	present := f.Values()
	for i, s := range f.Settings {
		if i > 0 && len(s.Comments) > 0 {
			out.WriteByte('\n')
		}
		for _, c := range s.Comments {
			out.WriteString(printable("#" + strings.TrimRight(c, " \t\r")))
			out.WriteByte('\n')
		}
		taken := func(name string) bool {
			_, here := present[name]
			return here || isKey(name)
		}
		out.WriteString(tomlName(s.Key, taken))
		out.WriteString(" = ")
		out.WriteString(tomlText(s.Value, kind(s.Key)))
		out.WriteByte('\n')
	}
	return []byte(out.String())
}

// tomlName quotes a name where TOML needs it.
func tomlName(key string, taken func(string) bool) string {
	for _, part := range strings.Split(key, ".") {
		if part == "" || strings.Trim(part, bareLetters) != "" {
			return quote(key)
		}
	}
	for i, c := range key {
		if c == '.' && taken(key[:i]) {
			return quote(key)
		}
	}
	return key
}

const bareLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

func tomlText(value string, kind Kind) string {
	switch kind {
	case Number:
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return strconv.FormatInt(n, 10)
		}
		if f, err := strconv.ParseFloat(value, 64); err == nil && plainFloat(value) {
			text := strconv.FormatFloat(f, 'g', -1, 64)
			if !strings.ContainsAny(text, ".e") {
				text += ".0"
			}
			return text
		}
	case Truth:
		if low := strings.ToLower(value); low == "true" || low == "false" {
			return low
		}
	case Items:
		items := SplitList(value)
		for i := range items {
			items[i] = quote(items[i])
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return quote(value)
}

// plainFloat keeps Inf, NaN and hexadecimal floats in quotes.
func plainFloat(text string) bool { return strings.Trim(text, "0123456789.+-eE") == "" }

// quote writes a basic string of TOML.
func quote(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			out.WriteByte('\\')
			out.WriteRune(c)
		case c == '\n':
			out.WriteString(`\n`)
		case c == '\t':
			out.WriteString(`\t`)
		case c < 0x20 || c == 0x7f:
			out.WriteString(`\u` + pad4(strconv.FormatInt(int64(c), 16)))
		default:
			out.WriteRune(c)
		}
	}
	out.WriteByte('"')
	return out.String()
}

func pad4(hex string) string { return strings.Repeat("0", 4-len(hex)) + hex }

// printable drops what TOML forbids in comments.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' || r == 0x7f || r == 0xfffd {
			return ' '
		}
		return r
	}, s)
}
