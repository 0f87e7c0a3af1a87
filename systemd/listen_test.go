package systemd

import (
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestListenFault(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for address, want := range map[string]string{
		l.Addr().String(): "address already in use; find who has it: ss -ltnp",
		"192.0.2.1:0": "cannot assign requested address; this machine does not have that address" +
			" (ip addr shows those it has); correct listeners, or leave the address out",
	} {
		_, err := net.Listen("tcp", address)
		if got := ListenFault(err, "listeners"); got == nil || !strings.Contains(got.Error(), want) {
			t.Errorf("%s: %v", address, got)
		}
	}
	for err, want := range map[error]string{
		syscall.EACCES:              "ports below 1024 are for root; choose another one in listeners",
		&net.DNSError{Name: "x"}:    "correct the name in listeners, or add it to /etc/hosts",
		net.UnknownNetworkError(""): "see listeners",
	} {
		if got := ListenFault(err, "listeners"); !strings.HasSuffix(got.Error(), want) {
			t.Errorf("%v", got)
		}
	}
	if ListenFault(nil, "x") != nil {
		t.Error("a fault without an error")
	}
}
