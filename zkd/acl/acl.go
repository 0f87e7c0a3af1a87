// Package acl decides who may do what: identities that connections have, access control lists that
// znodes have, and the schemes that relate them (world, auth, digest, ip, super).
//
// It is pure: a Checker is a set of settings, safe for concurrent use once made.
package acl

import (
	"slices"
	"strings"

	"zkafka/zkd/proto"
)

// Schemes built into every server.
const (
	SchemeWorld  = "world"
	SchemeAuth   = "auth"
	SchemeDigest = "digest"
	SchemeIP     = "ip"
	SchemeSuper  = "super"
)

// Options are the settings of a Checker. The zero value is upstream's default.
type Options struct {
	// Skip lets everybody do everything (zookeeper.skipACL=yes).
	Skip bool
	// SuperDigest is "super:" and the base64 digest of "super:password"; who authenticates with
	// that password passes every check. Empty means there is no such user.
	SuperDigest string
	// DigestAlg names the digest algorithm as Java does; empty means SHA1.
	DigestAlg string
	// DigestDisabled removes the digest scheme.
	DigestDisabled bool
}

// Checker authenticates and checks permissions.
type Checker struct {
	opts Options
	hash func(string) string
}

// New returns a Checker, or an error when the digest algorithm is unknown.
func New(o Options) (*Checker, error) {
	hash, err := hasher(o.DigestAlg)
	if err != nil {
		return nil, err
	}
	return &Checker{opts: o, hash: hash}, nil
}

// Allowed says whether one of ids has any of the permissions perm under list. An empty list allows
// everything; user znodes never have one.
func (c *Checker) Allowed(list []proto.ACL, perm int32, ids []proto.ID) bool {
	if c.opts.Skip || len(list) == 0 {
		return true
	}
	for i := range list {
		a := &list[i]
		if a.Perms&perm != 0 && a.ID.Scheme == SchemeWorld && a.ID.ID == "anyone" {
			return true
		}
	}
	for i := range ids {
		if ids[i].Scheme == SchemeSuper {
			return true
		}
	}
	for i := range list {
		if list[i].Perms&perm != 0 && c.anyMatches(ids, &list[i].ID) {
			return true
		}
	}
	return false
}

func (c *Checker) anyMatches(ids []proto.ID, want *proto.ID) bool {
	for i := range ids {
		if ids[i].Scheme == want.Scheme && c.matches(want.Scheme, ids[i].ID, want.ID) {
			return true
		}
	}
	return false
}

func (c *Checker) matches(scheme, have, want string) bool {
	switch scheme {
	case SchemeDigest:
		return !c.opts.DigestDisabled && have == want
	case SchemeIP:
		return ipMatches(have, want)
	}
	return false
}

// Fixup turns the list of a request into the one that is stored: duplicates removed, auth replaced
// by the identities of the caller. It returns false when the list is invalid.
func (c *Checker) Fixup(list []proto.ACL, ids []proto.ID) ([]proto.ACL, bool) {
	if len(list) == 0 {
		return nil, false
	}
	out := make([]proto.ACL, 0, len(list))
	for i, a := range list {
		if slices.Contains(list[:i], a) {
			continue
		}
		switch {
		case a.ID.Scheme == SchemeWorld && a.ID.ID == "anyone":
			out = append(out, a)
		case a.ID.Scheme == SchemeAuth:
			from := len(out)
			for _, id := range ids {
				if c.authenticates(id.Scheme) {
					out = append(out, proto.ACL{Perms: a.Perms, ID: id})
				}
			}
			if len(out) == from {
				return nil, false
			}
		case c.valid(a.ID):
			out = append(out, a)
		default:
			return nil, false
		}
	}
	return out, true
}

// authenticates says whether identities of the scheme prove who somebody is; an address does not.
func (c *Checker) authenticates(scheme string) bool {
	return scheme == SchemeDigest && !c.opts.DigestDisabled
}

func (c *Checker) valid(id proto.ID) bool {
	switch id.Scheme {
	case SchemeDigest:
		return !c.opts.DigestDisabled && javaParts(id.ID) == 2
	case SchemeIP:
		return ipValid(id.ID)
	}
	return false
}

// javaParts counts the colon-separated parts of s as Java's split does: trailing empty ones do not
// count.
func javaParts(s string) int {
	parts := strings.Split(s, ":")
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return len(parts)
}

// Authenticate handles an auth packet. It returns the identities that the connection gains, or
// false when the scheme is unknown or the credentials are refused. peerIP is the address that the
// packet came from.
func (c *Checker) Authenticate(scheme string, auth []byte, peerIP string) ([]proto.ID, bool) {
	switch {
	case scheme == SchemeDigest && !c.opts.DigestDisabled:
		digest := c.hash(string(auth))
		id := proto.ID{Scheme: SchemeDigest, ID: digest}
		if c.opts.SuperDigest != "" && digest == c.opts.SuperDigest {
			return []proto.ID{{Scheme: SchemeSuper}, id}, true
		}
		return []proto.ID{id}, true
	case scheme == SchemeIP:
		return []proto.ID{{Scheme: SchemeIP, ID: peerIP}}, true
	}
	return nil, false
}

// Mask returns list as it is shown to those who may read but not administer a znode: what follows
// the user name of a digest is hidden.
func Mask(list []proto.ACL) []proto.ACL {
	out := slices.Clone(list)
	for i := range out {
		if out[i].ID.Scheme != SchemeDigest {
			continue
		}
		if user, _, ok := strings.Cut(out[i].ID.ID, ":"); ok {
			out[i].ID.ID = user + ":x"
		}
	}
	return out
}

// User returns the name of an identity for people: of a digest the part before the colon.
func User(id proto.ID) string {
	if id.Scheme != SchemeDigest {
		return id.ID
	}
	user, _, _ := strings.Cut(id.ID, ":")
	return user
}
