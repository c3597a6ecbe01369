package controller

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

// onePass observes, plans, acts and publishes. It reports whether something is
// under way that deserves a closer look soon.
func (c *Controller) onePass(ctx context.Context, reason string) bool {
	begun := time.Now()
	snap := c.o.Observer.Observe(ctx)
	if ctx.Err() != nil {
		return false // half a look is none
	}
	st := control.Status{Version: c.o.Version, PID: os.Getpid(), Started: c.started, Snapshot: snap}
	st.Acting, st.Why = mayAct(&snap)
	orders := c.step(&st)
	c.markDirty()
	c.notePrimary(st.Memory, &snap)
	busy := false
	for _, d := range st.Decisions {
		c.say(d)
		busy = busy || d.Severity == plan.Work
	}
	for _, o := range orders {
		c.launch(o)
	}
	c.account(&snap)
	if st.Acting {
		c.adopt(&snap)
		c.resumeHooks()
	}
	c.prune()
	st.At, st.PassTook = time.Now(), time.Since(begun)
	c.status.Store(&st)
	for _, a := range c.o.Audience {
		a.Passed(st)
	}
	c.o.Log.Debug("pass", "reason", reason, "took", st.PassTook, "busy", busy)
	return busy
}

// step plans from the newest memory and fills st with what came of it. What
// was decided and is not carried out now is not remembered as asked for.
func (c *Controller) step(st *control.Status) []order {
	c.mu.Lock()
	defer c.mu.Unlock()
	mem, decisions := plan.Step(c.mem, st.Snapshot, c.o.Policy, time.Now())
	var orders []order
	for _, d := range decisions {
		if o, ok := c.take(d, &st.Snapshot); ok && st.Acting {
			c.busy[o.slot] = o.what
			orders = append(orders, o)
		} else {
			unask(&mem, c.mem, d)
		}
	}
	c.mem = mem
	c.pass++
	st.Pass, st.Decisions, st.Memory = c.pass, decisions, mem
	return orders
}

// unask takes out of mem that d was asked for, for the rate limits: before is
// the memory of the pass before.
func unask(mem *plan.Memory, before plan.Memory, d plan.Decision) {
	if d.Action == plan.Nudge {
		mem.LastNudge, mem.Nudges = before.LastNudge, max(0, mem.Nudges-1)
		return
	}
	var was plan.NodeMemory
	for _, n := range before.Nodes {
		if n.Node == d.Node {
			was = n
		}
	}
	for i := range mem.Nodes {
		n := &mem.Nodes[i]
		switch {
		case n.Node != d.Node:
		case d.Action == plan.Attach:
			n.LastAttach, n.Attaches, n.Unheeded = was.LastAttach, max(0, n.Attaches-1), was.Unheeded
			n.Parked, n.ParkedWhy, n.ParkedAt = was.Parked, was.ParkedWhy, was.ParkedAt
		case d.Action == plan.Detach:
			n.LastDetach, n.Unheeded = was.LastDetach, was.Unheeded
		case d.Action == plan.Fence:
			n.LastFence, n.Fences = was.LastFence, max(0, n.Fences-1)
		case d.Action == plan.Resync:
			n.LastResync = was.LastResync
		}
	}
}

// mayAct is the watchdog rule: only beside the leader with quorum, and only
// while the local Pgpool-II answers at all.
func mayAct(snap *topology.Snapshot) (bool, string) {
	if len(snap.Pools) == 0 {
		return false, "no Pgpool-II is configured"
	}
	p := snap.Pools[0]
	if !p.OK() {
		return false, "the local Pgpool-II does not answer: " + p.Err
	}
	if !p.Watchdog.MayAct() {
		return false, fmt.Sprintf("the local Pgpool-II is a watchdog member in state %s with quorum %d: only the leader with quorum acts", p.Watchdog.State, p.Watchdog.Quorum)
	}
	return true, ""
}
