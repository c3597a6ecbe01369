package config

import "strings"

// nearest is the word of the list that word was most likely meant to be: at most
// two edits away and less than half of it, or else one that begins with it.
// Empty: none.
func nearest(word string, list []string) string {
	best, bestAt := "", 3
	for _, w := range list {
		if d := distance(word, w); d < bestAt && 2*d < max(len(word), len(w)) {
			best, bestAt = w, d
		}
	}
	for _, w := range list {
		if best == "" && len(word) > 2 && strings.HasPrefix(w, word) {
			best = w
		}
	}
	return best
}

// meant is "; did you mean …?" for the nearest word, or else the list.
func meant(word string, list []string) string {
	if len(word) > 64 {
		word = word[:64]
	}
	if w := nearest(word, list); w != "" {
		return "; did you mean " + w + "?"
	}
	if len(list) == 0 {
		return ""
	}
	s := "; known: "
	for i, w := range list {
		if i > 0 {
			s += ", "
		}
		s += w
	}
	return s
}

// distance counts the insertions, deletions and replacements between a and b.
func distance(a, b string) int {
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		cur := make([]int, len(b)+1)
		cur[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			cur[j+1] = min(prev[j]+cost, prev[j+1]+1, cur[j]+1)
		}
		prev = cur
	}
	return prev[len(b)]
}
