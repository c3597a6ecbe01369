package resync

import (
	"context"

	"github.com/repool/repool/internal/codes"
)

// Step is one act of a run. It is journaled before and after, and safe to
// repeat after a crash at any line of it.
type Step struct {
	Name string
	// Code is what the run fails with unless the error brings its own.
	Code codes.Code
	// ReadOnly steps change nothing, so their intent need not be on disk first.
	ReadOnly bool
	// Clearance: the step overwrites or replaces data. It waits for the
	// controller's word, and the upstream is confirmed right before it (P2).
	Clearance bool
	// Damages: from the beginning of the step until it has succeeded, the directory in repair
	// must not be started; the journal says so first.
	Damages bool
	// Bound: a cancel may not take effect before this step, because the node
	// would be left in between.
	Bound bool
	// Breakable: a cancel may take effect within the step.
	Breakable bool
	// Moves: the step reports bytes.
	Moves bool

	// done looks whether there is nothing to do; it changes nothing. May be nil.
	done func(ctx context.Context, r *run) (note string, done bool, err error)
	// intend marks the record with what do is about to make true. May be nil.
	intend func(r *run)
	// do acts. The note is for people.
	do func(ctx context.Context, r *run) (note string, err error)
}
