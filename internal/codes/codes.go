// Package codes is the one description of every code: the stable name of a situation, a refusal or a failure.
//
// A code has a constant, a severity, a meaning and a remedy. It appears with the same spelling in status, plan, log,
// history, page, metric labels, notifications and traces, and docs/runbook.md has an entry under its name, which a test
// holds. The planner, the engine on the node, the controller and the history take their codes from here. The hook's own
// results are described in package hook and in docs/exit-codes.md.
//
// A code keeps its name and meaning from release to release: scripts and alerts depend on both.
package codes

import (
	"slices"
	"strings"
)

// Code names a situation, a refusal or a failure. The zero value means that there is none.
type Code string

// Severity tells a person how much a decision matters.
type Severity string

// The severities.
const (
	// OK needs nobody.
	OK Severity = "ok"
	// Work is in progress or ends by itself.
	Work Severity = "work"
	// Refused needs a person, or a change that repool does not make.
	Refused Severity = "refused"
)

// Info describes one code.
type Info struct {
	Code Code `json:"code"`
	// Severity is that of a decision or failure with this code, unless it says otherwise.
	Severity Severity `json:"severity"`
	// Means is one sentence without its full stop.
	Means string `json:"means"`
	// Do is what a person can do, with NODE for the node's id; empty if nobody needs to do anything.
	Do string `json:"do,omitempty"`
}

// Hint is Do for one node, ready to be pasted.
func (i Info) Hint(node string) string { return strings.ReplaceAll(i.Do, "NODE", node) }

// Decisions lists every code that a decision or a parked node can have, sorted by name.
func Decisions() []Info { return sorted(pool, primary, node, refusals, runs) }

// All lists every code, sorted by name.
func All() []Info { return sorted(Decisions(), requests, records) }

func sorted(tables ...[]Info) []Info {
	out := slices.Concat(tables...)
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(string(a.Code), string(b.Code)) })
	return out
}

var byCode = func() map[Code]Info {
	m := map[Code]Info{}
	for _, i := range All() {
		m[i.Code] = i
	}
	return m
}()

// Explain describes one code. ok is false for a code that does not exist; its severity is then Refused.
func Explain(c Code) (info Info, ok bool) {
	if info, ok = byCode[c]; ok {
		return info, true
	}
	return Info{Code: c, Severity: Refused, Means: "an unknown code"}, false
}
