//go:build !linux

package server

import (
	"errors"
	"os"
	"syscall"
)

const sendfileWorks = false

// sender is the plain form for systems where only development happens: spans are always copied.
type sender struct{ raw syscall.RawConn }

func (s *sender) init(raw syscall.RawConn) { s.raw = raw }

func (s *sender) bytes(b []byte, _ bool) error {
	var werr error
	err := s.raw.Write(func(fd uintptr) bool {
		for len(b) > 0 {
			n, err := syscall.Write(int(fd), b)
			if err == syscall.EAGAIN {
				return false
			}
			if err != nil {
				werr = os.NewSyscallError("write", err)
				return true
			}
			b = b[n:]
		}
		return true
	})
	if err != nil {
		return err
	}
	return werr
}

func (s *sender) file(uintptr, int64, int) error { return errors.ErrUnsupported }
