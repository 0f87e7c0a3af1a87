package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Header is a request header. ClientID points into the frame and is nil when the client sent null.
type Header struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      []byte
}

// ErrVersion marks a request of a served API in a version that is not served. Only the header was
// read. For ApiVersions the broker answers (see AppendAPIVersionsFallback); otherwise it closes.
var ErrVersion = errors.New("version is not served")

// ErrUnknownAPI marks a request of an API that is not served: the connection is closed.
var ErrUnknownAPI = errors.New("API is not served")

// ParseHeader reads the header of a request frame (without the size in front) and returns the
// body after it. On ErrVersion and ErrUnknownAPI the header is valid as far as it was read.
func ParseHeader(frame []byte) (h Header, body []byte, err error) {
	if len(frame) < 8 {
		return h, nil, fmt.Errorf("request of %d bytes has no header: %w", len(frame), ErrShort)
	}
	h.Key = int16(binary.BigEndian.Uint16(frame))
	h.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	api, ok := Lookup(h.Key)
	if !ok {
		return h, nil, fmt.Errorf("key %d: %w", h.Key, ErrUnknownAPI)
	}
	if h.Version < 0 || h.Version > api.Max {
		return h, nil, fmt.Errorf("%s version %d: %w", api.Name, h.Version, ErrVersion)
	}
	r := Reader{b: frame[8:]}
	// The client id keeps its classic length of two bytes even in flexible versions.
	h.ClientID = r.nullableString()
	if h.Version >= api.Flexible {
		r.SkipTags()
	}
	return h, r.b, r.err
}

// FlexibleResponse reports whether the response header of that request carries tagged fields.
// ApiVersions never does: a client that asks does not know yet what the broker understands.
func FlexibleResponse(key, version int16) bool {
	api, ok := Lookup(key)
	return ok && version >= api.Flexible && key != APIVersions
}

// AppendResponseHeader appends a size (to be set by FinishFrame) and the response header.
func AppendResponseHeader(dst []byte, h Header) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.CorrelationID))
	if FlexibleResponse(h.Key, h.Version) {
		dst = append(dst, 0)
	}
	return dst
}

// FinishFrame sets the size of the frame that begins at dst[0]; extra bytes follow from elsewhere.
func FinishFrame(dst []byte, extra int) {
	binary.BigEndian.PutUint32(dst, uint32(len(dst)-4+extra))
}

// AppendAPIVersionsFallback appends the whole frame that answers an ApiVersions request of a
// version this broker does not know: version 0 layout, error 35, and the one row that lets the
// client choose a version for its second try.
func AppendAPIVersionsFallback(dst []byte, correlationID int32) []byte {
	api, _ := Lookup(APIVersions)
	b := binary.BigEndian.AppendUint32(dst, 4+2+4+6)
	b = binary.BigEndian.AppendUint32(b, uint32(correlationID))
	b = binary.BigEndian.AppendUint16(b, 35)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint16(b, uint16(api.Key))
	b = binary.BigEndian.AppendUint16(b, 0)
	return binary.BigEndian.AppendUint16(b, uint16(api.Max))
}
