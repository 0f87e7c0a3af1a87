package etc

import "strings"

// tomlKey is one key of a TOML document as written.
type tomlKey struct {
	name   string // with the tables it stands in
	line   int
	quoted bool // in quotes as a whole, so that it makes no table
}

// scanTOML finds where each key stands. The TOML parser tells names but no lines; this reader knows
// only enough syntax to skip values and may be wrong about documents that the parser refuses.
func scanTOML(text string) []tomlKey {
	s := tomlScanner{text: text, line: 1}
	var out []tomlKey
	prefix := ""
	for s.skipBlank(); s.pos < len(text); s.skipBlank() {
		if text[s.pos] == '[' {
			header := s.restOfLine()
			header = strings.Trim(strings.TrimSpace(strings.SplitN(header, "#", 2)[0]), "[]")
			prefix = strings.Join(splitTOMLKey(header), ".") + "."
			continue
		}
		line := s.line
		key := s.until('=')
		parts := splitTOMLKey(key)
		if len(parts) == 0 {
			s.restOfLine()
			continue
		}
		out = append(out, tomlKey{prefix + strings.Join(parts, "."), line,
			prefix == "" && len(parts) == 1 && strings.ContainsAny(key, `"'`)})
		s.skipValue()
	}
	return out
}

type tomlScanner struct {
	text string
	pos  int
	line int
}

// skipBlank passes blanks, line ends and comments.
func (s *tomlScanner) skipBlank() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '#':
			s.restOfLine()
		case ' ', '\t', '\r', '\n':
			s.next()
		default:
			return
		}
	}
}

func (s *tomlScanner) next() {
	if s.text[s.pos] == '\n' {
		s.line++
	}
	s.pos++
}

func (s *tomlScanner) restOfLine() string {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		s.pos++
	}
	return s.text[start:s.pos]
}

// until returns the text up to a character outside quotes (and passes it), or to the line's end.
func (s *tomlScanner) until(stop byte) string {
	start := s.pos
	var quote byte
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		c := s.text[s.pos]
		switch {
		case quote == 0 && c == stop:
			s.pos++
			return s.text[start : s.pos-1]
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
		s.pos++
	}
	return s.text[start:s.pos]
}

// skipValue passes a value: to the end of the line, further inside brackets and long strings.
func (s *tomlScanner) skipValue() {
	depth := 0
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '\n' && depth <= 0:
			return
		case c == '#':
			s.restOfLine()
		case c == '"' || c == '\'':
			s.skipString(c)
		case c == '[' || c == '{':
			depth++
			s.pos++
		case c == ']' || c == '}':
			depth--
			s.pos++
		default:
			s.next()
		}
	}
}

func (s *tomlScanner) skipString(quote byte) {
	long := strings.Repeat(string(quote), 3)
	end := string(quote)
	if strings.HasPrefix(s.text[s.pos:], long) {
		end = long
	}
	s.pos += len(end)
	for s.pos < len(s.text) {
		if strings.HasPrefix(s.text[s.pos:], end) {
			s.pos += len(end)
			return
		}
		if s.text[s.pos] == '\n' && len(end) == 1 {
			return
		}
		if s.text[s.pos] == '\\' && quote == '"' && s.pos+1 < len(s.text) {
			s.next()
		}
		s.next()
	}
}

// splitTOMLKey splits a dotted key at the dots outside quotes.
func splitTOMLKey(key string) []string {
	var parts []string
	var part strings.Builder
	var quote rune
	for _, c := range strings.TrimSpace(key) {
		switch {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		case quote == 0 && c == '.':
			parts = append(parts, part.String())
			part.Reset()
		case quote == 0 && (c == ' ' || c == '\t'):
		default:
			part.WriteRune(c)
		}
	}
	if part.Len() > 0 || len(parts) > 0 {
		parts = append(parts, part.String())
	}
	return parts
}
