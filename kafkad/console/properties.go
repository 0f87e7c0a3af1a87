package console

import (
	"maps"
	"strings"
)

// keyValues reads options of the form key=value; the last of a key counts.
func keyValues(list []string) map[string]string {
	out := map[string]string{}
	for _, s := range list {
		k, v, _ := strings.Cut(s, "=")
		out[k] = v
	}
	return out
}

// merged returns base with the entries of over put on top.
func merged(base, over map[string]string) map[string]string {
	out := maps.Clone(base)
	maps.Copy(out, over)
	return out
}
