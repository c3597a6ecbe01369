// Package agent is the service on a database host that owns one node: it
// implements agentapi.Agent over a resync.Host, the node's data directory,
// server and programs.
//
// It adds what makes a run safe from its surroundings. A file lock in the
// work directory lets one process at a time change the node (P6); tokens, counted on
// disk, make the orders of a controller that was superseded worthless; runs
// belong to the agent and outlive the call that began them; and whatever a
// dead agent left is taken over, its programs killed, before anything else is
// done.
//
// New wires, Serve works until its context ends, Close waits for a run under
// way. The rule for callers: an order carries the token that Acquire gave.
package agent
