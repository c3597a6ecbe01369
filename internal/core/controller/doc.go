// Package controller observes, plans, acts, and starts over. It looks at what is,
// not at what was announced; hooks and requests only make the next pass come sooner.
//
// One pass (loop.go) takes a snapshot from the Observer and hands it to the planner's
// memory (memory.go), which runs plan.Step. The executor (executor.go) is asked about
// each decision; it accepts one by claiming the node in the ledger (ledger.go), and what
// it accepted goes back to plan.Advance. All of this happens under the memory's lock, so
// that a request, which changes the memory by a function of plan, comes before a decision
// or after its order, and never in between. Then the orders run, each in a goroutine of
// its own: pools.go attaches and detaches, fence.go stops a second primary, runs.go starts
// a run on the node's agent and follows it. Each frees its node and asks for a pass. What
// was seen and decided is published as one immutable control.Status, and the recorder
// (recorder.go) writes the history and the memory to disk beside all this.
//
// The rule that keeps data safe: orders come only from the newest pass's decisions, and
// a run's destructive step is cleared (clear.go) only after an observation that began
// after the run asked has confirmed the primary once more (P2).
package controller
