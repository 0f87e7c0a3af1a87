package handler

import "io"

// Span is a piece of a file that goes into a reply unchanged: a region of a segment.
type Span struct {
	At     int // how many bytes of the reply's head come before it
	File   SpanFile
	Offset int64
	Len    int
}

// SpanFile is a file that a span lies in. Fd may be an invalid descriptor (of a test's file in
// memory): then the bytes are read.
type SpanFile interface {
	io.ReaderAt
	Fd() uintptr
}
