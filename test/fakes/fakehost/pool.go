package fakehost

import (
	"errors"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// Pool is database hosts and what happens between them. Whoever makes it guards it with one lock, which is held in
// every call.
type Pool struct {
	WAL
	System topology.SystemID
	Nodes  []*Node
	// Startup is how long a server takes that repool starts.
	Startup time.Duration
	// SyncNames is synchronous_standby_names on every node; empty: no commit waits.
	SyncNames string
	// Cut says whether nothing gets from one node to another.
	Cut func(from, to topology.NodeID) bool
	// Violate is told of a broken promise, Note of what a person would want to read.
	Violate func(promise, format string, args ...any)
	Note    func(format string, args ...any)
}

// Reaches says whether two nodes can talk to each other.
func (p *Pool) Reaches(a, b *Node) bool { return !p.Cut(a.ID, b.ID) && !p.Cut(b.ID, a.ID) }

// Start starts whatever stands at home. byUs: repool does it.
func (p *Pool) Start(n *Node, byUs bool, took time.Duration) error {
	d := n.Home()
	switch {
	case !n.Up:
		return errDown
	case n.Server != nil:
		return errors.New("another server might be running; trying to start server anyway")
	case d == nil:
		return errors.New("directory does not exist")
	}
	if d.Content == HalfRewound || d.Content == HalfCopied {
		p.Violate("P4", "a server is started in a %s directory (%s)", d.Content, d.Name)
	}
	if d.Content != Whole {
		return errors.New("could not read the control file")
	}
	if n.Refuses {
		if byUs {
			n.Refused = d
		}
		return resync.Errorf(codes.ServerConfig, "FATAL: could not access file \"plantuner\"")
	}
	n.Server = &Server{Dir: d, Ready: time.Now().Add(took), Primary: !d.Signal, From: topology.NoNode, ByUs: byUs}
	for _, s := range d.Slots {
		s.Held = false
	}
	if d.Signal {
		d.Recovering = true
		d.Clean = false
		return nil
	}
	if byUs {
		p.Violate("P4", "repool starts node %d as a primary: no standby.signal in %s", n.ID, d.Name)
	} else if d.Copied {
		p.Violate("P4", "node %d comes up as a second primary: %s, rewound or copied, has no standby.signal", n.ID, d.Name)
	}
	d.Over = nil
	p.CheckpointNow(n)
	d.Clean, d.Recovering = false, false
	return nil
}

// Kill ends the server at once, as SIGKILL, a crash or an immediate stop.
func (p *Pool) Kill(n *Node) {
	s := n.Server
	if s == nil {
		return
	}
	n.Server = nil
	s.Dir.Clean = false
	p.dropStreams(n)
}

// Stop ends it with a shutdown checkpoint. Standbys that stream get all of it.
func (p *Pool) Stop(n *Node) {
	s := n.Server
	if s == nil {
		return
	}
	if s.Primary {
		p.CheckpointNow(n)
		for _, m := range p.Nodes {
			if m != n && m.streamsFrom(n) && p.Reaches(m, n) && Holds(s.Dir.Tip, m.Server.Dir.Tip) {
				m.Server.Dir.Tip = s.Dir.Tip
			}
		}
	}
	n.Server = nil
	s.Dir.Clean = true
	p.dropStreams(n)
}

func (n *Node) streamsFrom(u *Node) bool {
	return n.Server != nil && n.Server.Streaming && n.Server.From == u.ID
}

func (p *Pool) dropStreams(n *Node) {
	for _, m := range p.Nodes {
		if m.Server != nil && m.Server.From == n.ID {
			m.Server.Streaming, m.Server.From = false, topology.NoNode
		}
	}
}

// Promote makes a running standby the primary of a new timeline.
func (p *Pool) Promote(n *Node) {
	s := n.Server
	d := s.Dir
	d.Data, d.Over = d.Tip, nil
	d.Tip = p.Fork(d.Tip, d.Tip.TLI+1)
	d.Data = d.Tip
	d.Signal, d.Recovering, d.Copied = false, false, false
	s.Primary, s.PromoteAt, s.Streaming, s.From, s.Promoted = true, time.Time{}, false, topology.NoNode, time.Now()
	// The control file goes on naming the old timeline until the next checkpoint.
	p.Note("node %d is promoted: timeline %d from %s", n.ID, d.Tip.TLI, d.Tip.Start)
}

// CheckpointNow writes a checkpoint on a running primary.
func (p *Pool) CheckpointNow(n *Node) {
	d := n.Server.Dir
	d.Tip = p.Write(d.Tip, Checkpoint, 0x78)
	d.Data, d.Checkpointed, d.ControlTLI = d.Tip, d.Tip, d.Tip.TLI
}

// Recycle removes a primary's WAL up to the middle of some record near its end,
// as checkpoints do. Slots hold it, unless more is wanted than
// max_slot_wal_keep_size allows. A segment is much longer than a record, so the
// cut does not go through what happens to be some node's last one.
func (p *Pool) Recycle(n *Node, overSlots bool) {
	_, d := n.Data()
	if d == nil || d.Content != Whole {
		return
	}
	to := d.Tip
	for _, s := range d.Slots {
		switch {
		case to == nil || s.Lost || s.Restart == 0 || s.Restart >= to.End:
		case overSlots:
			s.Lost = true
		default:
			to = At(to, s.Restart-min(s.Restart-FirstLSN, 64<<10))
		}
	}
	if to != nil {
		to = to.Parent
	}
	for to != nil && p.someLast(to) {
		to = to.Parent
	}
	if to != nil {
		d.From = max(d.From, to.Start+8)
	}
}

func (p *Pool) someLast(r *Record) bool {
	for _, n := range p.Nodes {
		for _, d := range n.Places {
			if d != nil && d.Tip == r {
				return true
			}
		}
	}
	return false
}
