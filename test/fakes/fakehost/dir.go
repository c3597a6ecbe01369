package fakehost

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// Content says how far a directory can be trusted.
type Content string

// The contents of a directory.
const (
	Whole       Content = "whole"
	HalfRewound Content = "half rewound"
	HalfCopied  Content = "half copied"
	Ruined      Content = "ruined"
)

// Slot is a physical replication slot; it lives in the directory of its primary, and stays there when that is a
// standby. Whether it is in use is Pool.Uses'.
type Slot struct {
	Restart topology.LSN
	Lost    bool
	// Horizon is how far VACUUM may go, in place of xmin; zero: no standby has sent its feedback.
	Horizon topology.LSN
	// Held: a session that is not the node's uses it, since HeldAt.
	Held   bool
	HeldAt time.Time
}

// Dir is a data directory.
type Dir struct {
	Name    string
	Content Content
	System  topology.SystemID
	// Tip is the end of its WAL, From where its WAL begins, Data the last record whose effects are in the data.
	Tip  *Record
	From topology.LSN
	Data *Record
	// ControlTLI and Checkpointed are what the control file says.
	ControlTLI   topology.TimelineID
	Checkpointed *Record
	Clean        bool // shut down, not crashed
	Recovering   bool // last run as a standby
	Signal       bool // standby.signal
	// Upstream and Slot are its connection settings; NoNode: none.
	Upstream topology.NodeID
	Slot     string
	// Spelled is how the connection settings spell the upstream's host, where it is not as
	// in pgpool.conf, and App the application name in them; empty: the node's own name.
	Spelled, App string
	// Obscure: neither the node nor its upstream tells the application name.
	Obscure   bool
	Slots     map[string]*Slot
	OwnConfig bool // the configuration is this node's
	// Copied: rewound or copied from another node, so that without standby.signal it is a second primary on the same
	// timeline.
	Copied bool
	// Over is what the WAL on disk ends with, where a WAL receiver has written its upstream's over the directory's own;
	// nil: Tip. Replay goes on from Tip all the same.
	Over *Record
	// fills counts the copies and rewinds that have filled the directory.
	fills int
	// Mixed: a rewind or copy mistook another line for its own; no reader could tell, and the rows are wrong.
	Mixed bool
	// Proven: a server has streamed from it, or it was there from the beginning.
	Proven bool
}

// Begin makes d a directory of a pool's line that ends at tip, with all its WAL.
func (d *Dir) Begin(system topology.SystemID, tip *Record) {
	d.Content, d.System, d.Tip, d.Data, d.From = Whole, system, tip, tip, FirstLSN
	d.ControlTLI, d.Checkpointed = tip.TLI, LastCheckpoint(tip, tip.End)
	d.OwnConfig, d.Proven = true, true
}

// History is that of the newest timeline that the directory has WAL of. A history file that is there is not fetched
// again (WalRcvFetchTimeLineHistoryFiles), so that WAL received under the directory's own timeline number does not
// bring its own along.
func (d *Dir) History() topology.History {
	if d.Over != nil && d.Over.TLI == d.Tip.TLI {
		return *d.Tip.line
	}
	return *d.disk().line
}

// disk is the end of the WAL that a reader of the directory finds.
func (d *Dir) disk() *Record {
	if d.Over != nil {
		return d.Over
	}
	return d.Tip
}

// id tells one filling from the next.
func (d *Dir) id() string { return fmt.Sprintf("%s, fill %d", d.Name, d.fills) }

// control is the control file.
func (d *Dir) control(running bool) topology.Control {
	c := topology.Control{SystemID: d.System, CheckpointLSN: d.Checkpointed.Start, RedoLSN: d.Checkpointed.Start,
		Timeline: d.ControlTLI, WALLogHints: true, Checksums: true, SegmentSize: segment, State: "in production"}
	switch {
	case running && d.Recovering, !running && d.Recovering && !d.Clean:
		c.State = "in archive recovery"
	case d.Clean && d.Recovering:
		c.State, c.ShutDownInRecover = "shut down in recovery", true
	case d.Clean:
		c.State, c.WasCleanShutdown = "shut down", true
	}
	return c
}

// probe reads the directory's WAL against a primary's history, as the real agent does.
func (d *Dir) probe(primary topology.History) topology.WALProbe {
	tip := d.disk()
	p := topology.WALProbe{Own: d.History(), End: tip.End, DataID: d.id()}
	if d.Over != nil && d.Checkpointed.End <= tip.End && !Holds(tip, d.Checkpointed) {
		p.Overwritten = d.Checkpointed.Start
	}
	p.CommonTLI, p.Limit, p.Open, p.Shared = topology.Common(p.Own, primary)
	until := tip.End
	if p.Shared && !p.Open {
		if p.Limit < d.From {
			p.Beyond = p.End > p.Limit
			return p
		}
		p.Beyond = tip.End > p.Limit
		until = min(until, p.Limit)
	}
	last := At(tip, until)
	if last == nil || last.Start < d.From {
		return p
	}
	rec := last.identity()
	p.Last, p.WALFrom = &rec, d.From
	if c := LastCheckpoint(tip, until); c != nil && c.Start >= d.From {
		p.LastCheckpoint = c.Start
	}
	return p
}
