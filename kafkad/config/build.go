package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"zkafka/etc"
)

// New builds a configuration from settings by name; everything not given has its default. The error
// is of type Errors. Names that are not known are errors, settings without effect are not: see
// Notes.
func New(values map[string]string) (*Config, error) {
	b := builder{c: &Config{values: make(map[string]string, len(values))}}
	for _, name := range sortedKeys(values) {
		b.add(name, values[name])
	}
	if len(b.errs) > 0 {
		return nil, b.faults()
	}
	b.oldNames()
	etc.Bind(b.c, b.c.lookup, unitOf)
	b.zookeeper()
	b.listeners()
	b.logDirs()
	b.topicDefaults()
	b.flushInterval()
	b.perIPOverrides()
	b.crossChecks()
	if len(b.errs) > 0 {
		return nil, b.faults()
	}
	return b.c, nil
}

type builder struct {
	c    *Config
	errs Errors
	from map[string]string // settings that others gave: by name, what stands in the file
}

// faults is what was found, each with a way out.
func (b *builder) faults() Errors {
	for _, err := range b.errs {
		if k, ok := BrokerKey(err.Key); ok && err.Hint == "" {
			err.Hint = k.hint()
		}
		if from := b.from[err.Key]; from != "" && err.Cause == "" {
			err.Cause = from
		}
	}
	return b.errs
}

func (b *builder) add(name, value string) {
	value = strings.TrimSpace(value)
	key, ok := BrokerKey(name)
	switch {
	case !ok:
		b.errs = append(b.errs, unknownKey(name))
		return
	case key.Refused != "" && !harmless(key, value):
		b.errs = append(b.errs, &Error{Key: name,
			Message: fmt.Sprintf("%s=%s cannot be honoured: %s", name, value, key.Refused)})
		return
	case key.Ignored == "" && key.Refused == "":
		if err := key.check(value); err != nil {
			b.errs = append(b.errs, err)
			return
		}
	}
	b.c.values[name] = value
}

// harmless: a refused setting may stand in a file with the value that switches it off.
func harmless(k *Key, value string) bool {
	return value == "" || k.Default != nil && strings.EqualFold(value, *k.Default)
}

func (b *builder) fail(key, value, why, hint string) {
	err := invalid(key, value, why)
	err.Hint = hint
	b.errs = append(b.errs, err)
}

// lookup is the text of a setting: given, else default.
func (c *Config) lookup(name string) (string, bool) {
	if v, ok := c.values[name]; ok {
		return v, true
	}
	if k, ok := brokerTable().byName[name]; ok && k.Default != nil {
		return *k.Default, true
	}
	return "", false
}

func (c *Config) text(name string) string {
	v, _ := c.lookup(name)
	return v
}

// isChroot: none, or a path that ZooKeeper takes.
func isChroot(s string) bool {
	if s == "" {
		return true
	}
	for _, part := range strings.Split(s[1:], "/") {
		if part == "" || part == "." || part == ".." || strings.Contains(part, ",") {
			return false
		}
	}
	return true
}

// cutPort splits host[:port]. A host is a name or an address, one of IPv6 in brackets.
func cutPort(s string, otherwise int) (host string, port int, ok bool) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		host = strings.Trim(s, "[]")
	}
	text = cmp.Or(text, strconv.Itoa(otherwise))
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || !isHost(host) {
		return "", 0, false
	}
	return host, int(n), true
}

// isHost: without what no name of a host and no address has.
func isHost(s string) bool {
	if strings.Contains(s, ":") {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	return s != "" && !strings.ContainsAny(s, " \t;,/\\@\"'[]()")
}

// oldNames gives settings of older releases, and node.id, the meaning they had.
func (b *builder) oldNames() {
	v := b.c.values
	b.from = map[string]string{}
	if id, ok := v["node.id"]; ok && v["broker.id"] == "" {
		v["broker.id"], b.from["broker.id"] = id, "node.id"
	}
	address := func(target, host, port, otherPort string) {
		_, haveHost := v[host]
		number, havePort := v[port]
		if _, given := v[target]; given || !haveHost && !havePort {
			return
		}
		b.from[target] = host
		if !haveHost {
			b.from[target] = port
		}
		if !havePort {
			number = otherPort
		}
		v[target] = "PLAINTEXT://" + net.JoinHostPort(v[host], number)
	}
	address("listeners", "host.name", "port", "9092")
	port, ok := v["port"]
	if !ok {
		port = "9092"
	}
	address("advertised.listeners", "advertised.host.name", "advertised.port", port)
}

func (b *builder) zookeeper() {
	const key = "zookeeper.connect"
	connect := b.c.text(key)
	servers, before := connect, len(b.errs)
	if i := strings.IndexByte(connect, '/'); i >= 0 {
		servers, b.c.ZooKeeperChroot = connect[:i], strings.TrimRight(connect[i:], "/")
	}
	for _, s := range etc.SplitList(servers) {
		if s == "" {
			continue
		}
		host, port, ok := cutPort(s, 2181)
		if !ok {
			b.fail(key, connect, strconv.Quote(s)+" is not a server",
				"write host:2181,host:2181/chroot")
			continue
		}
		b.c.ZooKeeperServers = append(b.c.ZooKeeperServers,
			net.JoinHostPort(host, strconv.Itoa(port)))
	}
	switch {
	case len(b.errs) > before:
	case strings.Contains(connect, "://"):
		b.fail(key, connect, "it is no URL", "write host:2181,host:2181/chroot")
	case len(b.c.ZooKeeperServers) == 0:
		b.fail(key, connect, "no server in it", "write host:2181,host:2181/chroot")
	case !isChroot(b.c.ZooKeeperChroot):
		b.fail(key, connect, "the chroot is not a path",
			"a chroot stands once, after the last server: host1:2181,host2:2181/kafka")
	}
	b.c.ZooKeeperConnectionTimeout = b.c.ZooKeeperSessionTimeout
	if v, ok := b.c.lookup("zookeeper.connection.timeout.ms"); ok {
		n, _ := strconv.ParseInt(v, 10, 64) // checked before
		b.c.ZooKeeperConnectionTimeout = time.Duration(etc.Saturate(n, int64(time.Millisecond)))
	}
}

func (b *builder) logDirs() {
	key := "log.dirs"
	text, ok := b.c.lookup(key)
	if !ok {
		key = "log.dir"
		text = b.c.text(key)
	}
	seen := map[string]bool{}
	for _, dir := range etc.SplitList(text) {
		switch {
		case dir == "":
			b.fail(key, text, "an empty path in it", "remove the comma too many")
		case !strings.HasPrefix(dir, "/"):
			b.fail(key, text, dir+" is not an absolute path",
				etc.PathHint(dir, "a relative path would depend on where the broker is started"))
		case seen[strings.TrimRight(dir, "/")]:
			b.fail(key, text, dir+" is named twice", "name each directory once")
		}
		seen[strings.TrimRight(dir, "/")] = true
		b.c.LogDirs = append(b.c.LogDirs, dir)
	}
	if len(b.c.LogDirs) == 0 {
		b.fail(key, text, "at least one log directory is needed",
			"name the directories, with commas between them")
	}
}

// flushInterval: upstream never looks for logs to flush unless log.flush.scheduler.interval.ms is
// set, so that log.flush.interval.ms alone does nothing there. Here it means what it says.
func (b *builder) flushInterval() {
	c := b.c
	if _, given := c.values["log.flush.scheduler.interval.ms"]; given {
		return
	}
	c.LogFlushSchedulerInterval = time.Second
	if half := c.Topic.FlushMillis / 2; half < 1000 {
		c.LogFlushSchedulerInterval = time.Duration(max(half, 1)) * time.Millisecond
	}
}

func (b *builder) perIPOverrides() {
	const key = "max.connections.per.ip.overrides"
	b.c.MaxConnectionsPerIPOverrides = map[string]int{}
	for _, item := range etc.SplitList(b.c.text(key)) {
		i := strings.LastIndexByte(item, ':')
		n, err := strconv.ParseInt(item[i+1:], 10, 32)
		if i <= 0 || err != nil {
			b.fail(key, item, "expected host:count", "write host:100,other:200")
			continue
		}
		b.c.MaxConnectionsPerIPOverrides[strings.Trim(item[:i], "[]")] = int(n)
	}
}

// topicDefaults resolves each topic setting through its broker synonyms.
func (b *builder) topicDefaults() {
	values := map[string]string{}
	for _, k := range TopicKeys() {
		if text, ok := topicDefault(b.c, k); ok {
			values[k.Name] = text
		}
	}
	for _, name := range sortedKeys(values) {
		k, _ := TopicKey(name)
		if err := k.check(values[name]); err != nil && k.Ignored == "" {
			source, _ := synonymInForce(b.c, k)
			if source == "" {
				source = name
			}
			b.errs = append(b.errs, invalid(source, values[name], strings.TrimPrefix(err.Message,
				"Invalid value "+values[name]+" for configuration "+name+": ")))
			delete(values, name)
		}
	}
	etc.Bind(&b.c.Topic, func(key string) (string, bool) {
		v, ok := values[key]
		return v, ok
	}, unitOf)
	if v, ok := b.c.values["log.message.timestamp.difference.max.ms"]; ok {
		b.c.Topic.timestampDifference(v, func(topicKey string) bool {
			_, given := b.c.values["log."+topicKey]
			return given
		})
	}
}

// crossChecks are upstream's rules between settings (those of settings that act here).
func (b *builder) crossChecks() {
	c := b.c
	switch {
	case c.BrokerIDGeneration && (c.BrokerID < -1 || c.BrokerID > c.ReservedBrokerMaxID):
		b.fail("broker.id", strconv.Itoa(c.BrokerID), fmt.Sprintf("must be -1 to %d "+
			"(reserved.broker.max.id)", c.ReservedBrokerMaxID),
			"raise reserved.broker.max.id or set broker.id.generation.enable=false")
	case !c.BrokerIDGeneration && c.BrokerID < 0:
		b.fail("broker.id", strconv.Itoa(c.BrokerID), "must be 0 or more",
			"broker.id.generation.enable is off, so write the number of this broker")
		b.errs[len(b.errs)-1].Cause = "broker.id.generation.enable"
	}
	if c.AdminAddress != "" {
		if _, err := netip.ParseAddrPort(c.AdminAddress); err != nil {
			b.fail("admin.address", c.AdminAddress, "expected address:port",
				"write the address as a number, 127.0.0.1:8088; empty switches the pages off")
		}
	}
}
