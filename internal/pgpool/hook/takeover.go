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

// takeOver promotes a candidate, unless there is a primary already. It waits that long
// for standbys that policy.failover wants an answer of.
func (d *Deps) takeOver(ctx context.Context, e Event, p *probes, last Primary, wait time.Duration) Result {
	until := time.Now().Add(wait)
	c := d.chooseNow(e, p, last)
	if c.waits {
		c = d.awaitAnswers(ctx, e, p, last, c, until)
	}
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
	again := stopped
	var tried []topology.NodeID
	for {
		for range p.views { // each node that takes too long to answer is not asked a second time
			if !again && time.Since(p.asked) <= answersAge {
				break
			}
			again = false
			c = d.chooseAgain(ctx, e, p, last, c.notes)
			if c.waits {
				c = d.awaitAnswers(ctx, e, p, last, c, until)
			}
		}
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
			return primaryBack(e.Failed, c.notes)
		}
		again = true
	}
}

// settled says that nothing will be promoted: there is a primary, or no candidate.
func (c choice) settled() (Result, bool) {
	switch {
	case c.primary != topology.NoNode:
		return Result{Code: CodeAlreadyPrimary, Node: c.primary, Notes: c.notes,
			Text: fmt.Sprintf("node %s is the primary already", c.primary)}, true
	case c.back != topology.NoNode:
		return primaryBack(c.back, c.notes), true
	case len(c.order) == 0:
		return Result{Code: c.code, Node: topology.NoNode, Text: c.why, Notes: c.notes}, true
	}
	return Result{}, false
}

// chooseAgain asks the nodes that answered once more, and chooses by their answers.
func (d *Deps) chooseAgain(ctx context.Context, e Event, p *probes, last Primary, notes []string) choice {
	d.askOnceMore(ctx, p)
	// Controllers go on looking meanwhile: what the lost primary promised may be newer.
	if now, err := readPrimary(d.stateDir()); err == nil && now.Node == last.Node && now.SystemID == last.SystemID {
		last = now
	}
	c := d.chooseNow(e, p, last)
	c.notes = append(notes, c.notes...)
	return c
}

// chooseNow chooses by the answers that are there. A refusal by policy.failover says how
// a person promotes all the same.
func (d *Deps) chooseNow(e Event, p *probes, last Primary) choice {
	c := choose(p.views, last, e.NewMain, d.Pool.Failover)
	if c.waits {
		c.why += fmt.Sprintf("; to promote node %s, which has the most WAL of those that answer, whatever is lost: %s",
			c.best.node, d.anyway(c.best))
	}
	return c
}

// awaitEvery is the pause between two questions to the standbys that are missing.
const awaitEvery = 200 * time.Millisecond

// awaitAnswers asks all nodes again until the choice c is no longer waiting, the time is
// up, or the old primary is back: that has everything.
func (d *Deps) awaitAnswers(ctx context.Context, e Event, p *probes, last Primary, c choice, until time.Time) choice {
	said := c.code
	d.say("waiting for %s: %s", time.Until(until).Round(100*time.Millisecond), c.why)
	for c.waits && time.Now().Before(until) && ctx.Err() == nil {
		select {
		case <-time.After(min(awaitEvery, time.Until(until))):
		case <-ctx.Done():
			return c
		}
		short, cancel := context.WithTimeout(ctx, backWithin)
		primary, err := d.alive(short, e.Failed)
		cancel()
		if err == nil && primary {
			c.waits, c.back = false, e.Failed
			return c
		}
		d.dialMissing(ctx, p)
		c = d.chooseAgain(ctx, e, p, last, nil)
	}
	if !c.waits {
		c.note("waited for standbys (%s)", said)
	}
	return c
}

// primaryBack ends a failover whose lost primary has come back while nothing was promoted.
func primaryBack(node topology.NodeID, notes []string) Result {
	return Result{Code: CodePrimaryBack, Node: node, Notes: notes,
		Text: fmt.Sprintf("node %s is back as the primary, and nothing was promoted: left to the controller", node)}
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
