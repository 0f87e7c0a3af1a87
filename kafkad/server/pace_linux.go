package server

import (
	"net"

	"golang.org/x/sys/unix"
)

// unpace gives the connection of a client on the same host a congestion control that does not pace.
// BBR, which many hosts have for all connections, starts a timer for every few packets; where there
// is no network this only costs: a quarter of the processor time of a large fetch. Reno is always
// there, and everybody may choose it.
func unpace(tcp *net.TCPConn) error {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
	})
	if err != nil {
		return err
	}
	return failed
}
