package replica

import (
	"cmp"
	"slices"
	"strings"

	"zkafka/zkd/proto"
)

// maxNamespaces bounds the namespaces that are counted; the first ones stay. A tree with more
// znodes at its top does not use them to tell its users apart.
const maxNamespaces = 1000

// Namespace is what was read and written at and below a znode of the top level, in bytes as
// upstream counts them: a read is the path, the data or the names of the children, and a stat; a
// write is the path and the data.
type Namespace struct {
	Name        string
	Read, Write Summary
}

// namespaces are the counters of a machine. Counting costs next to nothing while the reads of a
// connection, or the writes of all, stay in one namespace, and a look into a small map else.
type namespaces struct {
	byName  map[string]*Namespace
	written *Namespace // last
}

// read counts a connection's read of the path that returned so many bytes besides the stat.
func (s *namespaces) read(c *Conn, path string, bytes int) {
	if n := s.of(path, &c.space); n != nil {
		n.Read.Add(int64(len(path) + bytes + proto.StatSize))
	}
}

// wrote counts a write of so many bytes of data to the path.
func (s *namespaces) wrote(path string, bytes int) {
	if n := s.of(path, &s.written); n != nil {
		n.Write.Add(int64(len(path) + bytes))
	}
}

// of returns the namespace of a path, nil for the root and what is not counted. It looks at last
// first and leaves the namespace there.
func (s *namespaces) of(path string, last **Namespace) *Namespace {
	if len(path) < 2 {
		return nil
	}
	name := path[1:]
	if n := *last; n != nil && strings.HasPrefix(name, n.Name) &&
		(len(name) == len(n.Name) || name[len(n.Name)] == '/') {
		return n
	}
	name, _, _ = strings.Cut(name, "/")
	n := s.byName[name]
	if n == nil {
		if len(s.byName) >= maxNamespaces {
			return nil
		}
		if s.byName == nil {
			s.byName = map[string]*Namespace{}
		}
		n = &Namespace{Name: strings.Clone(name)}
		s.byName[n.Name] = n
	}
	*last = n
	return n
}

// list returns a copy of all, sorted by name.
func (s *namespaces) list() []Namespace {
	out := make([]Namespace, 0, len(s.byName))
	for _, n := range s.byName {
		out = append(out, *n)
	}
	slices.SortFunc(out, func(a, b Namespace) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
