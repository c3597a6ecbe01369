// Package history is the controller's durable memory: what happened (events),
// and what the planner must remember (one JSON value). It is one SQLite file
// in the controller's state directory, so that `repool history` can read it
// while the controller runs, or after it has died.
//
// Store is the only type that does anything; Event and Filter go in and out.
// Nothing here decides anything, and losing the file loses the story and the
// holds, never a node's safety: what a resync must know is in the node's own
// journal. A file that is damaged, at the start or later, is set aside and a new
// one begun (Asides): the controller never stops for it. What Keep stores
// survives a power cut; the newest events need not.
package history
