package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// breach looks for a broken promise in one pass. It is written from the
// promises, not from the planner: it shares none of its helpers.
func breach(mem Memory, snap topology.Snapshot, pol Policy, now time.Time, out Memory, ds []Decision) string {
	if len(ds) != len(snap.Nodes) {
		return fmt.Sprintf("%d decisions for %d nodes", len(ds), len(snap.Nodes))
	}
	for i, d := range ds {
		n := snap.Node(d.Node)
		switch {
		case n == nil || i > 0 && ds[i-1].Node >= d.Node:
			return "not one decision for each node, in order"
		case d.Reason == "" || d.Code == "" || d.Severity == "":
			return fmt.Sprintf("an empty decision: %+v", d)
		case (d.Action == Resync) != (d.Request != nil):
			return "a request without a resync, or the reverse"
		}
		if _, known := codes.Explain(d.Code); !known {
			return "undocumented code " + string(d.Code)
		}
		if d.Action == None || d.Action == Wait {
			continue
		}
		pool := snap.Pools[0]
		if !pool.OK() || now.Sub(pool.At) > pol.MaxFactAge || !pool.Watchdog.MayAct() {
			return fmt.Sprintf("%s on node %s without a Pgpool-II that leads", d.Action, d.Node)
		}
		for _, h := range mem.Holds {
			if h.Node == d.Node || h.Node == topology.NoNode {
				return fmt.Sprintf("%s on node %s, which is on hold", d.Action, d.Node)
			}
		}
		if why := actBreach(mem, &snap, pol, now, out, d, n); why != "" {
			return fmt.Sprintf("%s %s on node %s: %s", d.Action, d.Method, d.Node, why)
		}
	}
	return ""
}

func fresh(s topology.Source, pol Policy, now time.Time) bool {
	return s.Err == "" && !s.At.IsZero() && now.Sub(s.At) <= pol.MaxFactAge
}

func actBreach(mem Memory, snap *topology.Snapshot, pol Policy, now time.Time, out Memory, d Decision,
	n *topology.Node) string {
	writes := func(m *topology.Node) bool { return fresh(m.SQL.Source, pol, now) && !m.SQL.InRecovery }
	var writers []*topology.Node
	for i := range snap.Nodes {
		if writes(&snap.Nodes[i]) {
			writers = append(writers, &snap.Nodes[i])
		}
	}
	pool := &snap.Pools[0]
	if v := pool.Node(pool.Primary); v != nil && v.Attached() && pool.Primary != d.Upstream &&
		d.Code != codes.PrimaryStale && d.Upstream != topology.NoNode && !asked(mem, n.ID) {
		if d.Action == Resync || d.Action == Attach && pool.Primary != n.ID ||
			!(mem.History.Known() && mem.Primary == d.Upstream) {
			return "though Pgpool-II routes writes to another node"
		}
	}
	switch d.Action {
	case Attach:
		if writes(n) { // the primary itself
			if d.Code != codes.PrimaryDetached {
				return "a node that accepts writes, not as the primary"
			}
			for _, o := range writers {
				if o.SQL.SystemID == n.SQL.SystemID && o.SQL.Timeline > n.SQL.Timeline && !asked(mem, o.ID) {
					return "attaches the lower of two timelines as the primary"
				}
			}
			return ""
		}
		p := snap.Node(d.Upstream)
		return p1Breach(out, pol, now, n, p)
	case Detach:
		if d.Upstream == topology.NoNode && d.Code != codes.PrimaryStale {
			return "without a primary"
		}
		if n.NoFailover {
			return "Pgpool-II refuses it"
		}
	case Fence:
		if len(writers) == 0 || len(writers) == 1 && writers[0] == n {
			return "the only node that accepts writes"
		}
		if pool.Primary == n.ID && pool.Node(n.ID).Attached() && mem.Primary == n.ID && !asked(mem, n.ID) &&
			snap.Node(d.Upstream).SQL.Timeline <= n.SQL.Timeline {
			return "the node that everybody held for the primary"
		}
		if !fresh(n.Agent.Source, pol, now) {
			return "without its agent"
		}
	case Resync:
		return runBreach(snap, pol, now, d, n, mem)
	}
	return ""
}

func asked(mem Memory, id topology.NodeID) bool {
	for _, m := range mem.Nodes {
		if m.Node == id {
			return m.Asked != ""
		}
	}
	return false
}

func p1Breach(out Memory, pol Policy, now time.Time, n, p *topology.Node) string {
	f := &n.SQL
	switch {
	case p == nil || !fresh(p.SQL.Source, pol, now) || p.SQL.InRecovery:
		return "no primary"
	case !fresh(f.Source, pol, now) || !f.InRecovery || f.SystemID != p.SQL.SystemID:
		return "not a standby of this system identifier"
	case f.Receiver.Status != "streaming" || f.Receiver.Timeline != p.SQL.Timeline || f.Receiver.SenderPort != p.Port ||
		f.Receiver.SenderHost != p.Host:
		return "does not stream from the primary on its timeline"
	case !fresh(n.Lineage.Source, pol, now) || n.Lineage.Primary != p.ID || n.Lineage.Verdict != topology.LineageOnLine:
		return "its line is not proven"
	case p.SQL.Current.Minus(f.Replay) > pol.MaxLagBytes:
		return "lags"
	}
	for _, m := range out.Nodes {
		if m.Node == n.ID && (m.Target == 0 || m.TargetPrimary != p.ID || f.Replay < m.Target) {
			return "has not replayed to where the primary was when verification began"
		}
	}
	return ""
}

func runBreach(snap *topology.Snapshot, pol Policy, now time.Time, d Decision, n *topology.Node, mem Memory) string {
	p, a := snap.Node(d.Upstream), &n.Agent
	switch {
	case p == nil || p == n || !fresh(p.SQL.Source, pol, now) || p.SQL.InRecovery:
		return "no primary"
	case !d.Request.Upstream.History.Known() || d.Request.Upstream.History.TLI != p.SQL.Timeline:
		return "the primary's history is unknown"
	case !fresh(a.Source, pol, now):
		return "its agent's facts are unknown"
	case a.Run != nil && !a.Run.Outcome.Ended():
		return "a run is in progress"
	case fresh(n.SQL.Source, pol, now) && !n.SQL.InRecovery:
		return "the node accepts writes"
	case a.Control != nil && a.Control.SystemID != p.SQL.SystemID:
		return "other system identifier"
	case pol.Methods[d.Method] == Never:
		return "forbidden"
	case pol.Methods[d.Method] == Ask && !asked(mem, n.ID):
		return "without consent"
	}
	data := a.Dir == topology.DirPresent || a.Dir == topology.DirInRepair
	known := fresh(n.Lineage.Source, pol, now) && n.Lineage.Primary == p.ID
	damaged := a.Run != nil && a.Run.Damaged
	if !d.Method.Destructive() {
		if !known || n.Lineage.Verdict != topology.LineageOnLine || !data || damaged {
			return "a node that is not proven to be on the primary's line"
		}
		return ""
	}
	if snap.Pools[0].Primary != p.ID {
		return "Pgpool-II does not agree on the primary (P2)"
	}
	for i := range snap.Pools {
		if v := snap.Pools[i].Node(n.ID); v != nil && fresh(snap.Pools[i].Source, pol, now) && v.Attached() {
			return "it is attached"
		}
	}
	usable := data && !damaged && a.Control != nil
	proven := ahead(mem, n, p) || known && (n.Lineage.Verdict != topology.LineageUnknown || n.Lineage.StreamGap &&
		a.StandbySignal)
	switch {
	case usable && !proven && !(n.SQL.InRecovery && n.Lineage.StreamGap):
		return "overwrites data whose line is unknown (P2)"
	case a.Dir == topology.DirForeign || a.Dir == topology.DirUnknown:
		return "overwrites something unknown"
	case d.Method == topology.MethodRewind && (n.Lineage.SameTimeline || !n.Lineage.RewindWAL || !a.Control.Checksums &&
		!a.Control.WALLogHints || damaged):
		return "pg_rewind cannot do it"
	case d.Method == topology.MethodBaseBackup && p.Agent.Tablespaces == 0 &&
		a.FreeBytes < p.SQL.DatabaseBytes+pol.SpaceHeadroom:
		return "no space"
	}
	return ""
}

// ahead says that the node has been seen past the primary's position, which the
// primary had not reached by an answer asked for well after.
func ahead(mem Memory, n, p *topology.Node) bool {
	for _, m := range mem.Nodes {
		if m.Node == n.ID && m.AheadLSN != 0 {
			return n.SQL.InRecovery && m.AheadTLI == p.SQL.Timeline && p.SQL.Current < m.AheadLSN &&
				p.SQL.At.Sub(m.AheadAt) >= 5*time.Second
		}
	}
	return false
}

// deepCopy is by JSON, except for what JSON leaves out; there is none of it in
// the inputs.
func deepCopy[T any](t testing.TB, v T) T {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		mem, snap, pol := anyWorld(rt)
		memBefore, snapBefore := deepCopy(t, mem), deepCopy(t, snap)
		mem, snap = deepCopy(t, mem), deepCopy(t, snap) // nil and empty slices alike on both sides
		now := start
		for range 4 {
			out, ds := Step(mem, snap, pol, now)
			out2, ds2 := Step(mem, snap, pol, now)
			if !reflect.DeepEqual(out, out2) || !reflect.DeepEqual(ds, ds2) {
				rt.Fatalf("same input, other output")
			}
			if !reflect.DeepEqual(mem, memBefore) || !reflect.DeepEqual(snap, snapBefore) {
				rt.Fatalf("Step changed its inputs")
			}
			if why := breach(mem, snap, pol, now, out, ds); why != "" {
				rt.Fatalf("%s\n%s", why, dump(mem, snap, ds))
			}
			var taken []Decision
			for _, d := range ds {
				if rapid.Bool().Draw(rt, "taken") {
					taken = append(taken, d)
				}
			}
			outBefore := deepCopy(t, out)
			next := Advance(out, taken, pol, now)
			if out = deepCopy(t, out); !reflect.DeepEqual(out, outBefore) {
				rt.Fatalf("Advance changed its input")
			}
			mem, memBefore = deepCopy(t, next), deepCopy(t, next)
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(rt, "wait")) * time.Millisecond)
		}
	})
}

func dump(mem Memory, snap topology.Snapshot, ds []Decision) string {
	b, _ := json.MarshalIndent(map[string]any{"mem": mem, "snap": snap, "decisions": ds}, "", " ")
	return string(b)
}

// TestStable re-runs the planner on one unchanging world. What was carried out is
// not asked for again at once; what was not is proposed again, unchanged.
func TestStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		mem, snap, pol := anyWorld(rt)
		mem, first := Step(mem, snap, pol, start)
		taken := rapid.Bool().Draw(rt, "taken")
		if taken {
			mem = Advance(mem, first, pol, start)
		}
		_, second := Step(mem, snap, pol, start)
		for i := range first {
			a, b := first[i], second[i]
			same := a.Action == b.Action && a.Code == b.Code && a.Method == b.Method
			asked := taken && a.Action != None && a.Action != Wait && (b.Action == Wait || b.Severity == codes.Refused)
			learned := a.Code == codes.PrimaryStale || b.Code == codes.PrimaryStale || a.Code == codes.PrimaryContested ||
				a.Code == codes.PoolBlind
			if !same && !asked && !learned {
				rt.Fatalf("node %s: first %s, then %s\n%s", a.Node, short(a), short(b), dump(mem, snap, second))
			}
		}
	})
}
