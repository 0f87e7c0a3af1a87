package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"zkafka/etc"
)

var securityProtocols = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

// listeners reads listeners, advertised.listeners, the protocol map and the inter-broker choice.
func (b *builder) listeners() {
	c := b.c
	protocols := b.protocolMap()
	c.Listeners = b.listenerList("listeners", c.text("listeners"), protocols)
	b.uniqueListeners()
	advertised, ok := c.values["advertised.listeners"]
	if ok && advertised != "" {
		c.AdvertisedListeners = b.listenerList("advertised.listeners", advertised, protocols)
	} else {
		c.AdvertisedListeners = append([]Listener(nil), c.Listeners...)
	}
	for _, l := range c.AdvertisedListeners {
		if _, known := c.Listener(l.Name); !known {
			b.fail("advertised.listeners", l.String(), "no such name in listeners",
				"add "+l.Name+"://:port to listeners, or use a name from there")
		}
		if l.Host == "0.0.0.0" && ok {
			b.fail("advertised.listeners", l.String(),
				"clients cannot connect to 0.0.0.0", "write the name or address clients use")
		}
	}
	b.interBroker(protocols)
}

func (b *builder) protocolMap() map[string]string {
	const key = "listener.security.protocol.map"
	out := map[string]string{}
	for _, item := range etc.SplitList(b.c.text(key)) {
		name, protocol, ok := strings.Cut(item, ":")
		name, protocol = strings.ToUpper(strings.TrimSpace(name)), strings.TrimSpace(protocol)
		if !ok || name == "" || !contains(securityProtocols, strings.ToUpper(protocol)) {
			b.fail(key, item, "expected NAME:PROTOCOL with one of "+
				strings.Join(securityProtocols, ", "), "write INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT")
			continue
		}
		if _, twice := out[name]; twice {
			b.fail(key, item, name+" is named twice", "keep one of them")
		}
		out[name] = strings.ToUpper(protocol)
	}
	return out
}

func (b *builder) listenerList(key, text string, protocols map[string]string) []Listener {
	var out []Listener
	before := len(b.errs)
	for _, item := range etc.SplitList(text) {
		if item == "" {
			continue
		}
		name, address, ok := strings.Cut(item, "://")
		name = strings.ToUpper(name)
		host, port, err := net.SplitHostPort(address)
		number, perr := strconv.ParseUint(port, 10, 16)
		if !ok || name == "" || err != nil || perr != nil || host != "" && !isHost(host) {
			b.fail(key, item, "expected NAME://host:port", "write PLAINTEXT://host:9092; without a host"+
				" it listens on all addresses, and a port is at most 65535")
			continue
		}
		protocol, known := protocols[name]
		if !known {
			b.fail(key, item, "no security protocol for "+name,
				"add "+name+":PLAINTEXT to listener.security.protocol.map")
			b.errs[len(b.errs)-1].Cause = "listener.security.protocol.map"
			continue
		}
		if protocol != "PLAINTEXT" {
			b.fail(key, item, protocol+" is not in this version", "use PLAINTEXT, or put TLS in front")
			continue
		}
		out = append(out, Listener{Name: name, Host: host, Port: int(number), Protocol: protocol})
	}
	if len(out) == 0 && len(b.errs) == before {
		b.fail(key, text, "at least one listener is needed", "write PLAINTEXT://:9092")
	}
	return out
}

// uniqueListeners: names are unique; a port may repeat only as one IPv4 and one IPv6 literal.
func (b *builder) uniqueListeners() {
	names := map[string]bool{}
	ports := map[int]Listener{}
	for _, l := range b.c.Listeners {
		if names[l.Name] {
			b.fail("listeners", b.c.text("listeners"), "each listener needs its own name",
				"give one another name, and that a protocol in listener.security.protocol.map")
		}
		names[l.Name] = true
		if l.Port == 0 {
			continue
		}
		if other, twice := ports[l.Port]; twice && !mixedFamilies(l.Host, other.Host) {
			b.fail("listeners", b.c.text("listeners"), "each listener needs its own port",
				"change one of the ports")
		}
		ports[l.Port] = l
	}
}

func mixedFamilies(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	return errX == nil && errY == nil && x.Is4() != y.Is4()
}

func (b *builder) interBroker(protocols map[string]string) {
	c := b.c
	const key = "inter.broker.listener.name"
	name, byName := c.values[key]
	protocol, byProtocol := c.values["security.inter.broker.protocol"]
	if byName && name != "" {
		if byProtocol {
			b.fail(key, name, "only one of it and security.inter.broker.protocol may be set",
				"remove security.inter.broker.protocol")
		}
		c.InterBrokerListenerName = strings.ToUpper(name)
		if _, known := protocols[c.InterBrokerListenerName]; !known {
			b.fail(key, name, "not in listener.security.protocol.map", "add "+
				c.InterBrokerListenerName+":PLAINTEXT there, and the listener to listeners")
			return
		}
	} else {
		if !byProtocol {
			protocol = c.text("security.inter.broker.protocol")
		}
		c.InterBrokerListenerName = strings.ToUpper(protocol)
	}
	for _, l := range c.AdvertisedListeners {
		if l.Name == c.InterBrokerListenerName {
			return
		}
	}
	if len(c.AdvertisedListeners) == 0 {
		return // which was told
	}
	b.fail(key, c.InterBrokerListenerName, "no advertised listener has this name",
		"set inter.broker.listener.name to one of the listeners")
	fault := b.errs[len(b.errs)-1]
	for _, cause := range []string{"security.inter.broker.protocol", "advertised.listeners",
		"listeners"} {
		if _, given := c.values[cause]; given && !byName {
			fault.Cause = cause
			return
		}
	}
}
