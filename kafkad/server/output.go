package server

import (
	"errors"
	"fmt"
	"io"

	"zkafka/kafkad/handler"
)

// output writes replies to the socket of one connection.
type output struct {
	c    *conn
	send sender
}

func (o *output) init(c *conn) {
	o.c = c
	o.send.init(c.raw)
}

// Write implements handler.Output.
func (o *output) Write(b []byte) (int, error) {
	o.begin()
	defer o.end()
	return o.c.tcp.Write(b)
}

func (o *output) begin() {
	o.c.touch()
	o.c.writing.Store(true)
}

func (o *output) end() { o.c.writing.Store(false) }

// copyLimit is the size of records below which copying them between the header bytes is cheaper
// than handing them to the kernel one by one: one read per span and one write in all, and the
// client is woken once.
const copyLimit = 32 << 10

// WriteSpans implements handler.Output.
func (o *output) WriteSpans(head []byte, spans []handler.Span) error {
	o.begin()
	defer o.end()
	total := 0
	for i := range spans {
		total += spans[i].Len
	}
	if total <= copyLimit || !sendfileWorks || !sendable(spans) {
		return o.writeCopied(head, spans, total)
	}
	at := 0
	for i := range spans {
		s := &spans[i]
		if err := o.send.bytes(head[at:s.At], true); err != nil {
			return fmt.Errorf("write reply: %w", err)
		}
		at = s.At
		o.c.touch()
		if err := o.send.file(s.File.Fd(), s.Offset, s.Len); err != nil {
			return fmt.Errorf("send records: %w", err)
		}
	}
	return o.send.bytes(head[at:], false)
}

func (o *output) writeCopied(head []byte, spans []handler.Span, total int) error {
	buf := o.c.server.pool.get(len(head) + total)
	defer o.c.server.pool.put(buf)
	b, at := (*buf)[:0], 0
	for i := range spans {
		s := &spans[i]
		b = append(b, head[at:s.At]...)
		at = s.At
		n := len(b)
		b = b[:n+s.Len]
		if _, err := s.File.ReadAt(b[n:], s.Offset); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read records: %w", err)
		}
	}
	b = append(b, head[at:]...)
	_, err := o.c.tcp.Write(b)
	return err
}

// sendable tells whether all spans are files that the kernel knows.
func sendable(spans []handler.Span) bool {
	for i := range spans {
		if spans[i].File.Fd() == ^uintptr(0) {
			return false
		}
	}
	return true
}
