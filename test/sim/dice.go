package sim

import "time"

// mix spreads the bits of x (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashOf mixes numbers into one.
func hashOf(parts ...uint64) uint64 {
	h := uint64(0x51afd7ed558ccd6d)
	for _, p := range parts {
		h = mix(h ^ p)
	}
	return h
}

// hashText is FNV-1a.
func hashText(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// dice draws from a seed.
type dice struct{ state uint64 }

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	return mix(d.state)
}

// below is in [0, n).
func (d *dice) below(n int) int { return int(d.next() % uint64(n)) }

// chance is true in percent of the draws.
func (d *dice) chance(percent int) bool { return d.below(100) < percent }

// between is a time in [lo, hi), in whole milliseconds.
func (d *dice) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(d.below(int((hi-lo)/time.Millisecond)))*time.Millisecond
}

// pick draws one element.
func pick[T any](d *dice, from ...T) T { return from[d.below(len(from))] }
