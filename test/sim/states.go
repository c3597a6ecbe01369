package sim

import (
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/test/fakes/fakehost"
)

// The classes of what a node is in when something is decided about it. The table
// of docs/simulation.md has a row for each.
const (
	stateHostOff     = "host without power"
	stateNoDirectory = "no directory"
	stateRuined      = "directory ruined"
	stateHalfRewound = "directory half rewound"
	stateHalfCopied  = "directory half copied"
	stateInRepair    = "whole directory in repair, server down"
	stateFrozen      = "server frozen"
	stateStarting    = "server starting"
	statePrimary     = "the pool's primary"
	stateSecond      = "second primary"
	stateStreams     = "standby, streams"
	stateOver        = "standby, streams over a line of its own"
	stateStandby     = "standby without its stream, on the primary's line"
	stateStandbyOwn  = "standby without its stream, on a line of its own"
	stateDown        = "server down, on the primary's line"
	stateDownOwn     = "server down, on a line of its own"
	stateNoPrimary   = "no primary to compare with"
)

var states = []string{stateHostOff, stateNoDirectory, stateRuined, stateHalfRewound, stateHalfCopied, stateInRepair,
	stateFrozen, stateStarting,
	statePrimary, stateSecond, stateStreams, stateOver, stateStandby, stateStandbyOwn, stateDown, stateDownOwn,
	stateNoPrimary}

// stateOf is the class of a node by the world's own knowledge; empty for no node.
// w.mu is held.
func (w *World) stateOf(id topology.NodeID) string {
	if id < 0 || int(id) >= len(w.nodes) {
		return ""
	}
	n := w.nodes[id]
	p, d := n.Data()
	switch {
	case !n.Up:
		return stateHostOff
	case d == nil:
		return stateNoDirectory
	case d.Content == fakehost.Ruined:
		return stateRuined
	case d.Content == fakehost.HalfRewound:
		return stateHalfRewound
	case d.Content == fakehost.HalfCopied:
		return stateHalfCopied
	case n.Server == nil && p == resync.InRepair:
		return stateInRepair
	case n.Server != nil && n.Server.Frozen:
		return stateFrozen
	case n.Server != nil && !n.Accepting():
		return stateStarting
	}
	return w.serverState(n, d)
}

// serverState is stateOf for a node whose directory is whole and at home.
func (w *World) serverState(n *node, d *fakehost.Dir) string {
	var primary *node
	for _, u := range w.nodes {
		if u.Writes() && (primary == nil || u.ID == w.pgpool.primary) {
			primary = u
		}
	}
	switch {
	case primary == n:
		return statePrimary
	case n.Writes():
		return stateSecond
	case primary == nil:
		return stateNoPrimary
	}
	own := !fakehost.SameData(d.Tip, primary.Server.Dir.Tip)
	switch {
	case n.Server != nil && n.Server.Streaming && own:
		return stateOver
	case n.Server != nil && n.Server.Streaming:
		return stateStreams
	case n.Server != nil && own:
		return stateStandbyOwn
	case n.Server != nil:
		return stateStandby
	case own:
		return stateDownOwn
	}
	return stateDown
}
