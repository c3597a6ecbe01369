package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

const (
	// settle is how long an attached node may be without its stream, or not answer,
	// before it counts as lost: one question may time out on a busy host. A node that
	// Pgpool-II has detached is lost at once.
	settle = 10 * time.Second
	// vaultsKept bounds how many vault entries are remembered as told.
	vaultsKept = 200
)

// told is what has been told. It survives restarts.
type told struct {
	Missing []topology.NodeID             `json:"missing,omitempty"`
	Since   time.Time                     `json:"since,omitzero"` // when the pool became short
	Parked  map[topology.NodeID]time.Time `json:"parked,omitempty"`
	// Unresponsive: it was told that Pgpool-II ignores requests.
	Unresponsive bool     `json:"unresponsive,omitempty"`
	Vaults       []string `json:"vaults,omitempty"`
}

// watch compares the world with what was told.
type watch struct {
	told  told
	short map[topology.NodeID]time.Time // since when a node has been missing, told or not
}

// status finds the news in a published status. A controller that is not acting
// tells nothing: the one that acts does.
func (w *watch) status(st *control.Status) []Event {
	if !st.Acting {
		return nil
	}
	events := w.redundancy(st)
	events = append(events, w.parked(st)...)
	events = append(events, w.unresponsive(st)...)
	for i := range st.Snapshot.Nodes {
		if a := &st.Snapshot.Nodes[i].Agent; a.OK() && a.Run != nil {
			events = append(events, w.run(a.Run)...)
		}
	}
	return events
}

func (w *watch) redundancy(st *control.Status) []Event {
	missing, known := st.Snapshot.Missing()
	if !known {
		return nil
	}
	short := map[topology.NodeID]time.Time{}
	var lost []topology.NodeID
	for _, n := range missing {
		since, before := w.short[n]
		if !before {
			since = st.At
		}
		short[n] = since
		if st.Snapshot.Detached(n) || st.At.Sub(since) >= settle {
			lost = append(lost, n)
		}
	}
	w.short = short
	t := &w.told
	if len(missing) == 0 && len(t.Missing) > 0 {
		e := Event{Kind: RedundancyRestored, At: st.At, Nodes: t.Missing,
			Text: fmt.Sprintf("All nodes are back after %s", st.At.Sub(t.Since).Round(time.Second))}
		t.Missing, t.Since = nil, time.Time{}
		return []Event{e}
	}
	before := t.Missing
	// A node that is back is forgotten: if it is lost again, that is news.
	t.Missing = slices.DeleteFunc(slices.Clone(missing), func(n topology.NodeID) bool {
		return !slices.Contains(lost, n) && !slices.Contains(before, n)
	})
	fresh := slices.IndexFunc(lost, func(n topology.NodeID) bool { return !slices.Contains(before, n) })
	if fresh < 0 {
		return nil
	}
	if len(before) == 0 {
		t.Since = st.At
	}
	return []Event{{Kind: RedundancyLost, At: st.At, Nodes: t.Missing, Code: codeOf(st, lost[fresh]),
		Text: fmt.Sprintf("The pool has lost %s: %s", nodes(t.Missing), reasonOf(st, lost[fresh]))}}
}

func (w *watch) parked(st *control.Status) (events []Event) {
	now := map[topology.NodeID]time.Time{}
	for _, m := range st.Memory.Nodes {
		if m.Parked == "" {
			continue
		}
		now[m.Node] = m.ParkedAt
		if at, before := w.told.Parked[m.Node]; before && at.Equal(m.ParkedAt) {
			continue
		}
		info, _ := codes.Explain(m.Parked)
		events = append(events, Event{Kind: NodeParked, At: st.At, Nodes: []topology.NodeID{m.Node}, Code: string(m.Parked),
			Text: fmt.Sprintf("repool has given up on node %d: %s", m.Node, m.ParkedWhy),
			Hint: strings.ReplaceAll(info.Do, "NODE", m.Node.String())})
	}
	w.told.Parked = now
	return events
}

// unresponsive tells that Pgpool-II ignores requests, once until it executes one again.
func (w *watch) unresponsive(st *control.Status) []Event {
	i := slices.IndexFunc(st.Decisions, func(d plan.Decision) bool { return d.Code == codes.PoolUnresponsive })
	before := w.told.Unresponsive
	w.told.Unresponsive = i >= 0
	if i < 0 || before {
		return nil
	}
	d := st.Decisions[i]
	return []Event{{Kind: PgpoolUnresponsive, At: st.At, Nodes: []topology.NodeID{d.Node}, Code: string(d.Code),
		Text: d.Reason,
		Hint: d.Hint}}
}

// run tells of a run's vault entry, once.
func (w *watch) run(r *topology.RunState) []Event {
	v := r.Vault
	if v == nil || v.ID == "" || v.Commits == 0 && v.Missing == "" || slices.Contains(w.told.Vaults, v.ID) {
		return nil
	}
	w.told.Vaults = append(w.told.Vaults, v.ID)
	if n := len(w.told.Vaults) - vaultsKept; n > 0 {
		w.told.Vaults = slices.Delete(w.told.Vaults, 0, n)
	}
	entry := *v
	text := fmt.Sprintf("The pool has lost %d commits of node %d; they are kept in %s", v.Commits, v.Node, v.Path)
	if v.Missing != "" {
		text += "; the report is incomplete: " + v.Missing
	}
	return []Event{{Kind: LostCommitsVaulted, At: time.Now(), Nodes: []topology.NodeID{v.Node}, Run: r.ID,
		Code: "diverged", Text: text,
		Hint: fmt.Sprintf("repool vault report %d %s", v.Node, v.ID), Vault: &entry}}
}

func decisionOn(st *control.Status, n topology.NodeID) (d plan.Decision) {
	for _, d := range st.Decisions {
		if d.Node == n {
			return d
		}
	}
	return d
}

func codeOf(st *control.Status, n topology.NodeID) string { return string(decisionOn(st, n).Code) }

func reasonOf(st *control.Status, n topology.NodeID) string {
	if d := decisionOn(st, n); d.Reason != "" {
		return d.Reason
	}
	return "Pgpool-II has detached it"
}

// nodes is a list for a sentence, such as "node 1" or "nodes 1 and 2".
func nodes(list []topology.NodeID) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = n.String()
	}
	if len(words) == 1 {
		return "node " + words[0]
	}
	last := len(words) - 1
	return "nodes " + strings.Join(words[:last], ", ") + " and " + words[last]
}
