package event

import (
	"errors"
	"slices"
	"time"
)

// ErrGarbled is for a kept value that is there and cannot be read.
var ErrGarbled = errors.New("not what was kept there")

// Aside tells of a file that could not be used, and what came in its place.
type Aside struct {
	At  time.Time
	Why string
	// Path is where the old file is now; empty: it could not be moved, and the
	// history is kept in memory only, until the next start.
	Path string
	// Saved are the names of the kept values that were taken over.
	Saved []string
}

// Text is the Aside in a sentence.
func (a Aside) Text() string {
	text := "the history could not be used and was set aside as " + a.Path + "; a new one was created"
	if a.Path == "" {
		text = "the history cannot be used, and is kept in memory only until the next start"
	}
	if slices.Contains(a.Saved, "planner-memory") {
		return text + "; holds and parked nodes were taken over: " + a.Why
	}
	return text + "; previously parked nodes are forgotten, and holds come from their second copy: " + a.Why
}
