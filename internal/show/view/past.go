package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// Event is one line of the timeline.
type Event struct {
	At      time.Time
	Node    topology.NodeID
	Kind    string
	Code    string
	Label   string // kind and code, or the code alone where it says enough
	Text    string // one line
	Run     string // the run whose story it is part of, if any
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
}

const (
	// vaultAlarm is how long lost commits are an alarm; their vault entry stays.
	vaultAlarm = 7 * 24 * time.Hour
	maxVault   = 20
)

// together is how close in time equal events of several nodes are shown as one.
const together = time.Second

func eventsOf(in []event.Event) []Event {
	out := make([]Event, 0, len(in))
	for _, e := range slices.Backward(in) {
		ev := Event{At: e.At, Kind: e.Kind, Code: e.Code, Label: label(e), Text: firstLine(e.Text),
			Run: e.Run, Tone: eventTone(e), Subject: subjectOf(e.Node)}
		if n := len(out) - 1; n >= 0 && ev.sameAs(out[n]) {
			out[n].Subject = "nodes " + e.Node.String() + ", " + strings.TrimPrefix(strings.TrimPrefix(out[n].Subject, "nodes "),
				"node ")
			continue
		}
		out = append(out, ev)
	}
	return out
}

// sameAs says that a later event tells of another node what e tells of its own.
func (e *Event) sameAs(later Event) bool {
	return e.Run == "" && later.Run == "" && e.Node >= 0 && later.Node >= 0 && e.Kind == later.Kind &&
		e.Code == later.Code &&
		e.Text == later.Text && later.At.Sub(e.At) < together
}

// label is kind and code, or the code alone where it says enough.
func label(e event.Event) string {
	if slices.Contains([]string{"run", "attach", "detach", "fence", "hook"}, e.Kind) &&
		!strings.HasPrefix(e.Code, e.Kind) {
		return e.Kind + " " + e.Code
	}
	return e.Code
}

// subjectOf names whom an event is about.
func subjectOf(id topology.NodeID) string {
	if id < 0 {
		return "pool"
	}
	return "node " + id.String()
}

func eventTone(e event.Event) Tone {
	switch {
	case e.Code == string(codes.HistorySetAside), strings.HasSuffix(e.Code, "-refused"), strings.HasSuffix(e.Code,
		"-failed"),
		slices.Contains([]string{"failed", "interrupted", "not-started", "no-clearance"}, e.Code):
		return Bad
	case e.Kind == "decision":
		info, known := codes.Explain(codes.Code(e.Code))
		if !known {
			return Quiet
		}
		return toneOf(info.Severity, codes.Code(e.Code))
	case e.Code == string(topology.RunDone):
		return Good
	case e.Kind == "run", e.Kind == "attach", e.Kind == "detach", e.Kind == "fence":
		return Busy
	}
	return Quiet
}

// vaultOf finds the vault's entries in the runs under way and in those that ended.
func vaultOf(snap *topology.Snapshot, runs []event.Event) []Vault {
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
	add := func(a Alarm) { v.Alarms = append(v.Alarms, a) }
	for i := range v.Pools {
		if p := &v.Pools[i]; p.Err != "" {
			add(Alarm{Tone: Bad, Title: p.Name + " does not answer", Text: p.Err, At: v.At,
				Do: "run repool check; look at Pgpool-II's log, pcp_port and .pcppass"})
		}
	}
	if v.Failover != "" {
		add(Alarm{Tone: Bad, Title: NoFailover, Text: v.Failover, Do: FailoverHint(), At: v.At})
	}
	for i := range v.Work {
		w := &v.Work[i]
		if w.Tone != Bad {
			continue
		}
		a := Alarm{Tone: Bad, Title: fmt.Sprintf("%s: %s", w.Subject, w.Decision.Code),
			Text: w.Decision.Reason, Do: w.Decision.Hint, At: v.At}
		if w.Parked {
			a.Title, a.At = w.Subject+" is parked", w.ParkedAt
		}
		add(a)
	}
	for _, e := range v.Vault {
		if e.Commits > 0 && now.Sub(e.Made) < vaultAlarm {
			add(vaultLoss(e))
		}
	}
	for _, e := range past.Events {
		if e.Code == string(codes.HistorySetAside) && now.Sub(e.At) < vaultAlarm {
			add(Alarm{Tone: Bad, Title: "The history was set aside", Text: e.Text, At: e.At,
				Do: "check the disk; repool status shows which holds are in force"})
		}
	}
	if past.Err != "" {
		add(Alarm{Tone: Bad, Title: "The history cannot be read", Text: past.Err, At: v.At})
	}
	holds := []*plan.Hold{v.Held}
	for i := range v.Nodes {
		holds = append(holds, v.Nodes[i].Hold)
	}
	for _, h := range holds {
		if h != nil {
			add(holdAlarm(*h))
		}
	}
	if v.Why != "" && v.Looked && !(len(v.Pools) > 0 && v.Pools[0].Err != "") {
		add(Alarm{Tone: Quiet, Title: NotActing, Text: v.Why, At: v.At})
	}
}

// NotActing is said of a controller that may change nothing; View.Why is the reason.
const NotActing = "This controller is not acting"

func vaultLoss(e Vault) Alarm {
	return Alarm{Tone: Bad, At: e.Made,
		Title: fmt.Sprintf("%s, kept in the vault of node %s", count(e.Commits, "lost commit"), e.Node),
		Text: fmt.Sprintf("Acknowledged by node %s after %s on timeline %s; never reached another node.", e.Node, e.Diverged,
			e.TLI),
		Do: fmt.Sprintf("repool vault report %s %s", e.Node, e.ID)}
}

func holdAlarm(h plan.Hold) Alarm {
	a := Alarm{Tone: Quiet, Title: "Node " + h.Node.String() + " is on hold", Text: "held by " +
		orWord(h.Who, "an unnamed operator"),
		At: h.Since, Do: "repool release " + h.Node.String()}
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
