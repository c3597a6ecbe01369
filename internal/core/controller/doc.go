// Package controller is the loop: observe, plan, act, and again. It looks at
// what is, not at what was announced; hooks and commands only make the next
// pass come sooner.
//
// Controller runs one loop goroutine; each act on a node runs in a goroutine
// of its own, one at a time per node (a detach beside a run excepted), and asks
// for a pass when it has changed something. What is written to the disk is
// written beside the loop. What a pass saw and decided is published as one
// immutable control.Status.
//
// The rule that keeps data safe here: acts come only from the newest pass's
// decisions, and a run's destructive step is cleared only after an observation
// that began after the run asked has confirmed the primary once more (P2).
package controller
