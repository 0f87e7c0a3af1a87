package acl

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"net/netip"
	"strconv"
	"strings"
)

// Digest returns the identity of "user:password" in the digest scheme with upstream's default
// algorithm: the user, a colon and the base64 SHA-1 of the whole.
func Digest(userPassword string) string {
	sum := sha1.Sum([]byte(userPassword))
	return digestID(userPassword, sum[:])
}

func digestID(userPassword string, sum []byte) string {
	user, _, _ := strings.Cut(userPassword, ":")
	return user + ":" + base64.StdEncoding.EncodeToString(sum)
}

// hasher returns the digest function for an algorithm in Java's spelling.
func hasher(alg string) (func(string) string, error) {
	var newHash func() hash.Hash
	switch strings.ToUpper(alg) {
	case "", "SHA1", "SHA-1", "SHA":
		return Digest, nil
	case "SHA-224":
		newHash = sha256.New224
	case "SHA-256":
		newHash = sha256.New
	case "SHA-384":
		newHash = sha512.New384
	case "SHA-512":
		newHash = sha512.New
	case "MD5":
		newHash = md5.New
	default:
		return nil, fmt.Errorf("acl: unknown digest algorithm %q", alg)
	}
	return func(userPassword string) string {
		h := newHash()
		h.Write([]byte(userPassword))
		return digestID(userPassword, h.Sum(nil))
	}, nil
}

// ipValid says whether expr can stand in an ACL: an address, or an address and a number of leading
// bits within its length.
func ipValid(expr string) bool {
	addr, bits, hasBits := strings.Cut(expr, "/")
	a, ok := parseIP(addr)
	if !ok {
		return false
	}
	if !hasBits {
		return true
	}
	n, err := strconv.Atoi(bits)
	return err == nil && n >= 0 && n <= a.BitLen()
}

// ipMatches says whether the peer address have lies in the ACL expression want.
func ipMatches(have, want string) bool {
	addr, bits, hasBits := strings.Cut(want, "/")
	peer, ok := parseIP(have)
	if !ok {
		return false
	}
	a, ok := parseIP(addr)
	if !ok || a.BitLen() != peer.BitLen() {
		return false
	}
	n := a.BitLen()
	if hasBits {
		var err error
		if n, err = strconv.Atoi(bits); err != nil || n < 0 || n > a.BitLen() {
			return false
		}
	}
	p, err := a.Prefix(n)
	return err == nil && p.Contains(peer)
}

// parseIP reads an address as upstream does: numbers may have signs and leading zeros, IPv6 has
// neither a zone nor an IPv4 tail.
func parseIP(s string) (netip.Addr, bool) {
	if strings.Contains(s, ":") {
		return parseIPv6(s)
	}
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return netip.Addr{}, false
	}
	var b [4]byte
	for i, part := range parts {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || n < 0 || n > 255 {
			return netip.Addr{}, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}

func parseIPv6(s string) (netip.Addr, bool) {
	const groups = 8
	var b [2 * groups]byte
	head, tail, short := strings.Cut(s, "::")
	h, t := splitGroups(head), splitGroups(tail)
	switch {
	case !short && len(h) != groups,
		short && (len(h)+len(t) >= groups || strings.Contains(tail, "::")),
		!putGroups(b[:], h),
		!putGroups(b[len(b)-2*len(t):], t):
		return netip.Addr{}, false
	}
	return netip.AddrFrom16(b), true
}

func splitGroups(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ":")
}

func putGroups(b []byte, groups []string) bool {
	for i, g := range groups {
		n, err := strconv.ParseInt(g, 16, 32)
		if err != nil || len(g) > 4 {
			return false
		}
		b[2*i], b[2*i+1] = byte(n>>8), byte(n)
	}
	return true
}
