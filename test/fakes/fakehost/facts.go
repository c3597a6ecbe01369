package fakehost

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/repool/repool/internal/core/topology"
)

// AppName is what a node calls itself on its upstream.
func AppName(id topology.NodeID) string { return "node" + strconv.Itoa(int(id)) }

// appName is what the node's WAL receiver calls itself.
func (d *Dir) appName(id topology.NodeID) string {
	switch {
	case d.Obscure:
		return "unnamed"
	case d.App != "":
		return d.App
	}
	return AppName(id)
}

// Facts is what a running server says of itself.
func (p *Pool) Facts(n *Node) topology.SQLFacts {
	s := n.Server
	d := s.Dir
	f := topology.SQLFacts{InRecovery: !s.Primary, SystemID: d.System, Version: 150018, Timeline: d.ControlTLI,
		DatabaseBytes: DatabaseBytes, Settings: settings, Slots: p.slots(n)}
	if s.Primary {
		f.Timeline, f.Current, f.SyncNames = d.Tip.TLI, d.Tip.End, p.SyncNames
		waited := p.SyncMembers(n)
		for _, m := range p.Nodes {
			if m.streamsFrom(n) {
				f.Senders = append(f.Senders, topology.WALSender{AppName: m.Server.Dir.appName(m.ID), State: "streaming",
					SyncState: p.syncState(slices.Contains(waited, m.ID)), Slot: m.Server.Dir.Slot,
					Flush: m.Server.Dir.Tip.End, Replay: m.Server.Dir.Data.End})
			}
		}
		return f
	}
	f.Receive, f.Replay, f.ReplayPaused, f.Startup = d.Tip.End, d.Data.End, s.Paused, "RecoveryWalStream"
	if n.replaysFirst() {
		f.Startup = "RecoveryConflictSnapshot"
	}
	if s.Streaming && s.From >= 0 {
		u := p.Nodes[s.From]
		f.Timeline = d.Tip.TLI
		f.Receiver = topology.WALReceiver{Status: "streaming", SenderHost: u.Host, SenderPort: u.Port,
			Timeline: d.Tip.TLI, Slot: d.Slot, AppName: d.appName(n.ID)}
		if d.Spelled != "" {
			f.Receiver.SenderHost = d.Spelled
		}
		if d.Obscure {
			f.Receiver.AppName = ""
		}
	}
	return f
}

// slots are those of a running server, by their names.
func (p *Pool) slots(n *Node) (out []topology.Slot) {
	d := n.Server.Dir
	for _, name := range slices.Sorted(maps.Keys(d.Slots)) {
		sl, status := d.Slots[name], "reserved"
		if sl.Lost {
			status = "lost"
		}
		out = append(out, topology.Slot{Name: name, Active: sl.Held || p.Uses(n, name), Physical: true,
			Restart: sl.Restart, WALStatus: status, Horizon: sl.Horizon != 0, XminAge: d.Data.End.Minus(sl.Horizon)})
	}
	return out
}

// Uses says whether a standby streams through that slot of the node's server.
func (p *Pool) Uses(n *Node, slot string) bool {
	for _, m := range p.Nodes {
		if m.streamsFrom(n) && m.Server.Dir.Slot == slot {
			return true
		}
	}
	return false
}

// SyncMembers are the nodes that commits on a running primary can wait for, as
// pg_stat_replication has them: all that stream under ANY, the first ones under FIRST.
func (p *Pool) SyncMembers(n *Node) (ids []topology.NodeID) {
	if p.SyncNames == "" {
		return nil
	}
	for _, m := range p.Nodes {
		if m.streamsFrom(n) {
			ids = append(ids, m.ID)
		}
	}
	if need := topology.SyncNeed(p.SyncNames); p.first() && len(ids) > need {
		ids = ids[:need]
	}
	return ids
}

func (p *Pool) first() bool { return !strings.HasPrefix(p.SyncNames, "ANY") }

func (p *Pool) syncState(waited bool) string {
	switch {
	case p.SyncNames == "":
		return "async"
	case !waited:
		return "potential"
	case p.first():
		return "sync"
	}
	return "quorum"
}

var settings = map[string]string{"max_connections": "100", "max_replication_slots": "10", "max_wal_senders": "10",
	"full_page_writes": "on"}
