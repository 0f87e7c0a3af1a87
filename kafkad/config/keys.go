package config

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

// Type is how a setting's text is read. The numbers are the wire's ConfigType of DescribeConfigs.
type Type int8

// The types of settings.
const (
	Boolean  Type = 1
	String   Type = 2
	Int      Type = 3
	Short    Type = 4
	Long     Type = 5
	Double   Type = 6
	List     Type = 7
	Class    Type = 8
	Password Type = 9
)

// Dynamic says whether and where a running Kafka broker takes a setting from ZooKeeper.
type Dynamic int8

// The update modes of upstream's documentation.
const (
	ReadOnly    Dynamic = iota // from the file only, at start
	PerBroker                  // /config/brokers/N
	ClusterWide                // /config/brokers/N or /config/brokers/<default>
)

// Key is one setting that upstream knows (or one of ours, marked so in its documentation).
type Key struct {
	Name    string
	Type    Type
	Default *string // nil: unset
	Dynamic Dynamic
	Valid   string // limits, in the table's notation; see validate.go
	// Ignored is the reason why a value has no effect here; empty for settings that have one.
	Ignored string
	// Refused is the reason why the setting keeps the broker from starting: to pass over it would
	// betray the operator (a listener without the TLS it was given).
	Refused string
	Doc     string
	// Undescribed settings are read from files, but no answer to DescribeConfigs has them.
	Undescribed bool
	// Synonyms of a topic setting are the broker settings that give its default, first one wins.
	Synonyms []string
}

// Sensitive reports whether values must not be shown.
func (k *Key) Sensitive() bool { return k.Type == Password }

//go:embed broker.keys
var brokerKeysText string

//go:embed topic.keys
var topicKeysText string

type table struct {
	list   []*Key
	byName map[string]*Key
}

var brokerTable = sync.OnceValue(func() table { return parseTable(brokerKeysText) })

var topicTable = sync.OnceValue(func() table { return parseTable(topicKeysText) })

// BrokerKeys is every broker setting in the order of the table. Callers must not change it.
func BrokerKeys() []*Key { return brokerTable().list }

// TopicKeys is every topic setting in the order of the table. Callers must not change it.
func TopicKeys() []*Key { return topicTable().list }

// BrokerKey finds a broker setting by name; listener.name.* settings are found by their last part.
func BrokerKey(name string) (*Key, bool) {
	if k, ok := brokerTable().byName[name]; ok {
		return k, true
	}
	base, ok := listenerScoped(name)
	if !ok {
		return nil, false
	}
	k, ok := brokerTable().byName[base]
	return k, ok
}

// TopicKey finds a topic setting by name.
func TopicKey(name string) (*Key, bool) {
	k, ok := topicTable().byName[name]
	return k, ok
}

var typeNames = map[string]Type{
	"boolean": Boolean, "string": String, "int": Int, "short": Short, "long": Long,
	"double": Double, "list": List, "class": Class, "password": Password,
}

// parseTable reads the built-in tables: lines of name | type | default | update mode | limits |
// synonyms, or the reason for being ignored or refused | documentation. "-" is unset, "" the empty
// string.
func parseTable(text string) table {
	t := table{byName: map[string]*Key{}}
	for _, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, " | ")
		if len(f) != 7 {
			panic(fmt.Sprintf("table of settings: %d columns in %q", len(f), line))
		}
		k := &Key{Name: f[0], Type: typeNames[f[1]], Valid: f[4], Doc: f[6]}
		switch f[2] {
		case "-":
		case `""`:
			k.Default = new(string)
		default:
			k.Default = &f[2]
		}
		switch f[3] {
		case "broker":
			k.Dynamic = PerBroker
		case "cluster":
			k.Dynamic = ClusterWide
		case "none":
			k.Undescribed = true
		}
		if why, ok := strings.CutPrefix(f[5], "ignored: "); ok {
			k.Ignored = why
		} else if why, ok := strings.CutPrefix(f[5], "refused: "); ok {
			k.Refused = why
		} else if f[5] != "" {
			k.Synonyms = strings.Split(f[5], ",")
		}
		t.list = append(t.list, k)
		t.byName[k.Name] = k
	}
	return t
}

// listenerScoped returns the setting that listener.name.<name>[.<mechanism>].<setting> scopes.
func listenerScoped(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, "listener.name.")
	if !ok {
		return "", false
	}
	_, rest, ok = strings.Cut(rest, ".")
	if !ok {
		return "", false
	}
	if _, known := brokerTable().byName[rest]; known {
		return rest, true
	}
	_, rest, ok = strings.Cut(rest, ".")
	return rest, ok
}

// String is the type as upstream's documentation names it.
func (t Type) String() string {
	for name, typ := range typeNames {
		if typ == t {
			return name
		}
	}
	return "unknown"
}
