package record

// Walk calls fn for every whole entry in b, in order, until fn fails or the bytes end. A truncated
// last entry is left out. It returns the number of bytes walked. Checksums are not looked at.
func Walk(b []byte, fn func(entry []byte, m *Meta) error) (int, error) {
	n := 0
	for len(b)-n >= LogOverhead+6 {
		size := EntrySize(b[n:])
		if size > len(b)-n {
			break
		}
		m, err := ParseMeta(b[n:])
		if err != nil {
			return n, err
		}
		if err := fn(b[n:n+size], &m); err != nil {
			return n, err
		}
		n += size
	}
	return n, nil
}
