// Package controller is the loop: observe, plan, act, and again. It looks at
// what is, not at what was announced; hooks and commands only make the next
// pass come sooner.
//
// Controller runs one loop goroutine; each act on a node runs in a goroutine
// of its own, one at a time per node, and pokes the loop when it ends. What a
// pass saw and decided is published as one immutable control.Status.
//
// The rule that keeps data safe here: acts come only from the newest pass's
// decisions, and a run's destructive step is cleared only after a fresh
// observation has confirmed the primary once more (P2).
package controller
