package setup

import (
	"fmt"
	"slices"
	"strings"
)

// hunk is a place at which an edit changed lines.
type hunk struct {
	// Added are checksums of the lines that were written, without their line feeds.
	Added []string `json:"added,omitempty"`
	// From and To bound the lines of the file from before that they replaced; none if equal.
	From int `json:"from"`
	To   int `json:"to"`
}

// hunks compares two texts line by line. A hunk is as small as it can be, so that a change that somebody made to one
// line later keeps no other from being put back.
func hunks(before, after string) []hunk {
	old, now := lines(before), lines(after)
	out := []hunk{}
	i, j := 0, 0
	for _, same := range append(common(old, now), [2]int{len(old), len(now)}) {
		out = append(out, split(i, old[i:same[0]], now[j:same[1]])...)
		i, j = same[0]+1, same[1]+1
	}
	return out
}

// split makes the hunks of one place: one for each line if lines replace as many, or if they are only added. An empty
// line goes with the next, since it could not be found again.
func split(from int, old, now []string) []hunk {
	if len(old) == 0 && len(now) == 0 {
		return nil
	}
	if len(old) != len(now) && len(old) > 0 {
		return []hunk{{Added: sums(now), From: from, To: from + len(old)}}
	}
	var out []hunk
	for start, i := 0, 0; i < len(now); i++ {
		if strings.TrimSpace(now[i]) == "" && i+1 < len(now) {
			continue
		}
		h := hunk{Added: sums(now[start : i+1]), From: from, To: from}
		if len(old) > 0 {
			h.From, h.To = from+start, from+i+1
		}
		out = append(out, h)
		start = i + 1
	}
	return out
}

// reverse takes a change back from the present text. left are lines that are not as setup wrote them any more: they
// were changed since, and stay.
func reverse(now string, c *fileChange, before string) (text string, left int) {
	switch checksum(now) {
	case c.Before:
		return now, 0
	case c.After:
		return before, 0
	}
	old, have := lines(before), lines(now)
	for _, h := range slices.Backward(c.Hunks) {
		at, n := find(have, h.Added)
		if n != 1 {
			left++
			continue
		}
		have = slices.Replace(have, at, at+len(h.Added), old[min(h.From, len(old)):min(h.To, len(old))]...)
	}
	if len(have) == 0 {
		return "", left
	}
	return strings.Join(have, "\n") + "\n", left
}

// find looks for consecutive lines with these checksums; n counts the places.
func find(text, sums []string) (at, n int) {
	if len(sums) == 0 {
		return 0, 0
	}
	for i := 0; i+len(sums) <= len(text); i++ {
		match := true
		for k, sum := range sums {
			if checksum(text[i+k]) != sum {
				match = false
				break
			}
		}
		if match {
			at = i
			n++
		}
	}
	return at, n
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func sums(lines []string) []string {
	var out []string
	for _, l := range lines {
		out = append(out, checksum(l))
	}
	return out
}

// common pairs the lines that both texts have in order, as many as possible.
func common(a, b []string) [][2]int {
	first := 0
	for first < len(a) && first < len(b) && a[first] == b[first] {
		first++
	}
	endA, endB := len(a), len(b)
	for endA > first && endB > first && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
	}
	var pairs [][2]int
	for i := range first {
		pairs = append(pairs, [2]int{i, i})
	}
	pairs = append(pairs, middle(a[first:endA], b[first:endB], first)...)
	for i := endA; i < len(a); i++ {
		pairs = append(pairs, [2]int{i, endB + i - endA})
	}
	return pairs
}

// middle is common for what is left after equal beginnings and ends.
func middle(a, b []string, offset int) [][2]int {
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if longest[i][j] = max(longest[i+1][j], longest[i][j+1]); a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	var pairs [][2]int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			pairs = append(pairs, [2]int{offset + i, offset + j})
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// diff shows what becomes of a text: the lines that go and those that come. Passwords are not shown.
func diff(path, before, after string) []string {
	old, now := lines(before), lines(after)
	var out []string
	i, j := 0, 0
	for _, same := range append(common(old, now), [2]int{len(old), len(now)}) {
		for ; i < same[0]; i++ {
			out = append(out, "- "+masked(path, old[i]))
		}
		for ; j < same[1]; j++ {
			out = append(out, "+ "+masked(path, now[j]))
		}
		i, j = same[0]+1, same[1]+1
	}
	return out
}

// masked hides the secret of a line: the value of a setting that is a password, or the last field of a passfile's,
// pcp.conf's or pool_passwd's line.
func masked(path, line string) string {
	if name, _, is := strings.Cut(line, "="); is && strings.Contains(name, "password") {
		return fmt.Sprintf("%s= '***'", name)
	}
	if i := strings.LastIndexByte(line, ':'); i >= 0 && secretFile(path) && !strings.HasPrefix(line, "#") {
		return line[:i+1] + "***"
	}
	return line
}

// secretFile says whether the lines of a file end in passwords: all do but those of configuration.
func secretFile(path string) bool {
	for _, suffix := range []string{".yaml", "pgpool.conf", "pg_hba.conf", ".service"} {
		if strings.HasSuffix(path, suffix) {
			return false
		}
	}
	return true
}
