package config

// Source says where an effective value came from. The numbers are the wire's of DescribeConfigs.
type Source int8

// The sources that exist here.
const (
	TopicSource   Source = 1 // the topic's own setting in ZooKeeper
	StaticSource  Source = 4 // the file, the environment or --override
	DefaultSource Source = 5
)

// Synonym is one place an effective value could have come from, in order of precedence.
type Synonym struct {
	Name   string
	Value  *string // nil when unset or sensitive
	Source Source
}

// Entry is one setting as DescribeConfigs answers it.
type Entry struct {
	Key       *Key
	Name      string
	Value     *string // nil when unset or sensitive
	Source    Source
	ReadOnly  bool
	Sensitive bool
	Synonyms  []Synonym // the value in force first
}

// IsDefault is the v0 form of Source.
func (e *Entry) IsDefault() bool { return e.Source == DefaultSource }

// DescribeTopic lists every topic setting with its effective value under the broker configuration
// and the topic's overrides. Overrides that are unknown or do not parse are passed over.
func DescribeTopic(c *Config, overrides map[string]string) []Entry {
	var out []Entry
	for _, k := range TopicKeys() {
		e := Entry{Key: k, Name: k.Name, Source: DefaultSource, Sensitive: k.Sensitive()}
		if v, ok := overrides[k.Name]; ok && k.check(v) == nil {
			e.Synonyms = append(e.Synonyms, Synonym{k.Name, visible(k, v), TopicSource})
		}
		e.Synonyms = append(e.Synonyms, brokerSynonyms(c, k)...)
		e.settle(k)
		if text, ok := topicDefault(c, k); ok && e.Source != TopicSource {
			e.Value = visible(k, text)
		}
		out = append(out, e)
	}
	return out
}

// brokerSynonyms lists the broker settings behind a topic setting: those given, then the default of
// the finest one. Upstream leaves out the defaults of coarser units.
func brokerSynonyms(c *Config, k *Key) []Synonym {
	var list []Synonym
	for _, name := range k.Synonyms {
		if v, ok := c.values[name]; ok {
			list = append(list, Synonym{name, visible(k, v), StaticSource})
		}
	}
	if len(k.Synonyms) > 0 {
		if finest, ok := BrokerKey(k.Synonyms[0]); ok && finest.Default != nil {
			list = append(list, Synonym{finest.Name, finest.Default, DefaultSource})
		}
	}
	return list
}

// DescribeBroker lists every broker setting with its effective value, and the listener-scoped ones
// that are given.
func DescribeBroker(c *Config) []Entry {
	var out []Entry
	for _, k := range BrokerKeys() {
		if !k.Undescribed {
			out = append(out, describeBrokerKey(c, k, k.Name))
		}
	}
	for _, name := range sortedKeys(c.values) {
		if _, plain := brokerTable().byName[name]; !plain {
			k, _ := BrokerKey(name)
			out = append(out, describeBrokerKey(c, k, name))
		}
	}
	return out
}

func describeBrokerKey(c *Config, k *Key, name string) Entry {
	e := Entry{Key: k, Name: name, Source: DefaultSource, Sensitive: k.Sensitive(),
		ReadOnly: k.Dynamic == ReadOnly}
	v, ok := c.values[name]
	if name == "node.id" { // upstream keeps it equal to broker.id
		v, ok = c.values["broker.id"]
	}
	if ok {
		e.Synonyms = append(e.Synonyms, Synonym{name, visible(k, v), StaticSource})
	}
	for _, other := range brokerFallbacks[name] {
		if v, ok := c.values[other]; ok {
			e.Synonyms = append(e.Synonyms, Synonym{other, visible(k, v), StaticSource})
		}
	}
	if k.Name == name && k.Default != nil {
		e.Synonyms = append(e.Synonyms, Synonym{name, k.Default, DefaultSource})
	}
	e.settle(k)
	if len(e.Synonyms) > 0 && e.Synonyms[0].Name != name {
		e.Value, e.Source = nil, DefaultSource // a coarser synonym decides; this one is unset
	}
	return e
}

// brokerFallbacks are settings that count when a finer one is unset.
var brokerFallbacks = map[string][]string{
	"log.retention.ms":      {"log.retention.minutes", "log.retention.hours"},
	"log.retention.minutes": {"log.retention.hours"},
	"log.roll.ms":           {"log.roll.hours"},
	"log.roll.jitter.ms":    {"log.roll.jitter.hours"},
	"log.flush.interval.ms": {"log.flush.scheduler.interval.ms"},
}

// settle takes value and source from the first synonym.
func (e *Entry) settle(k *Key) {
	if len(e.Synonyms) > 0 {
		e.Value, e.Source = e.Synonyms[0].Value, e.Synonyms[0].Source
	} else {
		e.Value = k.Default
	}
}

func visible(k *Key, v string) *string {
	if k.Sensitive() {
		return nil
	}
	return &v
}
