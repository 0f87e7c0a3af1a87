package client

import (
	"fmt"
	"net"
	"strings"

	"zkafka/zkd/proto"
)

// defaultPort is where ZooKeeper servers listen for clients.
const defaultPort = "2181"

// ParseServers splits a connect string, "host:port,host:port/chroot", as ZooKeeper's and Kafka's
// configurations write it. The port may be left out; an IPv6 address with a port is in brackets.
func ParseServers(s string) (servers []string, chroot string, err error) {
	hosts := s
	if i := strings.IndexByte(s, '/'); i >= 0 {
		hosts, chroot = s[:i], s[i:]
		if chroot = strings.TrimRight(chroot, "/"); chroot != "" {
			if err := checkPath(chroot); err != nil {
				return nil, "", fmt.Errorf("chroot of %q: %w", s, err)
			}
		}
	}
	for h := range strings.SplitSeq(hosts, ",") {
		if h = strings.TrimSpace(h); h == "" {
			continue
		}
		h, err := withPort(h)
		if err != nil {
			return nil, "", err
		}
		servers = append(servers, h)
	}
	if len(servers) == 0 {
		return nil, "", fmt.Errorf("%q names no server", s)
	}
	return servers, chroot, nil
}

// withPort completes host, host:port, [v6] and [v6]:port with the default port.
func withPort(s string) (string, error) {
	if host, port, err := net.SplitHostPort(s); err == nil {
		if port == "" {
			port = defaultPort
		}
		return net.JoinHostPort(host, port), nil
	}
	host := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if host == "" || strings.ContainsAny(host, "[] /") {
		return "", fmt.Errorf("server %q is not host:port", s)
	}
	return net.JoinHostPort(host, defaultPort), nil
}

// checkPath refuses what a path can never be; the server judges the rest.
func checkPath(p string) error {
	if p == "/" {
		return nil
	}
	if !strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || strings.Contains(p, "//") {
		return fmt.Errorf("path %q: %w", p, proto.ErrBadArguments)
	}
	return nil
}

// full puts the chroot before a path.
func (c *Client) full(p string) string {
	switch {
	case c.opt.Chroot == "":
		return p
	case p == "/":
		return c.opt.Chroot
	}
	return c.opt.Chroot + p
}

// local takes the chroot off a path.
func (c *Client) local(p string) string {
	if c.opt.Chroot == "" {
		return p
	}
	rest, ok := strings.CutPrefix(p, c.opt.Chroot)
	switch {
	case !ok:
		return p
	case rest == "":
		return "/"
	}
	return rest
}
