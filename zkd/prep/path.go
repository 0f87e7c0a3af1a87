package prep

import (
	"strings"
	"unicode/utf8"

	"zkafka/zkd/tree"
)

// parentPath cuts path before its last slash; the parent of a top level path is the root.
func parentPath(path string, slash int) string {
	if slash <= 0 {
		return tree.RootPath
	}
	return path[:slash]
}

// protected names the znodes that nobody may delete.
func protected(path string) bool {
	switch path {
	case tree.RootPath, tree.SystemPath, tree.QuotaPath, tree.ConfigPath:
		return true
	}
	return false
}

// ValidPath says whether path may name a znode: absolute, no empty, "." or ".." component, none of
// the characters upstream bars. It bars by UTF-16 unit, so everything beyond U+FFFF is out too.
func ValidPath(path string) bool {
	if path == "/" {
		return true
	}
	if path == "" || path[0] != '/' || path[len(path)-1] == '/' {
		return false
	}
	start := 1
	for i := 1; i < len(path); i++ {
		switch c := path[i]; {
		case c == '/':
			if !validComponent(path[start:i]) {
				return false
			}
			start = i + 1
		case c < 0x20 || c == 0x7f:
			return false
		case c >= utf8.RuneSelf:
			return validUnicode(path)
		}
	}
	return validComponent(path[start:])
}

func validComponent(s string) bool { return s != "" && s != "." && s != ".." }

// validUnicode is ValidPath for an absolute path with characters beyond ASCII.
func validUnicode(path string) bool {
	for _, c := range path {
		switch {
		case c < 0x20, c >= 0x7f && c <= 0x9f, c >= 0xd800 && c <= 0xf8ff, c >= 0xfff0:
			return false
		}
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		if !validComponent(name) {
			return false
		}
	}
	return true
}
