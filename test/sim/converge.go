package sim

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/test/fakes/fakehost"
)

// soon is how long a pool may take to be whole when its faults have ended, and
// patience how long a person waits before he does what a refusal tells him to.
const (
	soon     = 240 * time.Second
	patience = 25 * time.Second
)

// heal ends every fault.
func (w *World) heal(root *actor) {
	w.mu.Lock()
	w.note("the faults are over")
	w.cuts, w.latency, w.calm, w.disturbed = map[way]int{}, normalLatency, true, time.Now()
	w.burst, w.hooksTwice, w.dieUnderAttach, w.pgpool.killHook, w.pgpoolHeld, w.forget = false, false, false, false, 0,
		false
	for _, n := range w.nodes {
		n.Full, n.Slow, n.agentsHeld, n.nextDiesAt, n.troubled = false, false, 0, "", time.Now()
		if n.Server != nil {
			n.Server.Frozen, n.Server.Paused = false, false
		}
		for _, p := range n.agents {
			p.diesAt = ""
		}
		w.powerOn(n, Fault{})
	}
	w.lead(0)
	w.mu.Unlock()
	for _, b := range w.controllerHosts {
		b.held = 0
	}
	root.wait(0, time.Second)
	w.supervise()
}

// converge waits until the pool is whole, and stays so (P9).
func (w *World) converge(root *actor) {
	whole, begun := 0, time.Now()
	missing := ""
	for time.Since(begun) < soon && !w.broken() {
		root.wait(time.Second, time.Second+50*time.Millisecond)
		w.supervise()
		w.mu.Lock()
		w.now(root)
		missing = cmp.Or(w.converged(), w.leftOver())
		w.mu.Unlock()
		if whole++; missing != "" {
			whole = 0
			w.person(root)
		}
		if len(w.wanted) > 0 {
			w.mu.Lock()
			w.disturbed = time.Now() // nothing is promised while a person is asked for
			w.mu.Unlock()
		}
		if whole == 4 {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	promise := "P9"
	if w.converged() == "" {
		promise = nothingLeft
	}
	w.violate(promise, "%s after the last fault: %s", soon, missing)
}

// person does what the runbook tells him, once a refusal has stood for a while.
func (w *World) person(root *actor) {
	now := time.Now()
	wants := map[string]func(){}
	b := w.controllerHosts[0]
	c := b.running()
	if c == nil {
		return
	}
	st := c.Status()
	w.contestSettled(st.Memory)
	for _, m := range st.Memory.Nodes {
		if m.Parked != "" {
			wants[fmt.Sprintf("release %d: %s", m.Node, m.Parked)] = func() {
				if m.Parked == codes.VaultFailed {
					w.lookedAtOld(m.Node)
				}
				w.must(c.Release(w.life, m.Node, "person"))
			}
		}
	}
	for _, d := range st.Decisions {
		if do := w.remedy(d, st.Memory); do != nil {
			wants[fmt.Sprintf("%s on %d", d.Code, d.Node)] = do
		}
	}
	for what := range w.wanted {
		if wants[what] == nil {
			delete(w.wanted, what)
		}
	}
	for _, what := range sorted(wants) {
		since, known := w.wanted[what]
		if !known {
			w.wanted[what] = now
		}
		if !known || now.Sub(since) < patience {
			continue
		}
		delete(w.wanted, what)
		w.mu.Lock()
		w.note("a person acts: %s", what)
		w.cover.person[what[:max(0, len(what)-2)]]++
		w.mu.Unlock()
		wants[what]()
		root.wait(0, 10*time.Millisecond)
		return // one thing at a time
	}
}

// remedy is what the code's hint says.
func (w *World) remedy(d plan.Decision, mem plan.Memory) func() {
	switch d.Code {
	case codes.NoPrimary, codes.PrimaryUnreachable, codes.FailoverRunning, codes.SynchronousMissing:
		return func() { w.bringPrimary(mem) }
	case codes.PrimaryAmbiguous, codes.PrimaryContested, codes.PrimaryStale:
		return func() { w.settlePrimary(mem, d.Code) }
	case codes.NeedsConsent:
		return func() { w.consent(d.Node) }
	case codes.LineageUnknown:
		if d.Severity == codes.Refused {
			return func() { w.moveAway(d.Node) }
		}
	case codes.PoolUnresponsive:
		return func() { w.pgpool.kill() }
	case codes.PoolBlind:
		if d.Severity == codes.Refused {
			return func() { w.pgpool.kill() }
		}
	}
	return nil
}

// bringPrimary starts the last primary, or promotes the standby with the most
// WAL.
func (w *World) bringPrimary(mem plan.Memory) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var best *node
	for _, n := range w.nodes {
		d := n.Home()
		if d == nil || d.Content != fakehost.Whole || n.Writes() {
			continue
		}
		if n.Server == nil && !d.Signal && (n.ID == mem.Primary || best == nil) {
			best = n
			if n.ID == mem.Primary {
				break
			}
		}
	}
	if best != nil {
		_ = w.Start(best.Node, false, time.Second)
		return
	}
	for _, n := range w.nodes {
		if n.Accepting() && !n.Server.Primary && (best == nil || n.Server.Dir.Tip.TLI > best.Server.Dir.Tip.TLI ||
			n.Server.Dir.Tip.TLI == best.Server.Dir.Tip.TLI && n.Server.Dir.Tip.End > best.Server.Dir.Tip.End) {
			best = n
		}
	}
	if best != nil {
		best.Server.PromoteAt = time.Now()
		return
	}
	for _, n := range w.nodes {
		if n.Server == nil && n.Home() != nil && n.Home().Content == fakehost.Whole {
			_ = w.Start(n.Node, false, time.Second)
			best = n
		}
	}
	if best != nil {
		return
	}
	// Nothing whole is at home anywhere. What an interrupted run has left in repair is
	// whole unless its journal says otherwise, and the person brings it back.
	for _, n := range w.nodes {
		if p, d := n.Data(); p == resync.InRepair && d.Content == fakehost.Whole && n.Server == nil {
			n.Places[resync.Home], n.Places[resync.InRepair] = d, nil
			_ = w.Start(n.Node, false, time.Second)
			return
		}
	}
}

// settlePrimary keeps the primary that Pgpool-II routes to, or the newest, and
// agrees to have the others overwritten.
func (w *World) settlePrimary(mem plan.Memory, code codes.Code) {
	w.mu.Lock()
	var keep *node
	for _, n := range w.nodes {
		if !n.Writes() {
			continue
		}
		if keep == nil || n.Server.Dir.Tip.TLI > keep.Server.Dir.Tip.TLI || n.ID == w.pgpool.primary {
			keep = n
		}
	}
	var others []topology.NodeID
	for _, n := range w.nodes {
		if keep != nil && n != keep && (n.Writes() || code == codes.PrimaryStale || n.ID == mem.Primary) {
			others = append(others, n.ID)
		}
	}
	w.mu.Unlock()
	for _, id := range others {
		w.consent(id)
	}
}

// moveAway takes away a data directory that cannot be verified, from where the
// last run has left it.
func (w *World) moveAway(id topology.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.nodes[id]; w.spare(n) && !n.Writes() {
		w.Kill(n.Node)
		if p, d := n.Data(); p == resync.Home || d.Content == fakehost.Whole {
			n.Places[p] = nil
		}
	}
}

// lookedAtOld removes what a base backup has kept, which a person has looked at.
func (w *World) lookedAtOld(id topology.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[id].Places[resync.Old] = nil
}

// consent is `repool resync NODE --yes`.
func (w *World) consent(id topology.NodeID) {
	w.mu.Lock()
	w.agreed[id] = true
	w.mu.Unlock()
	for _, b := range w.controllerHosts {
		if c := b.running(); c != nil {
			ctx, cancel := context.WithTimeout(w.life, 5*time.Second)
			_ = c.Resync(ctx, control.ResyncRequest{Node: id, Who: "person"}) // its memory may not be saved when it dies
			cancel()
		}
	}
}
