package console

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"zkafka/kafkad/tool"
)

// lineReader makes records of lines: "headers<tab>key<tab>value", as far as the properties ask
// for headers and key.
type lineReader struct {
	parseKey, parseHeaders, ignoreError bool
	keySeparator                        string
	headersDelimiter, headersSeparator  string
	headersKeySeparator                 string
	nullMarker                          *string
	lines                               int
}

func newLineReader(props map[string]string) (*lineReader, error) {
	yes := func(key string) bool { return strings.EqualFold(strings.TrimSpace(props[key]), "true") }
	get := func(key, otherwise string) string {
		if v, ok := props[key]; ok {
			return v
		}
		return otherwise
	}
	r := &lineReader{
		parseKey: yes("parse.key"), parseHeaders: yes("parse.headers"),
		ignoreError:         yes("ignore.error"),
		keySeparator:        get("key.separator", "\t"),
		headersDelimiter:    get("headers.delimiter", "\t"),
		headersSeparator:    get("headers.separator", ","),
		headersKeySeparator: get("headers.key.separator", ":"),
	}
	if v, ok := props["null.marker"]; ok {
		r.nullMarker = &v
	}
	type pair struct{ a, b, names string }
	pairs := []pair{
		{r.headersDelimiter, r.headersSeparator, "headers.delimiter and headers.separator"},
		{r.headersDelimiter, r.headersKeySeparator, "headers.delimiter and headers.key.separator"},
		{r.headersSeparator, r.headersKeySeparator, "headers.separator and headers.key.separator"},
	}
	if r.nullMarker != nil {
		pairs = append(pairs,
			pair{*r.nullMarker, r.keySeparator, "null.marker and key.separator"},
			pair{*r.nullMarker, r.headersSeparator, "null.marker and headers.separator"},
			pair{*r.nullMarker, r.headersDelimiter, "null.marker and headers.delimiter"},
			pair{*r.nullMarker, r.headersKeySeparator, "null.marker and headers.key.separator"})
	}
	for _, p := range pairs {
		if p.a == p.b {
			return nil, fmt.Errorf("%s may not be equal", p.names)
		}
	}
	return r, nil
}

// field turns text into the bytes of a record's field; the null marker stands for null.
func (r *lineReader) field(s string) []byte {
	if r.nullMarker != nil && s == *r.nullMarker {
		return nil
	}
	return []byte(s)
}

func (r *lineReader) record(line string) (*kgo.Record, error) {
	r.lines++
	rec, rest := &kgo.Record{}, line
	headers, rest, found, err := r.cut(
		r.parseHeaders, rest, r.headersDelimiter, "headers delimiter", line)
	if err != nil {
		return nil, err
	}
	if found && (r.nullMarker == nil || headers != *r.nullMarker) {
		if rec.Headers, err = r.headers(headers); err != nil {
			return nil, err
		}
	}
	key, rest, found, err := r.cut(r.parseKey, rest, r.keySeparator, "key separator", line)
	if err != nil {
		return nil, err
	}
	if found {
		rec.Key = r.field(key)
	}
	rec.Value = r.field(rest)
	return rec, nil
}

// cut takes what stands before the separator off s, if that part is asked for.
func (r *lineReader) cut(
	enabled bool, s, separator, name, line string,
) (part, rest string, found bool, err error) {
	if !enabled {
		return "", s, false, nil
	}
	part, rest, found = strings.Cut(s, separator)
	if found {
		return part, rest, true, nil
	}
	if r.ignoreError {
		return "", s, false, nil
	}
	return "", "", false, tool.UpstreamError("No %s found on line number %d: '%s'",
		name, r.lines, line)
}

func (r *lineReader) headers(s string) ([]kgo.RecordHeader, error) {
	var out []kgo.RecordHeader
	for _, pair := range strings.Split(s, r.headersSeparator) {
		key, value, ok := strings.Cut(pair, r.headersKeySeparator)
		switch {
		case !ok && !r.ignoreError:
			return nil, tool.UpstreamError("No header key separator found in pair '%s' on line number %d",
				pair, r.lines)
		case !ok:
			out = append(out, kgo.RecordHeader{Key: pair})
		case r.nullMarker != nil && key == *r.nullMarker:
			return nil, tool.UpstreamError("Header keys should not be equal to the null marker '%s' as"+
				" they can't be null", key)
		default:
			out = append(out, kgo.RecordHeader{Key: key, Value: r.field(value)})
		}
	}
	return out, nil
}
