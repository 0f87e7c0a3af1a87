"""Types at the prompt of zkd cli, in a terminal: python prompt_check.py ZKD HOST:PORT"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import tempfile
import termios
import time

WAIT = 60


class Terminal:
    def __init__(self, *argv):
        home = tempfile.mkdtemp()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", HOME=home)
            os.execv(argv[0], argv)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        self.shown = ""

    def expect(self, text):
        """Wait until the text is shown after all that was expected before."""
        self.match(re.escape(text))

    def prompt(self, number, state="CONNECT(ED|ING)"):
        """Wait for a prompt: a key that comes before it meets a terminal that is not read, where
        an interrupt ends the program. A slow server is not connected by then."""
        self.match(r"\[zk: [^ ]*\(%s\) %d\] " % (state, number))

    def match(self, pattern):
        end = time.time() + WAIT
        while not (found := re.search(pattern, self.shown)):
            if time.time() > end:
                raise AssertionError("%r is not shown, but %r" % (pattern, self.shown))
            if select.select([self.fd], [], [], 0.1)[0]:
                raw = os.read(self.fd, 65536).decode(errors="replace")
                raw = re.sub(r"\x1b\[[0-9;]*[A-Za-z]|[\r\x08]", "", raw)
                self.shown += raw
        self.shown = self.shown[found.end():]

    def keys(self, text):
        os.write(self.fd, text.encode())

    def code(self):
        end = time.time() + WAIT
        while time.time() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def main():
    zkd, server = sys.argv[1:]
    t = Terminal(zkd, "cli", "-server", server)
    t.expect("Welcome to ZooKeeper!")
    t.prompt(0)
    t.keys("crea\t/prompt one\r")  # the name of a command
    t.expect("create /prompt one")
    t.expect("Created /prompt")
    t.prompt(1)
    t.keys("get -w /pro\t\r")  # the name of a node
    t.expect("get -w /prompt")
    t.expect("one")
    t.prompt(2)
    other = Terminal(zkd, "cli", "-server", server, "set", "/prompt", "two")
    assert other.code() == 0
    t.expect("WatchedEvent state:SyncConnected type:NodeDataChanged path:/prompt")
    t.keys("\x1b[A\r")  # the line before
    t.expect("two")
    t.prompt(3)
    t.keys("del")  # given up
    t.expect("del")
    t.keys("\x03")
    t.expect("^C")
    t.prompt(3)
    t.keys("history\r")
    t.expect("0 - create /prompt one")
    t.expect("3 - history")
    t.prompt(4)
    t.keys("delete /prompt\r")
    t.prompt(5)
    t.keys("close\r")
    t.prompt(6, "CLOSED")
    t.keys("connect %s\r" % server)
    t.prompt(7)
    t.keys("\x04")  # the end
    assert t.code() == 0
    print("prompt: all fine")


main()
