package view

import (
	"fmt"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
)

// Decision is what the planner decided about one node, in words.
type Decision struct {
	plan.Decision
	Tone Tone
	// Doing is the code and, where something is done, what: "diverged → rewind"; of a
	// node that is well, what repool warns of: "healthy, agent-unreachable".
	Doing string
	// Verdict is only what is done: "rewind", "wait", "nothing to do", "left alone".
	Verdict  string
	Estimate string // what the method would cost; empty: unknown, or nothing
}

// DecisionOf words a decision.
func DecisionOf(d plan.Decision) Decision {
	out := Decision{Decision: d, Tone: toneOf(d.Severity, d.Code), Doing: string(d.Code), Verdict: string(d.Action),
		Estimate: estimate(d.Estimate)}
	action := ""
	switch {
	case d.Method != "" && d.Severity != codes.Refused:
		action = string(d.Method)
	case d.Action != plan.None && d.Action != plan.Wait && d.Action != "":
		action = string(d.Action)
	}
	if action != "" && action != out.Doing {
		out.Doing += " → " + action
	}
	if d.Warning != "" {
		out.Doing += ", " + string(d.Warning)
	}
	switch {
	case d.Action == plan.Resync:
		out.Verdict = string(d.Method)
	case d.Action != plan.None && d.Action != "":
	case d.Severity == codes.Refused:
		out.Verdict = "left alone"
	default:
		out.Verdict = "nothing to do"
	}
	return out
}

// toneOf is how much a decision matters; a hold is an operator's wish.
func toneOf(s codes.Severity, code codes.Code) Tone {
	switch {
	case s == codes.OK:
		return Good
	case s == codes.Work:
		return Busy
	case code == codes.OnHold:
		return Quiet
	}
	return Bad
}

// estimate is empty where nothing is known of the cost.
func estimate(e plan.Estimate) string {
	if e.Bytes == 0 && e.Seconds == 0 {
		return ""
	}
	text := fmt.Sprintf("%s to copy, about %s", humanize.IBytes(e.Bytes), seconds(e.Seconds))
	if e.Basis != "" {
		text += " (" + e.Basis + ")"
	}
	return text
}
