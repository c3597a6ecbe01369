package observe

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
)

// lineages compares the WAL of each node that is not known to be on the line with
// the likely primary's. It does not decide which node is the primary, only which one
// to compare with: the verdict names it, and the planner ignores a verdict about any
// other than its own primary.
func (o *Observer) lineages(ctx context.Context, snap *topology.Snapshot, fresh bool) {
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
	line := p.ID.String() + " " + history.Text()
	walFrom := askedOnce(func() topology.LSN {
		from, _ := o.walFrom.get(context.WithoutCancel(ctx), want[topology.LSN]{key: line, fresh: fresh,
			ask: func(ctx context.Context) topology.LSN {
				own, err := pa.ProbeWAL(ctx, history)
				if err != nil {
					return 0 // unknown: no gap is proven
				}
				return own.WALFrom
			}})
		return from
	})
	var wg sync.WaitGroup
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		if n.ID == p.ID || !o.wantsLineage(snap, n, p, line) {
			continue
		}
		c := comparison{primary: p.ID, history: history, node: o.inspectorOf(n.ID), with: pa, walFrom: walFrom}
		proves := streams(snap.Nodes, n, p)
		wg.Go(func() {
			l, answered := o.nodes[i].lineage.get(ctx, want[topology.Lineage]{key: line, fresh: fresh, ask: c.make})
			if !answered {
				l = topology.Lineage{Source: unanswered(), Primary: p.ID}
			}
			n.Lineage = l
			o.noteProof(proves, n, line)
		})
	}
	wg.Wait()
}

// askedOnce calls ask when the first caller wants its answer. Unlike sync.OnceValue
// it holds no lock while it waits for the network: the others wait on a channel,
// which works with virtual time.
func askedOnce[T any](ask func() T) func() T {
	var once sync.Once
	var answer T
	there := make(chan struct{})
	return func() T {
		once.Do(func() {
			go func() {
				defer close(there)
				answer = ask()
			}()
		})
		<-there
		return answer
	}
}

// comparison is one node's WAL against the primary's.
type comparison struct {
	primary    topology.NodeID
	history    topology.History
	node, with agentapi.Inspector
	walFrom    func() topology.LSN
}

// make probes the node and compares its last common record with the primary's,
// by content.
func (c comparison) make(ctx context.Context) topology.Lineage {
	failed := func(err error) topology.Lineage {
		return topology.Lineage{Source: topology.Source{At: time.Now(), Err: err.Error()}, Primary: c.primary}
	}
	if c.node == nil {
		return failed(errors.New("no agent on the node to read its WAL"))
	}
	probe, err := c.node.ProbeWAL(ctx, c.history)
	if err != nil {
		return failed(err)
	}
	probe.At = time.Now()
	var rec *topology.WALRecord
	recErr := ""
	if probe.Shared && probe.Last != nil {
		r, err := c.with.RecordEnding(ctx, probe.Last.End)
		if err != nil {
			recErr = err.Error()
		} else {
			rec = &r
		}
	}
	var walFrom topology.LSN
	if rec == nil { // the primary has no such record: perhaps its WAL begins later
		walFrom = c.walFrom()
	}
	l := topology.JudgeLineage(c.history, probe, rec, recErr, walFrom)
	l.At, l.Primary = time.Now(), c.primary
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

// likelyPrimary is the node out of recovery on the highest timeline; nil: none, or
// two of them.
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

// wantsLineage is false if there is nothing to read, and for an attached standby that
// has streamed without a break since it was compared. An equal timeline number alone
// proves nothing: a node with other content can stream as long as the record
// boundaries happen to agree (hazard 1).
func (o *Observer) wantsLineage(snap *topology.Snapshot, n, p *topology.Node, line string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !streams(snap.Nodes, n, p) {
		delete(o.proven, n.ID)
	}
	if !n.Agent.OK() || n.Agent.Dir == topology.DirMissing || n.Agent.Dir == topology.DirEmpty ||
		n.Agent.Dir == topology.DirForeign {
		return false
	}
	if r := n.Agent.Run; r != nil && !r.Outcome.Ended() {
		return false
	}
	for i := range snap.Pools {
		if v := snap.Pools[i].Node(n.ID); v == nil || !v.Attached() {
			return true
		}
	}
	return o.proven[n.ID] != line
}

// noteProof remembers that a streaming node was proven to be on this line.
func (o *Observer) noteProof(streams bool, n *topology.Node, line string) {
	if streams && n.Lineage.OK() && n.Lineage.Verdict == topology.LineageOnLine {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.proven[n.ID] = line
	}
}

// streams says that n streams from p on p's timeline.
func streams(nodes []topology.Node, n, p *topology.Node) bool {
	return topology.Sender(nodes, n) == p.ID && n.SQL.Receiver.Timeline == p.SQL.Timeline
}
