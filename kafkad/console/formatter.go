package console

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"zkafka/kafkad/tool"
)

// formatter writes consumed records.
type formatter interface {
	write(w *bufio.Writer, r *kgo.Record) error
}

// formatters are the formatter classes that upstream's tool has, by class name without package.
var formatters = map[string]func(props map[string]string) (formatter, error){
	"DefaultMessageFormatter": newDefaultFormatter,
	"NoOpMessageFormatter": func(map[string]string) (formatter, error) {
		return noFormatter{}, nil
	},
}

type noFormatter struct{}

func (noFormatter) write(*bufio.Writer, *kgo.Record) error { return nil }

// defaultFormatter writes "CreateTime:1<tab>Partition:0<tab>Offset:5<tab>h:v<tab>key<tab>value",
// as much of it as the print properties ask for.
type defaultFormatter struct {
	timestamp, key, offset, partition, headers, value bool

	keySeparator, lineSeparator, headersSeparator, nullLiteral string
	keyText, valueText, headersText                            func([]byte) (string, error)
}

func newDefaultFormatter(props map[string]string) (formatter, error) {
	yes := func(key string, otherwise bool) bool {
		v, ok := props[key]
		if !ok {
			return otherwise
		}
		return strings.EqualFold(strings.TrimSpace(v), "true")
	}
	get := func(key, otherwise string) string {
		if v, ok := props[key]; ok {
			return v
		}
		return otherwise
	}
	f := &defaultFormatter{
		timestamp: yes("print.timestamp", false), key: yes("print.key", false),
		offset: yes("print.offset", false), partition: yes("print.partition", false),
		headers: yes("print.headers", false), value: yes("print.value", true),
		keySeparator: get("key.separator", "\t"), lineSeparator: get("line.separator", "\n"),
		headersSeparator: get("headers.separator", ","), nullLiteral: get("null.literal", "null"),
	}
	var err error
	for key, into := range map[string]*func([]byte) (string, error){
		"key.deserializer": &f.keyText, "value.deserializer": &f.valueText,
		"headers.deserializer": &f.headersText,
	} {
		if *into, err = deserializer(props[key]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// deserializer returns how the bytes of a field are shown, by the name of a Java class.
func deserializer(class string) (func([]byte) (string, error), error) {
	sized := func(n int, f func([]byte) string) func([]byte) (string, error) {
		return func(b []byte) (string, error) {
			if len(b) != n {
				return "", tool.UpstreamError("Size of data received is not %d", n)
			}
			return f(b), nil
		}
	}
	be := binary.BigEndian
	switch class[strings.LastIndexByte(class, '.')+1:] {
	case "", "StringDeserializer", "ByteArrayDeserializer":
		return func(b []byte) (string, error) { return string(b), nil }, nil
	case "LongDeserializer":
		return sized(8, func(b []byte) string {
			return strconv.FormatInt(int64(be.Uint64(b)), 10)
		}), nil
	case "IntegerDeserializer":
		return sized(4, func(b []byte) string {
			return strconv.FormatInt(int64(int32(be.Uint32(b))), 10)
		}), nil
	case "ShortDeserializer":
		return sized(2, func(b []byte) string {
			return strconv.FormatInt(int64(int16(be.Uint16(b))), 10)
		}), nil
	case "DoubleDeserializer":
		return sized(8, func(b []byte) string {
			return javaFloat(math.Float64frombits(be.Uint64(b)), 64)
		}), nil
	case "FloatDeserializer":
		return sized(4, func(b []byte) string {
			return javaFloat(float64(math.Float32frombits(be.Uint32(b))), 32)
		}), nil
	}
	return nil, fmt.Errorf("deserializer %s is not known to this tool", class)
}

// javaFloat writes a number as Java does for the usual magnitudes: always with a decimal point.
func javaFloat(v float64, bits int) string {
	s := strconv.FormatFloat(v, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func (f *defaultFormatter) write(w *bufio.Writer, r *kgo.Record) error {
	// Each column but the last is followed by the separator.
	after := func(more bool) {
		if more {
			fmt.Fprint(w, f.keySeparator)
		} else {
			fmt.Fprint(w, f.lineSeparator)
		}
	}
	if f.timestamp {
		switch r.Attrs.TimestampType() {
		case 0:
			fmt.Fprintf(w, "CreateTime:%d", r.Timestamp.UnixMilli())
		case 1:
			fmt.Fprintf(w, "LogAppendTime:%d", r.Timestamp.UnixMilli())
		default:
			fmt.Fprint(w, "NO_TIMESTAMP")
		}
		after(f.offset || f.partition || f.headers || f.key || f.value)
	}
	if f.partition {
		fmt.Fprintf(w, "Partition:%d", r.Partition)
		after(f.offset || f.headers || f.key || f.value)
	}
	if f.offset {
		fmt.Fprintf(w, "Offset:%d", r.Offset)
		after(f.headers || f.key || f.value)
	}
	if f.headers {
		if err := f.writeHeaders(w, r.Headers); err != nil {
			return err
		}
		after(f.key || f.value)
	}
	if f.key {
		if err := f.field(w, r.Key, f.keyText); err != nil {
			return err
		}
		after(f.value)
	}
	if f.value {
		if err := f.field(w, r.Value, f.valueText); err != nil {
			return err
		}
		fmt.Fprint(w, f.lineSeparator)
	}
	return nil
}

func (f *defaultFormatter) writeHeaders(w *bufio.Writer, headers []kgo.RecordHeader) error {
	if len(headers) == 0 {
		fmt.Fprint(w, "NO_HEADERS")
	}
	for i := range headers {
		if i > 0 {
			fmt.Fprint(w, f.headersSeparator)
		}
		fmt.Fprint(w, headers[i].Key+":")
		if err := f.field(w, headers[i].Value, f.headersText); err != nil {
			return err
		}
	}
	return nil
}

func (f *defaultFormatter) field(
	w *bufio.Writer, b []byte, text func([]byte) (string, error),
) error {
	if b == nil {
		fmt.Fprint(w, f.nullLiteral)
		return nil
	}
	s, err := text(b)
	fmt.Fprint(w, s)
	return err
}
