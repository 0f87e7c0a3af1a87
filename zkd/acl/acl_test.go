package acl_test

import (
	"fmt"
	"testing"

	"zkafka/zkd/acl"
	"zkafka/zkd/proto"
)

func id(scheme, name string) proto.ID { return proto.ID{Scheme: scheme, ID: name} }

func list(perms int32, scheme, name string) []proto.ACL {
	return []proto.ACL{{Perms: perms, ID: id(scheme, name)}}
}

func checker(t *testing.T, o acl.Options) *acl.Checker {
	t.Helper()
	c, err := acl.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAllowed(t *testing.T) {
	c := checker(t, acl.Options{})
	anna := id("digest", acl.Digest("anna:secret"))
	for _, tc := range []struct {
		list []proto.ACL
		perm int32
		ids  []proto.ID
		want bool
	}{
		{proto.OpenACL(), proto.PermAdmin, nil, true},
		{proto.ReadACL(), proto.PermWrite, nil, false},
		{proto.ReadACL(), proto.PermWrite | proto.PermRead, nil, true},
		{nil, proto.PermWrite, nil, true},
		{list(31, "digest", anna.ID), 1, []proto.ID{anna}, true},
		{list(2, "digest", anna.ID), 1, []proto.ID{anna}, false},
		{list(31, "digest", anna.ID), 1, []proto.ID{id("ip", anna.ID)}, false},
		{list(31, "digest", anna.ID), 1, []proto.ID{id("super", "")}, true},
		{list(31, "ip", "10.0.0.0/8"), 1, []proto.ID{id("ip", "10.1.2.3")}, true},
		{list(31, "ip", "10.0.0.0/8"), 1, []proto.ID{id("ip", "11.1.2.3")}, false},
		{list(31, "ip", "10.1.2.3"), 1, []proto.ID{id("ip", "10.1.2.3")}, true},
		{list(31, "ip", "10.1.2.3/0"), 1, []proto.ID{id("ip", "::1")}, false},
		{list(31, "ip", "fe80::/10"), 1, []proto.ID{id("ip", "fe80::1")}, true},
		{list(31, "ip", "fe80::/10"), 1, []proto.ID{id("ip", "0:0:0:0:0:0:0:1")}, false},
	} {
		if got := c.Allowed(tc.list, tc.perm, tc.ids); got != tc.want {
			t.Errorf("%v %d %v: %v", tc.list, tc.perm, tc.ids, got)
		}
	}
	if !checker(t, acl.Options{Skip: true}).Allowed(proto.ReadACL(), proto.PermAdmin, nil) {
		t.Error("skipACL does not skip")
	}
}

func TestFixup(t *testing.T) {
	c := checker(t, acl.Options{})
	ids := []proto.ID{id("ip", "127.0.0.1"), id("digest", "a:x"), id("digest", "b:y")}
	for _, tc := range []struct {
		list []proto.ACL
		want string
	}{
		{nil, "[] false"},
		{proto.OpenACL(), "[{31 {world anyone}}] true"},
		{append(proto.OpenACL(), proto.OpenACL()...), "[{31 {world anyone}}] true"},
		{list(5, "auth", "whoever"), "[{5 {digest a:x}} {5 {digest b:y}}] true"},
		{list(1, "world", "someone"), "[] false"},
		{list(1, "digest", "a:"), "[] false"},
		{list(1, "digest", "a:b:"), "[{1 {digest a:b:}}] true"},
		{list(1, "digest", "a:b:c"), "[] false"},
		{list(1, "ip", "1.2.3.4/32"), "[{1 {ip 1.2.3.4/32}}] true"},
		{list(1, "ip", "1.2.3.4/33"), "[] false"},
		{list(1, "ip", "::ffff:1.2.3.4"), "[] false"},
		{list(1, "ip", "fe80::1%eth0"), "[] false"},
		{list(1, "ip", "1.2.3.04"), "[{1 {ip 1.2.3.04}}] true"},
		{list(1, "ip", "1.2.3.+4/+8"), "[{1 {ip 1.2.3.+4/+8}}] true"},
		{list(1, "ip", "1.2.3"), "[] false"},
		{list(1, "ip", "1.2.3.256"), "[] false"},
		{list(1, "ip", "::1/128"), "[{1 {ip ::1/128}}] true"},
		{list(1, "ip", "::1::"), "[] false"},
		{list(1, "ip", "1:2:3:4:5:6:7::8"), "[] false"},
		{list(1, "ip", "00001::"), "[] false"},
		{list(1, "nosuch", "x"), "[] false"},
	} {
		got, ok := c.Fixup(tc.list, ids)
		if s := fmt.Sprint(got, ok); s != tc.want {
			t.Errorf("%v: %s, not %s", tc.list, s, tc.want)
		}
	}
	if _, ok := c.Fixup(proto.CreatorAllACL(), ids[:1]); ok {
		t.Error("an address alone is no identity for auth")
	}
}

func TestSuper(t *testing.T) {
	// The digest of "super:secret", as upstream's documentation computes it.
	c := checker(t, acl.Options{SuperDigest: acl.Digest("super:secret")})
	ids, ok := c.Authenticate("digest", []byte("super:secret"), "")
	if !ok || len(ids) != 2 || !c.Allowed(proto.ReadACL(), proto.PermAdmin, ids) {
		t.Errorf("super is not super: %v %v", ids, ok)
	}
	ids, _ = c.Authenticate("digest", []byte("super:wrong"), "")
	if c.Allowed(proto.ReadACL(), proto.PermAdmin, ids) {
		t.Error("a wrong password makes super")
	}
	if _, ok := c.Authenticate("kerberos", nil, ""); ok {
		t.Error("an unknown scheme authenticates")
	}
	if _, ok := checker(t, acl.Options{DigestDisabled: true}).Authenticate("digest", nil, ""); ok {
		t.Error("a disabled scheme authenticates")
	}
	if _, err := acl.New(acl.Options{DigestAlg: "ROT13"}); err == nil {
		t.Error("an unknown algorithm is taken")
	}
}
