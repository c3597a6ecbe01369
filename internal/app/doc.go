// Package app puts repool together: App is what "repool serve" runs, the
// controller with its history, socket, web page and the agents of its host; Agent
// is what "repool agent" runs. Hooks and commands that only look are wired here
// too (NewHook, Look, Vaults, HoldStart).
//
// New wires everything, in order, and undoes it where something fails: it opens
// files and sockets, but connects to nothing. Run blocks until its context is
// done. Close undoes New in reverse order; it must be called, before or after Run,
// and is idempotent.
package app
