// Package resync is the engine: it turns a RunRequest into an ordered list of
// idempotent steps, each journaled before and after, and runs them against one
// node's Host and the primary's UpstreamLink. It runs in the node's agent.
//
// The directory under repair is moved from its place into the work directory before
// anything in it changes, and comes back only when it is a whole standby: no
// service manager, script or person can start a half-done node (P4), for there
// is nothing at the place they know.
package resync
