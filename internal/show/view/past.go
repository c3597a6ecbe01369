package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/history"
)

// Event is one line of the timeline.
type Event struct {
	ID      int64
	At      time.Time
	Node    topology.NodeID
	Kind    string
	Code    string
	Label   string // kind and code, as short as they are clear
	Text    string // one line
	Run     string // there is a story to it
	Tone    Tone
	Subject string // "node 1" or "pool"
}

// Vault is one entry of lost WAL.
type Vault struct {
	topology.VaultEntry
	Size string
	Run  string
}

// Alarm is something that a person should know.
type Alarm struct {
	Tone  Tone
	Title string
	Text  string
	Do    string // what can be done
	At    time.Time
	Node  topology.NodeID
}

const (
	// vaultAlarm is how long lost commits are an alarm; their vault entry stays.
	vaultAlarm = 7 * 24 * time.Hour
	maxVault   = 20
)

// together is how close events of the same text are that are one to a reader.
const together = time.Second

func eventsOf(in []history.Event) []Event {
	out := make([]Event, 0, len(in))
	for _, e := range slices.Backward(in) {
		if n := len(out) - 1; n >= 0 && e.Run == "" && out[n].Run == "" && e.Node >= 0 && out[n].Node >= 0 && out[n].Kind == e.Kind && out[n].Code == e.Code &&
			out[n].Text == firstLine(e.Text) && out[n].At.Sub(e.At) < together {
			out[n].Subject = "nodes " + e.Node.String() + ", " + strings.TrimPrefix(strings.TrimPrefix(out[n].Subject, "nodes "), "node ")
			continue
		}
		ev := Event{ID: e.ID, At: e.At, Node: e.Node, Kind: e.Kind, Code: e.Code, Text: firstLine(e.Text), Run: e.Run, Tone: toneOf(e), Subject: "pool"}
		if e.Node >= 0 {
			ev.Subject = "node " + e.Node.String()
		}
		if ev.Label = e.Code; slices.Contains([]string{"run", "attach", "detach", "fence", "hook"}, e.Kind) && !strings.HasPrefix(e.Code, e.Kind) {
			ev.Label = e.Kind + " " + e.Code
		}
		out = append(out, ev)
	}
	return out
}

func toneOf(e history.Event) Tone {
	switch {
	case e.Code == history.CodeSetAside, strings.HasSuffix(e.Code, "-refused"), strings.HasSuffix(e.Code, "-failed"),
		slices.Contains([]string{"failed", "interrupted", "not-started", "no-clearance"}, e.Code):
		return Bad
	case e.Kind == "decision":
		info, known := plan.Explain(plan.Code(e.Code))
		switch {
		case !known || e.Code == string(plan.CodeOnHold):
			return Quiet
		case info.Severity == plan.OK:
			return Good
		case info.Severity == plan.Work:
			return Busy
		}
		return Bad
	case e.Code == string(topology.RunDone):
		return Good
	case e.Kind == "run", e.Kind == "attach", e.Kind == "detach", e.Kind == "fence":
		return Busy
	}
	return Quiet
}

// vaultOf finds the vault's entries in runs: those under way, and the ends of
// those before.
func vaultOf(snap *topology.Snapshot, runs []history.Event) []Vault {
	var out []Vault
	seen := map[string]bool{}
	add := func(r topology.RunState) {
		if r.Vault == nil || r.Vault.ID == "" || seen[r.Vault.ID] || len(out) == maxVault {
			return
		}
		seen[r.Vault.ID] = true
		out = append(out, Vault{VaultEntry: *r.Vault, Size: humanize.IBytes(r.Vault.Bytes), Run: r.ID})
	}
	for i := range snap.Nodes {
		if r := snap.Nodes[i].Agent.Run; r != nil {
			add(*r)
		}
	}
	for _, e := range slices.Backward(runs) {
		if r, ended := EndOf(e); ended {
			add(r)
		}
	}
	slices.SortStableFunc(out, func(a, b Vault) int { return b.Made.Compare(a.Made) })
	return out
}

// alarms are in the order of how much they matter.
func (v *View) alarms(past Past, now time.Time) {
	for i := range v.Pools {
		if p := &v.Pools[i]; p.Tone == Bad {
			v.Alarms = append(v.Alarms, Alarm{Tone: Bad, Title: "Pgpool-II " + p.Endpoint + " does not answer", Text: strings.TrimPrefix(p.State, "does not answer: "), At: v.At, Node: topology.NoNode,
				Do: "look at Pgpool-II's log and at pcp_port and .pcppass: repool check"})
		}
	}
	for i := range v.Work {
		w := &v.Work[i]
		if w.Tone != Bad {
			continue
		}
		a := Alarm{Tone: Bad, Title: fmt.Sprintf("%s: %s", w.Subject, w.Decision.Code), Text: w.Decision.Reason, Do: w.Decision.Hint, At: v.At, Node: w.ID}
		if w.Parked {
			a.Title, a.At = w.Subject+" is parked", w.ParkedAt
		}
		v.Alarms = append(v.Alarms, a)
	}
	for _, e := range v.Vault {
		if e.Commits > 0 && now.Sub(e.Made) < vaultAlarm {
			v.Alarms = append(v.Alarms, Alarm{Tone: Bad, Title: fmt.Sprintf("%s lost, kept in the vault of node %s", count(e.Commits, "commit"), e.Node),
				Text: fmt.Sprintf("They were acknowledged on node %s past %s on timeline %s, and reached no other node.", e.Node, e.Diverged, e.TLI),
				Do:   fmt.Sprintf("repool vault report %s %s", e.Node, e.ID), At: e.Made, Node: e.Node})
		}
	}
	for _, e := range past.Events {
		if e.Code == history.CodeSetAside && now.Sub(e.At) < vaultAlarm {
			v.Alarms = append(v.Alarms, Alarm{Tone: Bad, Title: "The history was set aside", Text: e.Text, At: e.At, Node: topology.NoNode,
				Do: "look at the disk; repool status shows which holds stand"})
		}
	}
	if past.Err != "" {
		v.Alarms = append(v.Alarms, Alarm{Tone: Bad, Title: "The history cannot be read", Text: past.Err, At: v.At, Node: topology.NoNode})
	}
	holds := []*plan.Hold{v.Held}
	for i := range v.Nodes {
		holds = append(holds, v.Nodes[i].Hold)
	}
	for _, h := range holds {
		if h != nil {
			v.Alarms = append(v.Alarms, holdAlarm(*h))
		}
	}
	if v.Why != "" && v.Looked && !(len(v.Pools) > 0 && v.Pools[0].Tone == Bad) {
		v.Alarms = append(v.Alarms, Alarm{Tone: Quiet, Title: "This controller only looks", Text: v.Why, At: v.At, Node: topology.NoNode})
	}
}

func holdAlarm(h plan.Hold) Alarm {
	a := Alarm{Tone: Quiet, Title: "Node " + h.Node.String() + " is on hold", Text: "held by " + orWord(h.Who, "somebody"), At: h.Since, Node: h.Node, Do: "repool release " + h.Node.String()}
	if h.Node == topology.NoNode {
		a.Title, a.Do = "The whole pool is on hold", "repool release all"
	}
	if h.Why != "" {
		a.Text += ": " + h.Why
	}
	if h.Until.IsZero() {
		a.Text += "; until released"
	} else {
		a.Text += "; until " + h.Until.UTC().Format("2006-01-02 15:04 UTC")
	}
	return a
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
