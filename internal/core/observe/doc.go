// Package observe gathers facts: what each Pgpool-II answers over PCP, what
// each PostgreSQL says over SQL, and what each node's agent finds in its data
// directory, in parallel, into one topology.Snapshot. Every fact carries its time
// and error; a slow source delays only itself.
//
// It is read-only by construction: it holds agentapi.Inspector and no
// Operator, and it never sends a PCP command that changes anything.
//
// Observer.Observe is the entry. The rule for callers: a fact whose Source is
// not OK is unknown, never "fine".
package observe
