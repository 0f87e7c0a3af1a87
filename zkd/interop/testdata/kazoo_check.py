"""What a Python program does with ZooKeeper, through kazoo: python kazoo_check.py HOST:PORT"""

import os
import subprocess
import sys
import threading

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import (
    BadVersionError, NoAuthError, NodeExistsError, NoNodeError, NotEmptyError, RolledBackError,
    RuntimeInconsistency)
from kazoo.security import OPEN_ACL_UNSAFE, make_digest_acl

WAIT = 15


def client(**options):
    c = KazooClient(hosts=sys.argv[1], timeout=5, **options)
    c.start(timeout=WAIT)
    return c


def raises(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError("%s%r raised nothing, want %s" % (call.__name__, args, error.__name__))


class Seen:
    """A watch that remembers its event."""

    def __init__(self):
        self.event, self.done = None, threading.Event()

    def __call__(self, event):
        self.event = event
        self.done.set()

    def wait(self, kind, path):
        assert self.done.wait(WAIT), "no event %s %s" % (kind, path)
        assert (self.event.type, self.event.path) == (kind, path), self.event


def nodes(a):
    assert a.create("/kz", b"one") == "/kz"
    data, stat = a.get("/kz")
    assert (data, stat.version, stat.dataLength, stat.numChildren) == (b"one", 0, 3, 0), stat
    assert a.set("/kz", b"two").version == 1
    raises(BadVersionError, a.set, "/kz", b"x", version=0)
    raises(NodeExistsError, a.create, "/kz")
    raises(NoNodeError, a.get, "/none")
    a.ensure_path("/kz/a/b/c")
    raises(NotEmptyError, a.delete, "/kz/a")
    assert a.get_children("/kz") == ["a"]
    children, stat = a.get_children("/kz", include_data=True)
    assert children == ["a"] and stat.cversion == 1
    path, stat = a.create("/kz/two", b"x", include_data=True)  # create2
    assert path == "/kz/two" and stat.czxid == stat.mzxid
    assert a.sync("/kz") == "/kz"
    a.delete("/kz/a", recursive=True)
    assert [a.create("/kz/s-", sequence=True) for _ in range(2)] == [
        "/kz/s-0000000002", "/kz/s-0000000003"]
    assert a.exists("/kz/a") is None


def watches(a, b):
    data, child, made, gone = Seen(), Seen(), Seen(), Seen()
    a.get("/kz", watch=data)
    a.get_children("/kz", watch=child)
    assert a.exists("/kz/new", watch=made) is None
    b.create("/kz/new")
    made.wait("CREATED", "/kz/new")
    child.wait("CHILD", "/kz")
    b.set("/kz", b"three")
    data.wait("CHANGED", "/kz")
    a.exists("/kz/new", watch=gone)
    b.delete("/kz/new")
    gone.wait("DELETED", "/kz/new")


def multi(a):
    t = a.transaction()
    t.create("/kz/m", b"1")
    t.set_data("/kz/m", b"2", version=0)
    t.check("/kz/m", version=1)
    t.create("/kz/m/s-", sequence=True)
    results = t.commit()
    assert results[0] == "/kz/m" and results[1].version == 1, results
    assert results[2] is True and results[3] == "/kz/m/s-0000000000", results
    t = a.transaction()
    t.set_data("/kz/m", b"no")
    t.delete("/kz/none")
    t.set_data("/kz/m", b"no")
    results = t.commit()
    assert [type(r) for r in results] == [RolledBackError, NoNodeError, RuntimeInconsistency], results
    assert a.get("/kz/m")[0] == b"2"


def acls(a, b):
    a.add_auth("digest", "u:p")
    a.create("/kz/mine", b"s", acl=[make_digest_acl("u", "p", all=True)])
    raises(NoAuthError, b.get, "/kz/mine")
    acl, stat = a.get_acls("/kz/mine")
    assert acl == [make_digest_acl("u", "p", all=True)] and stat.aversion == 0
    assert a.set_acls("/kz/mine", OPEN_ACL_UNSAFE).aversion == 1
    assert b.get("/kz/mine")[0] == b"s"


def sessions(a, b):
    c = client()
    c.create("/kz/eph", ephemeral=True)
    assert b.exists("/kz/eph").ephemeralOwner == c.client_id[0]
    gone = Seen()
    b.exists("/kz/eph", watch=gone)
    c.stop()  # closes the session
    c.close()
    gone.wait("DELETED", "/kz/eph")
    # Attach to the session of a process that died, with its id and password.
    left = subprocess.check_output([sys.executable, __file__, sys.argv[1], "leave"]).split()
    left = (int(left[0]), bytes.fromhex(left[1].decode()))
    e = client(client_id=left)
    assert e.client_id == left, (e.client_id, left)
    assert b.exists("/kz/eph").ephemeralOwner == e.client_id[0]
    e.stop()
    e.close()
    lock = a.Lock("/kz/lock", "me")
    assert lock.acquire(timeout=WAIT)
    assert b.Lock("/kz/lock", "you").acquire(blocking=False) is False
    lock.release()


def leave():
    """Make an ephemeral node, say who we are, and die without closing the session."""
    d = client()
    d.create("/kz/eph", ephemeral=True)
    print(d.client_id[0], d.client_id[1].hex(), flush=True)
    os._exit(0)


def main():
    a, b = client(), client()
    assert a.state == KazooState.CONNECTED
    nodes(a)
    watches(a, b)
    multi(a)
    acls(a, b)
    sessions(a, b)
    a.delete("/kz", recursive=True)
    for c in (a, b):
        c.stop()
        c.close()
    print("kazoo: all fine")


if sys.argv[2:] == ["leave"]:
    leave()
main()
