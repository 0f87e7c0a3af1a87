package config

import (
	"fmt"
	"net"
	"sort"
	"strconv"
	"strings"
	"time"

	"zkafka/etc"
)

// Default is the configuration of an empty file: upstream's defaults, except data under
// /var/lib/zkd, clientPort 2181, autopurge on, and the admin pages on loopback.
func Default() *Config {
	c, err := New(nil)
	if err != nil {
		panic(err) // the built-in table contradicts itself
	}
	return c
}

// New builds a configuration from settings by name; everything not given has its default. The error
// is of type etc.Faults. Settings without effect are not errors, see Parse.
func New(values map[string]string) (*Config, error) {
	b := builder{c: &Config{values: map[string]string{}}}
	for _, name := range sorted(values) {
		b.add(name, strings.TrimSpace(values[name]))
	}
	if len(b.faults) > 0 {
		return nil, b.faults
	}
	etc.Bind(b.c, b.c.lookup, unitOf)
	b.data()
	b.sessions()
	b.admin()
	b.members()
	if len(b.faults) > 0 {
		return nil, b.faults
	}
	return b.c, nil
}

type builder struct {
	c      *Config
	faults etc.Faults
}

func (b *builder) fail(key, message, hint string) {
	b.faults = append(b.faults, &etc.Fault{Key: key, Message: message, Hint: hint})
}

func (b *builder) add(name, value string) {
	key, ok := Lookup(name)
	switch {
	case !ok:
		b.faults = append(b.faults, unknown(name))
	case key.Refused != "" && !harmless(key, value):
		hint := "remove the line to do without"
		if strings.Contains(key.Refused, "remove") {
			hint = ""
		}
		b.fail(name, fmt.Sprintf("%s=%s cannot be honoured: %s", name, value, key.Refused), hint)
	case key.Ignored == "" && key.Refused == "":
		if f := key.check(name, value); f != nil {
			b.faults = append(b.faults, f)
			return
		}
		fallthrough
	default:
		b.c.values[strings.TrimPrefix(name, "zookeeper.")] = value
	}
}

// harmless: a refused setting may stand in a file with upstream's default, which switches it off.
func harmless(k *Key, value string) bool {
	return k.Default != nil && strings.EqualFold(value, *k.Default)
}

// lookup is the text of a setting: given, else default.
func (c *Config) lookup(name string) (string, bool) {
	if v, ok := c.values[name]; ok {
		return v, true
	}
	if k, ok := keyTable().byName[name]; ok && k.Default != nil {
		return *k.Default, true
	}
	return "", false
}

// unitOf is the unit of a setting that counts time.
func unitOf(key string) time.Duration {
	if key == "autopurge.purgeInterval" {
		return time.Hour
	}
	return time.Millisecond
}

func (b *builder) number(key string) int64 {
	text, _ := b.c.lookup(key)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("setting %s: %v", key, err))
	}
	return n
}

func (b *builder) data() {
	c := b.c
	for key, dir := range map[string]string{"dataDir": c.DataDir, "dataLogDir": c.DataLogDir} {
		if dir != "" && !strings.HasPrefix(dir, "/") {
			b.fail(key, fmt.Sprintf("%s=%s: not an absolute path", key, dir),
				etc.PathHint(dir, "a relative path would depend on where the server is started"))
		}
	}
	if c.DataLogDir == "" {
		c.DataLogDir = c.DataDir
	}
	c.SnapSizeLimitBytes = etc.Saturate(b.number("snapSizeLimitInKb"), 1024)
	c.TxnLogSizeLimit = etc.Saturate(b.number("txnLogSizeLimitInKb"), 1024)
	c.PreAllocBytes = etc.Saturate(b.number("preAllocSize"), 1024)
	c.PurgeRetain = max(c.PurgeRetain, 3)
	c.PurgeInterval = max(c.PurgeInterval, 0)
}

func (b *builder) sessions() {
	c := b.c
	limit := func(key string, ticks int) time.Duration {
		if n := b.number(key); n >= 0 {
			return time.Duration(n) * time.Millisecond
		}
		return time.Duration(ticks) * c.TickTime
	}
	c.MinSessionTimeout = limit("minSessionTimeout", 2)
	c.MaxSessionTimeout = limit("maxSessionTimeout", 20)
	if c.MinSessionTimeout > c.MaxSessionTimeout {
		b.fail("minSessionTimeout", fmt.Sprintf("minSessionTimeout (%d ms) is above "+
			"maxSessionTimeout (%d ms)", c.MinSessionTimeout.Milliseconds(),
			c.MaxSessionTimeout.Milliseconds()), "without them they are 2 and 20 tickTime")
	}
	_, port := c.values["clientPort"]
	if _, address := c.values["clientPortAddress"]; address && !port {
		b.fail("clientPortAddress", "clientPortAddress needs clientPort", "add clientPort=2181")
	}
}

// admin resolves the admin address. Upstream listens on all addresses; our default of loopback
// holds until the operator configures the pages, so that an unmodified zoo.cfg works as before.
func (b *builder) admin() {
	c := b.c
	text, _ := c.lookup("4lw.commands.whitelist")
	c.FourLetterWords = etc.SplitList(text)
	if strings.HasSuffix(c.values["metricsProvider.className"], "PrometheusMetricsProvider") {
		host, _ := c.lookup("metricsProvider.httpHost")
		port := b.number("metricsProvider.httpPort")
		c.MetricsAddress = net.JoinHostPort(host, strconv.FormatInt(port, 10))
	}
	if on, _ := c.lookup("admin.enableServer"); !strings.EqualFold(on, "true") {
		return
	}
	address, given := c.values["admin.serverAddress"]
	_, port := c.values["admin.serverPort"]
	_, enabled := c.values["admin.enableServer"]
	switch {
	case given:
	case port || enabled:
		address = "0.0.0.0"
	default:
		address, _ = c.lookup("admin.serverAddress")
	}
	c.AdminAddress = net.JoinHostPort(address, strconv.FormatInt(b.number("admin.serverPort"), 10))
	if !strings.HasPrefix(c.AdminCommandURL, "/") {
		b.fail("admin.commandURL", "admin.commandURL="+c.AdminCommandURL+": expected a path",
			"begin it with a slash")
	}
}

func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
