package fakehost

import (
	"strconv"

	"github.com/repool/repool/internal/core/topology"
)

// AppName is what a node calls itself on its upstream.
func AppName(id topology.NodeID) string { return "node" + strconv.Itoa(int(id)) }

// SlotName is the name of the node's slot on its upstream.
func SlotName(id topology.NodeID) string { return "repool_node" + strconv.Itoa(int(id)) }

// Facts is what a running server says of itself.
func (p *Pool) Facts(n *Node) topology.SQLFacts {
	s := n.Server
	d := s.Dir
	f := topology.SQLFacts{InRecovery: !s.Primary, SystemID: d.System, Version: 150018, Timeline: d.ControlTLI,
		DatabaseBytes: DatabaseBytes, Settings: settings}
	if s.Primary {
		f.Timeline, f.Current = d.Tip.TLI, d.Tip.End
		for _, m := range p.Nodes {
			if m.streamsFrom(n) {
				f.Senders = append(f.Senders, topology.WALSender{AppName: AppName(m.ID), State: "streaming",
					Flush: m.Server.Dir.Tip.End, Replay: m.Server.Dir.Data.End})
			}
		}
		for _, m := range p.Nodes { // in the order of the nodes, not of the map
			name := SlotName(m.ID)
			if sl := d.Slots[name]; sl != nil {
				status := "reserved"
				if sl.Lost {
					status = "lost"
				}
				f.Slots = append(f.Slots, topology.Slot{Name: name, Active: sl.Active, Physical: true, Restart: sl.Restart,
					WALStatus: status})
			}
		}
		return f
	}
	f.Receive, f.Replay, f.ReplayPaused = d.Tip.End, d.Data.End, s.Paused
	if s.Streaming && s.From >= 0 {
		u := p.Nodes[s.From]
		f.Timeline = d.Tip.TLI
		f.Receiver = topology.WALReceiver{Status: "streaming", SenderHost: u.Host, SenderPort: u.Port,
			Timeline: d.Tip.TLI, Slot: d.Slot}
	}
	return f
}

var settings = map[string]string{"max_connections": "100", "max_replication_slots": "10", "max_wal_senders": "10",
	"full_page_writes": "on"}
