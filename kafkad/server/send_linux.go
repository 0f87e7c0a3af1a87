package server

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// sender writes to a socket with the two calls that net does not offer: send with MSG_MORE, so that
// a header does not travel in a packet of its own, and sendfile from any offset. The steps are
// closures made once, because the runtime's poller wants functions and replies should not allocate.
type sender struct {
	raw      syscall.RawConn
	sendStep func(fd uintptr) bool
	fileStep func(fd uintptr) bool

	b     []byte
	flags int
	in    int
	off   int64
	left  int
	err   error
}

// sendfileWorks says whether records can go from file to socket in the kernel.
const sendfileWorks = true

// maxSendfile bounds one call, so that a large reply does not pin the thread in the kernel.
const maxSendfile = 1 << 20

func (s *sender) init(raw syscall.RawConn) {
	s.raw = raw
	s.sendStep, s.fileStep = s.sendSome, s.fileSome
}

// bytes writes b; more says that other bytes follow at once.
func (s *sender) bytes(b []byte, more bool) error {
	if len(b) == 0 {
		return nil
	}
	s.b, s.flags, s.err = b, unix.MSG_NOSIGNAL, nil
	if more {
		s.flags |= unix.MSG_MORE
	}
	if err := s.raw.Write(s.sendStep); err != nil {
		return err
	}
	s.b = nil
	return s.err
}

func (s *sender) sendSome(fd uintptr) bool {
	for len(s.b) > 0 {
		n, err := unix.SendmsgN(int(fd), s.b, nil, nil, s.flags)
		switch err {
		case nil:
			s.b = s.b[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			s.err = os.NewSyscallError("send", err)
			return true
		}
	}
	return true
}

// file writes n bytes of the file with descriptor fd from off.
func (s *sender) file(fd uintptr, off int64, n int) error {
	s.in, s.off, s.left, s.err = int(fd), off, n, nil
	if err := s.raw.Write(s.fileStep); err != nil {
		return err
	}
	return s.err
}

func (s *sender) fileSome(fd uintptr) bool {
	for s.left > 0 {
		n, err := unix.Sendfile(int(fd), s.in, &s.off, min(s.left, maxSendfile))
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return false
		case err != nil:
			s.err = os.NewSyscallError("sendfile", err)
			return true
		case n == 0:
			s.err = io.ErrUnexpectedEOF // somebody cut the file
			return true
		default:
			s.left -= n
		}
	}
	return true
}
