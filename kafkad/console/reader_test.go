package console

import (
	"fmt"
	"testing"
)

func TestLineReader(t *testing.T) {
	for _, c := range []struct {
		props, line, want string // want: headers|key|value, null for nil
	}{
		{"", "a\tb", "[]|null|a\tb"},
		{"parse.key=true", "k\tv\tw", "[]|k|v\tw"},
		{"parse.key=true,key.separator=::", "k::v", "[]|k|v"},
		{"parse.key=true", "kv", "No key separator found on line number 1: 'kv'"},
		{"parse.key=true,ignore.error=true", "kv", "[]|null|kv"},
		{"parse.headers=true", "a:1;b:2\tv", "[a=1;b:2]|null|v"},
		{"parse.headers=true,headers.separator=;", "a:1;b:2\tv", "[a=1 b=2]|null|v"},
		{"parse.headers=true,parse.key=true", "a:1\tk\tv", "[a=1]|k|v"},
		{"parse.headers=true", "a\tv", "No header key separator found in pair 'a' on line number 1"},
		{"null.marker=N", "N", "[]|null|null"},
		{"null.marker=N,parse.key=true", "N\tN", "[]|null|null"},
		{"null.marker=N,parse.headers=true", "a:N\tv", "[a=null]|null|v"},
		{"null.marker=N,parse.headers=true", "N\tv", "[]|null|v"},
	} {
		r, err := newLineReader(pairs(t, c.props))
		if err != nil {
			t.Fatal(err)
		}
		rec, err := r.record(c.line)
		var got string
		if err != nil {
			got = err.Error()
		} else {
			text := func(b []byte) string {
				if b == nil {
					return "null"
				}
				return string(b)
			}
			var headers []string
			for _, h := range rec.Headers {
				headers = append(headers, h.Key+"="+text(h.Value))
			}
			got = fmt.Sprintf("%v|%s|%s", headers, text(rec.Key), text(rec.Value))
		}
		if got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.props, c.line, got, c.want)
		}
	}
	if _, err := newLineReader(map[string]string{"headers.delimiter": ","}); err == nil {
		t.Error("equal delimiters were accepted")
	}
}
