package config

import (
	"fmt"
	"net"
	"sort"
	"strconv"
	"strings"
)

// members reads server.N, group.N and weight.N and applies the rules of an ensemble.
func (b *builder) members() {
	c := b.c
	c.Observer = c.values["peerType"] == "observer"
	c.Groups, c.Weights = map[int64]int64{}, map[int64]int64{}
	for _, key := range sorted(c.values) {
		prefix, number, _ := strings.Cut(key, ".")
		if prefix != "server" && prefix != "group" && prefix != "weight" ||
			key == "server.principal" {
			continue
		}
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			b.fail(key, fmt.Sprintf("%s: %q is not the number of a server", key, number),
				"write "+prefix+".1")
			continue
		}
		b.member(prefix, key, id, c.values[key])
	}
	sort.Slice(c.Servers, func(i, j int) bool { return c.Servers[i].ID < c.Servers[j].ID })
	b.ensembleRules()
}

func (b *builder) member(prefix, key string, id int64, value string) {
	c := b.c
	switch prefix {
	case "server":
		s, err := parseServer(id, value)
		if err != nil {
			b.fail(key, fmt.Sprintf("%s=%s: %v", key, value, err),
				"write host:2888:3888 or host:2888:3888:participant;2181")
			return
		}
		c.Servers = append(c.Servers, s)
	case "group":
		for _, member := range strings.Split(value, ":") {
			sid, err := strconv.ParseInt(strings.TrimSpace(member), 10, 64)
			if err != nil {
				b.fail(key, key+"="+value+": expected ids separated by colons", "write 1:2:3")
				return
			}
			c.Groups[sid] = id
		}
	case "weight":
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 0 {
			b.fail(key, key+"="+value+": expected a whole number from 0", "the usual weight is 1")
			return
		}
		c.Weights[id] = n
	}
}

func (b *builder) ensembleRules() {
	c := b.c
	if c.Standalone() {
		// The one member's client part stands in for clientPort, as upstream's does.
		_, given := c.values["clientPort"]
		if len(c.Servers) == 1 && c.Servers[0].ClientPort != 0 && !given {
			c.ClientPort, c.ClientAddress = c.Servers[0].ClientPort, c.Servers[0].ClientAddress
		}
		return
	}
	if c.DynamicConfigFile != "" && len(c.Servers) > 0 {
		b.fail("dynamicConfigFile", "server, group and weight settings stand either in this file "+
			"or in dynamicConfigFile, not in both", "remove the server lines")
	}
	needs := func(key, example string) {
		b.fail(key, "an ensemble needs "+key, "add "+key+"="+example)
		if len(c.Servers) > 0 {
			b.faults[len(b.faults)-1].Cause = fmt.Sprintf("server.%d", c.Servers[0].ID)
		}
	}
	if c.InitLimit == 0 {
		needs("initLimit", "10")
	}
	if c.SyncLimit == 0 {
		needs("syncLimit", "5")
	}
}

// parseServer reads host:quorum:election[|host:quorum:election...][:role][;[host:]clientPort].
func parseServer(id int64, text string) (Server, error) {
	s := Server{ID: id}
	spec, client, hasClient := strings.Cut(text, ";")
	if hasClient {
		host, port, err := splitClient(strings.TrimSpace(client))
		if err != nil {
			return s, err
		}
		s.ClientAddress, s.ClientPort = host, port
	}
	for i, one := range strings.Split(strings.TrimSpace(spec), "|") {
		address, observer, err := parseServerAddress(strings.TrimSpace(one))
		if err != nil {
			return s, err
		}
		if i > 0 && observer != s.Observer {
			return s, fmt.Errorf("its addresses disagree about the role")
		}
		s.Observer = observer
		s.Addresses = append(s.Addresses, address)
	}
	return s, nil
}

func splitClient(text string) (host string, port int, err error) {
	portText := text
	if strings.ContainsAny(text, ":]") {
		if host, portText, err = net.SplitHostPort(text); err != nil {
			return "", 0, fmt.Errorf("%q is not [host:]clientPort", text)
		}
	}
	port, err = parsePort(portText)
	return host, port, err
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a port", text)
	}
	return int(n), nil
}

func parseServerAddress(text string) (a ServerAddress, observer bool, err error) {
	var rest string
	if strings.HasPrefix(text, "[") { // an IPv6 address in brackets
		host, after, ok := strings.Cut(text[1:], "]")
		if !ok || !strings.HasPrefix(after, ":") {
			return a, false, fmt.Errorf("%q: expected [address]:port:port", text)
		}
		a.Host, rest = host, after[1:]
	} else {
		var ok bool
		if a.Host, rest, ok = strings.Cut(text, ":"); !ok {
			return a, false, fmt.Errorf("%q: expected host:port:port", text)
		}
	}
	parts := strings.Split(rest, ":")
	if a.Host == "" || len(parts) < 2 || len(parts) > 3 {
		return a, false, fmt.Errorf("%q: expected host:port:port", text)
	}
	if a.QuorumPort, err = parsePort(parts[0]); err != nil {
		return a, false, err
	}
	if a.ElectionPort, err = parsePort(parts[1]); err != nil {
		return a, false, err
	}
	if len(parts) == 3 {
		switch strings.ToLower(parts[2]) {
		case "participant":
		case "observer":
			observer = true
		default:
			return a, false, fmt.Errorf("%q is neither participant nor observer", parts[2])
		}
	}
	return a, observer, nil
}
