package admin

import (
	"encoding/json"
	"fmt"
	"strings"
)

// object is a JSON object whose fields keep their order, as upstream's clients see it.
type object []field

type field struct {
	key   string
	value any
}

func (o *object) add(key string, value any) { *o = append(*o, field{key, value}) }

// encode prints in upstream's style: two spaces a level, spaces around the colon, arrays on a line.
func encode(o object) []byte {
	var b strings.Builder
	writeObject(&b, o, 0)
	return []byte(b.String())
}

func writeObject(b *strings.Builder, o object, depth int) {
	if len(o) == 0 {
		b.WriteString("{ }")
		return
	}
	b.WriteString("{\n")
	for i, f := range o {
		b.WriteString(strings.Repeat("  ", depth+1))
		b.WriteString(quote(f.key))
		b.WriteString(" : ")
		writeValue(b, f.value, depth+1)
		if i < len(o)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString(strings.Repeat("  ", depth))
	b.WriteByte('}')
}

func writeValue(b *strings.Builder, v any, depth int) {
	switch v := v.(type) {
	case object:
		writeObject(b, v, depth)
	case []any:
		writeArray(b, v, depth)
	case string:
		b.WriteString(quote(v))
	case float64:
		b.WriteString(javaDouble(v))
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, v)
	}
}

func writeArray(b *strings.Builder, list []any, depth int) {
	if len(list) == 0 {
		b.WriteString("[ ]")
		return
	}
	b.WriteString("[ ")
	for i, v := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		writeValue(b, v, depth)
	}
	b.WriteString(" ]")
}

func quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""` // strings always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}
