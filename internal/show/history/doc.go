// Package history is the controller's durable memory: what happened (events),
// and what the planner must remember (one JSON value). It is one SQLite file
// in the controller's state directory, so that `repool history` can read it
// while the controller runs, or after it has died.
//
// Store does the work; event.Event and event.Filter go in and out. Nothing here
// decides anything, and losing the file loses the story, never a node's safety: what
// a resync must know is in the node's own journal, and the holds have a second copy
// (Copy). A damaged file, at the start or later, is set aside and a new one created
// (Asides): the controller never stops because of it. What Keep stores survives a
// power cut; the newest events may not.
package history
