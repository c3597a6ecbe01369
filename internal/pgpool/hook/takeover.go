package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// answersAge is how old the nodes' answers may be when a node is promoted by them.
const answersAge = 500 * time.Millisecond

// takeOver promotes a candidate, unless there is a primary already.
func (d *Deps) takeOver(ctx context.Context, e Event, p *probes, last Primary) Result {
	asked := time.Now()
	c := choose(p.views, last, e.NewMain)
	if r, settled := c.settled(); settled {
		return r
	}
	note, fenced, stopped := d.fence(ctx, e.Failed, p.failed)
	c.notes = append(c.notes, note)
	if !fenced {
		return Result{Code: CodeNotFenced, Node: e.Failed, Notes: c.notes,
			Text: fmt.Sprintf("the server of node %s runs and could not be stopped; a second primary would split the pool",
				e.Failed)}
	}
	// A primary that was running sent more WAL after the standbys were asked, its
	// shutdown checkpoint included. And a host that does not answer costs seconds,
	// in which somebody else may have promoted a node.
	if stopped || time.Since(asked) > answersAge {
		c = d.chooseAgain(ctx, e, p, last, c.notes)
	}
	var tried []topology.NodeID
	for {
		if r, settled := c.settled(); settled {
			return r
		}
		i := slices.IndexFunc(c.order, func(v view) bool { return !slices.Contains(tried, v.node) })
		if i < 0 {
			return Result{Code: CodeUnconfirmed, Node: topology.NoNode, Notes: c.notes, Text: "no candidate could be promoted"}
		}
		v := c.order[i]
		tried = append(tried, v.node)
		tli, err := d.promote(ctx, p, v, c.line)
		if err == nil {
			return d.promotedBy(ctx, e, p, v, tli, c.notes)
		}
		c.notes = append(c.notes, fmt.Sprintf("node %s: %v", v.node, err))
		if !errors.Is(err, ErrNotAsked) && !d.stopped(ctx, v.node) {
			return Result{Code: CodeUnconfirmed, Node: v.node, Notes: c.notes,
				Text: fmt.Sprintf("node %s was told to promote itself and still may, so no other is tried", v.node)}
		}
		// That took up to a minute. The old primary may be back, with standbys that
		// follow it, or the candidate refused because it is a primary already: another
		// promotion would then give the line two primaries.
		if primary, err := d.alive(ctx, e.Failed); err == nil && primary {
			return Result{Code: CodePrimaryBack, Node: e.Failed, Notes: c.notes,
				Text: fmt.Sprintf("node %s is back as the primary, and nothing was promoted: left to the controller", e.Failed)}
		}
		c = d.chooseAgain(ctx, e, p, last, c.notes)
	}
}

// settled says that nothing will be promoted: there is a primary, or no candidate.
func (c choice) settled() (Result, bool) {
	switch {
	case c.primary != topology.NoNode:
		return Result{Code: CodeAlreadyPrimary, Node: c.primary, Notes: c.notes,
			Text: fmt.Sprintf("node %s is the primary already", c.primary)}, true
	case len(c.order) == 0:
		return Result{Code: c.code, Node: topology.NoNode, Text: c.why, Notes: c.notes}, true
	}
	return Result{}, false
}

// chooseAgain asks the nodes that answered once more, and chooses by their answers.
func (d *Deps) chooseAgain(ctx context.Context, e Event, p *probes, last Primary, notes []string) choice {
	d.askOnceMore(ctx, p)
	c := choose(p.views, last, e.NewMain)
	c.notes = append(notes, c.notes...)
	return c
}

// promotedBy ends a failover that has its new primary.
func (d *Deps) promotedBy(ctx context.Context, e Event, p *probes, v view, tli topology.TimelineID,
	notes []string) Result {
	d.poke(ctx, e.String(), d.Limits.Poke) // the rest need not delay the other nodes
	text := fmt.Sprintf("node %s promoted at %s on timeline %s", v.node, v.facts.Position(), tli)
	if v.node != e.NewMain && e.NewMain != topology.NoNode {
		text += fmt.Sprintf(" (Pgpool-II's choice was node %s)", e.NewMain)
	}
	notes = append(notes, d.settle(ctx, p, v.node)...)
	return Result{Code: CodePromoted, Node: v.node, Text: text, Notes: notes}
}
