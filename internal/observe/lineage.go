package observe

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/repool/repool/internal/agentapi"
	"github.com/repool/repool/internal/topology"
)

// lineages compares the WAL of each node that is not simply streaming with the
// likely primary's. It does not decide who the primary is, only whom to
// compare with: the verdict names that node, and the planner ignores a verdict
// against any other than its own primary.
func (o *Observer) lineages(ctx context.Context, snap *topology.Snapshot) {
	p := likelyPrimary(snap)
	if p == nil {
		return
	}
	history := p.Agent.History
	if !p.Agent.OK() || history.TLI != p.SQL.Timeline {
		return // just promoted, or its agent is silent: nothing to compare with yet
	}
	pa := o.inspectorOf(p.ID)
	if pa == nil {
		return
	}
	cctx, cancel := context.WithTimeout(ctx, o.opts.Patience)
	defer cancel()
	var once sync.Once
	var from topology.LSN
	walFrom := func() topology.LSN {
		once.Do(func() {
			if own, err := pa.ProbeWAL(cctx, history); err == nil {
				from = own.WALFrom
			}
		})
		return from
	}
	var wg sync.WaitGroup
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		if n.ID == p.ID || !wantsLineage(snap, n, p) {
			continue
		}
		wg.Go(func() { n.Lineage = o.lineage(cctx, n, p, pa, walFrom) })
	}
	wg.Wait()
}

// lineage probes one node and compares its last common record with the
// primary's, by content.
func (o *Observer) lineage(ctx context.Context, n, p *topology.Node, pa agentapi.Inspector, walFrom func() topology.LSN) topology.Lineage {
	failed := func(err error) topology.Lineage {
		return topology.Lineage{Source: topology.Source{At: time.Now(), Err: err.Error()}, Primary: p.ID}
	}
	na := o.inspectorOf(n.ID)
	if na == nil {
		return failed(errors.New("no agent on the node to read its WAL"))
	}
	probe, err := na.ProbeWAL(ctx, p.Agent.History)
	if err != nil {
		return failed(err)
	}
	probe.At = time.Now()
	var rec *topology.WALRecord
	recErr := ""
	if probe.Shared && probe.Last != nil {
		r, err := pa.RecordEnding(ctx, probe.Last.End)
		if err != nil {
			recErr = err.Error()
		} else {
			rec = &r
		}
	}
	l := topology.JudgeLineage(p.Agent.History, probe, rec, recErr, walFrom())
	l.At = time.Now()
	l.Primary = p.ID
	return l
}

func (o *Observer) inspectorOf(id topology.NodeID) agentapi.Inspector {
	for _, n := range o.nodes {
		if n.ID == id {
			return n.Agent
		}
	}
	return nil
}

// likelyPrimary is the node out of recovery on the highest timeline, and nil
// where two such nodes share it.
func likelyPrimary(snap *topology.Snapshot) *topology.Node {
	var best *topology.Node
	tie := false
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		if !n.SQL.OK() || n.SQL.InRecovery {
			continue
		}
		switch {
		case best == nil || n.SQL.Timeline > best.SQL.Timeline:
			best, tie = n, false
		case n.SQL.Timeline == best.SQL.Timeline:
			tie = true
		}
	}
	if tie {
		return nil
	}
	return best
}

// wantsLineage is false for the one case that needs no reading of WAL: an
// attached standby that streams. What streams without a break cannot diverge,
// and its content was compared when it was attached.
func wantsLineage(snap *topology.Snapshot, n, p *topology.Node) bool {
	if !n.Agent.OK() || n.Agent.Dir == topology.DirMissing || n.Agent.Dir == topology.DirEmpty || n.Agent.Dir == topology.DirForeign {
		return false
	}
	if r := n.Agent.Run; r != nil && !r.Outcome.Ended() {
		return false
	}
	streaming := n.SQL.OK() && n.SQL.InRecovery && n.SQL.Receiver.Status == "streaming" &&
		n.SQL.Receiver.SenderPort == p.Port && n.SQL.Receiver.Timeline == p.SQL.Timeline
	if !streaming {
		return true
	}
	for i := range snap.Pools {
		if v := snap.Pools[i].Node(n.ID); v == nil || !v.Attached() {
			return true
		}
	}
	return false
}
