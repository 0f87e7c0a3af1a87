package config

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"zkafka/etc"
)

// Key is one setting that upstream knows. A name ending in "*" stands for all that begin so.
type Key struct {
	Name    string
	Type    string  // int, long, double, bool, yesno, string, list, path, class
	Default *string // nil: unset
	Valid   string  // low..high, or "in a,b,c"
	// Ignored and Refused are the reason why a value has no effect, or keeps the server from
	// starting because to pass over it would betray the operator.
	Ignored string
	Refused string
	Doc     string
}

//go:embed server.keys
var keysText string

type table struct {
	list     []*Key
	byName   map[string]*Key
	patterns []*Key
}

var keyTable = sync.OnceValue(func() table {
	t := table{byName: map[string]*Key{}}
	for _, line := range strings.Split(keysText, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		k := parseKey(line)
		t.list = append(t.list, k)
		if strings.HasSuffix(k.Name, "*") {
			t.patterns = append(t.patterns, k)
		} else {
			t.byName[k.Name] = k
		}
	}
	return t
})

// parseKey reads a line of the table: name | type | default | limits | effect | documentation.
func parseKey(line string) *Key {
	f := strings.SplitN(line, " | ", 6)
	if len(f) != 6 {
		panic(fmt.Sprintf("table of settings: %d columns in %q", len(f), line))
	}
	k := &Key{Name: f[0], Type: f[1], Valid: f[3], Doc: f[5]}
	switch f[2] {
	case "-":
	case `""`:
		k.Default = new(string)
	default:
		k.Default = &f[2]
	}
	if why, ok := strings.CutPrefix(f[4], "ignored: "); ok {
		k.Ignored = why
	}
	if why, ok := strings.CutPrefix(f[4], "refused: "); ok {
		k.Refused = why
	}
	return k
}

// Keys is every setting in the order of the table. Callers must not change it.
func Keys() []*Key { return keyTable().list }

// Lookup finds a setting by name; the prefix "zookeeper." of system properties is allowed.
func Lookup(name string) (*Key, bool) {
	name = strings.TrimPrefix(name, "zookeeper.")
	t := keyTable()
	if k, ok := t.byName[name]; ok {
		return k, true
	}
	for _, k := range t.patterns {
		if prefix := strings.TrimSuffix(k.Name, "*"); strings.HasPrefix(name, prefix) {
			return k, true
		}
	}
	return nil, false
}

// unknown is the fault of a name that does not exist, with the one most likely meant.
func unknown(name string) *etc.Fault {
	f := &etc.Fault{Key: name, Message: "unknown setting " + name}
	known := make([]string, 0, len(Keys()))
	for _, k := range Keys() {
		known = append(known, strings.TrimSuffix(k.Name, "*"))
	}
	if near := etc.Nearest(strings.TrimPrefix(name, "zookeeper."), known); near != "" {
		f.Hint = "did you mean " + near + "?"
	} else {
		f.Hint = "`zkd config keys` lists every setting"
	}
	return f
}

// check says what is wrong with a value, nil if nothing is.
func (k *Key) check(name, value string) *etc.Fault {
	bad := func(expected string) *etc.Fault {
		return &etc.Fault{Key: name, Hint: k.hint(),
			Message: fmt.Sprintf("%s=%s: expected %s", name, value, expected)}
	}
	switch k.Type {
	case "int", "long":
		bits := 32
		if k.Type == "long" {
			bits = 64
		}
		n, err := strconv.ParseInt(value, 10, bits)
		if err != nil {
			if bits == 32 {
				return bad("a whole number of at most 2147483647")
			}
			return bad("a whole number")
		}
		return k.checkRange(name, n)
	case "double":
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return bad("a number")
		}
	case "bool":
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return bad("true or false")
		}
	case "yesno":
		switch strings.ToLower(value) {
		case "yes", "no", "true", "false":
		default:
			return bad("yes or no")
		}
	case "path":
		if value == "" {
			return bad("a path")
		}
	}
	if list, ok := strings.CutPrefix(k.Valid, "in "); ok {
		for _, w := range strings.Split(list, ",") {
			if w == value {
				return nil
			}
		}
		return bad("one of " + strings.Join(strings.Split(list, ","), ", "))
	}
	return nil
}

// hint is the way out of a value that the key does not take.
func (k *Key) hint() string {
	if k.Default == nil || *k.Default == "" {
		return "correct it or remove the line"
	}
	return "correct it, or remove the line for the default " + *k.Default
}

func (k *Key) checkRange(name string, n int64) *etc.Fault {
	low, high, ok := strings.Cut(k.Valid, "..")
	if !ok {
		return nil
	}
	bad := func(limit string) *etc.Fault {
		return &etc.Fault{Key: name, Hint: k.hint(),
			Message: fmt.Sprintf("%s=%d: must be %s", name, n, limit)}
	}
	if l, err := strconv.ParseInt(low, 10, 64); err == nil && n < l {
		return bad("at least " + low)
	}
	if h, err := strconv.ParseInt(high, 10, 64); err == nil && n > h {
		return bad("at most " + high)
	}
	return nil
}
