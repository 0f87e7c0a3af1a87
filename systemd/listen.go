package systemd

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ListenFault adds to the error of a listener what to do about it. The key is the setting that has
// the address.
func ListenFault(err error, key string) error {
	var dns *net.DNSError
	var hint string
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "find who has it: ss -ltnp"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "this machine does not have that address (ip addr shows those it has); correct " + key +
			", or leave the address out to listen on all"
	case errors.Is(err, syscall.EACCES):
		hint = "ports below 1024 are for root; choose another one in " + key
	case errors.As(err, &dns):
		hint = "correct the name in " + key + ", or add it to /etc/hosts"
	default:
		hint = "see " + key
	}
	return fmt.Errorf("%w; %s", err, hint)
}
