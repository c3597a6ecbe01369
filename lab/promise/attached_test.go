package promise

import (
	"testing"
	"time"
)

func second(s float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second)))
}

// TestAttachOvertakenByAFailover: only an attach that may have been requested before the promotion may be executed for
// a node that does not follow the new primary yet.
func TestAttachOvertakenByAFailover(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		primaries []int // one at each second
		at        float64
		want      bool
	}{
		"the primary was always the same":  {[]int{1, 1, 1, 1}, 4, false},
		"just after the promotion":         {[]int{1, 1, 2, 2}, 3.1, true},
		"at the end of the window":         {[]int{1, 2, 2, 2}, 1 + Overtaken.Seconds() - 0.1, true},
		"after the window":                 {[]int{1, 2, 2, 2}, 1 + Overtaken.Seconds(), false},
		"the first primary is no news":     {[]int{2}, 0.1, false},
		"after the second of two failures": {[]int{1, 2, 0, 0}, 2 + Overtaken.Seconds() - 0.1, true},
	} {
		var a Attached
		for s, p := range c.primaries {
			a.Primary(second(float64(s)), p)
		}
		if got := a.MayFollowLater(second(c.at)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestAttachedAndAstray: it does not stay so, and is reported once.
func TestAttachedAndAstray(t *testing.T) {
	t.Parallel()
	limit := Unproven.Seconds()
	for name, c := range map[string]struct {
		until, fine, disturbed float64 // seconds; fine is a look at which nothing is wrong, zero: none
		want                   int
	}{
		"not for long":                 {limit, 0, 0, 0},
		"too long":                     {limit + 30, 0, 0, 1},
		"with a good look in between":  {limit + 30, 40, 0, 0},
		"with a fault in between":      {limit + 30, 0, 50, 0},
		"and again after a fault":      {limit + 60, 0, 20, 1},
		"and again after a good look":  {2*limit + 60, 40, 0, 1},
		"told once, though it goes on": {5 * limit, 0, 0, 1},
	} {
		var a Attached
		told := 0
		for s := 0.0; s <= c.until; s++ {
			if c.fine > 0 && s == c.fine {
				a.Fine(0)
				continue
			}
			var disturbed time.Time
			if c.disturbed > 0 && s >= c.disturbed {
				disturbed = second(c.disturbed)
			}
			if d := a.Astray(second(s), 0, disturbed); d > 0 {
				told++
			}
		}
		if told != c.want {
			t.Errorf("%s: told %d times, want %d", name, told, c.want)
		}
	}
}
