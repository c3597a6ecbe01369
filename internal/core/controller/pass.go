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

// step plans from the newest memory, fills st with what came of it, and makes
// orders of what can be carried out now. Nobody changes the memory in between.
func (c *Controller) step(st *control.Status) []order {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	mem, decisions := plan.Step(c.mem, st.Snapshot, c.o.Policy, now)
	var orders []order
	var taken []plan.Decision
	for _, d := range decisions {
		if o, ok := c.take(d, &st.Snapshot); ok && st.Acting {
			c.busy[o.slot] = o.what
			orders, taken = append(orders, o), append(taken, d)
		}
	}
	c.mem = plan.Advance(mem, taken, c.o.Policy, now)
	c.pass++
	st.Pass, st.Decisions, st.Memory = c.pass, decisions, c.mem
	return orders
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
