// Package virtual lets time pass in a testing/synctest bubble, for tests and
// simulated worlds.
//
// In real time a test waits for what it needs, with a deadline. The linter
// therefore forbids time.Sleep everywhere, and Sleep, which stands for it in a
// bubble, panics outside of one.
package virtual

import "time"

// Sleep lets d pass in the bubble that the caller runs in.
func Sleep(d time.Duration) {
	if time.Now().Year() >= 2020 { // the clock of a bubble starts in the year 2000
		panic("virtual.Sleep outside of a synctest bubble: wait for a condition")
	}
	time.Sleep(d) //nolint:forbidigo // takes no real time
}
