package etc

import "strings"

// Nearest returns the name among known that somebody who typed name most likely meant, or "" when
// none is close. Case, dots and dashes do not count; of equally close names, one of the same length
// wins, else the earlier one.
func Nearest(name string, known []string) string {
	best, bestDistance := "", len(name)/3+1
	for _, k := range known {
		if max(len(k)-len(name), len(name)-len(k)) > bestDistance {
			continue // at least that many letters differ
		}
		d := distance(fold(name), fold(k))
		tie := d == bestDistance && (best == "" || len(best) != len(name) && len(k) == len(name))
		if d < bestDistance || tie {
			best, bestDistance = k, d
		}
	}
	return best
}

func fold(s string) string {
	return strings.NewReplacer("_", ".", "-", ".").Replace(strings.ToLower(s))
}

// distance is the number of insertions, deletions, replacements and swaps of neighbours that turn a
// into b (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
