package view

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// Story is one failure of one node, from its first sign to the node's attach.
type Story struct {
	Node topology.NodeID `json:"node"`
	// From is the first sign; To is when the node was proven healthy again, zero
	// while it is not.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Ending is how it ended: healed, parked, or in progress.
	Ending  string                `json:"ending"`
	Tone    Tone                  `json:"-"`
	Summary string                `json:"summary"`
	Runs    []topology.RunState   `json:"runs"`
	Bytes   uint64                `json:"bytes"`
	Vaults  []topology.VaultEntry `json:"vaults"`
	Lost    int                   `json:"lost_commits"`
	Parts   []Part                `json:"parts"`
}

// Part is one thing that happened in a Story.
type Part struct {
	At       time.Time        `json:"at"`
	Node     topology.NodeID  `json:"node"`
	Kind     string           `json:"kind"`
	Code     string           `json:"code"`
	Text     string           `json:"text"`
	Run      string           `json:"run,omitempty"`
	Evidence []string         `json:"evidence,omitempty"`
	Rejected []plan.Rejection `json:"rejected,omitempty"`
	Estimate string           `json:"estimate,omitempty"`
	Steps    []Step           `json:"steps,omitempty"`
	Tone     Tone             `json:"-"`
	Subject  string           `json:"-"` // "node 1" or "pool"
	After    string           `json:"-"` // how long after the first sign
}

// ErrNoSuchRun is for a run that the events do not have.
type ErrNoSuchRun struct{ Run string }

func (e ErrNoSuchRun) Error() string { return fmt.Sprintf("the history has no run %q", e.Run) }

// calm is the decision that a node is healthy.
func calm(e event.Event) bool {
	if e.Kind != "decision" {
		return false
	}
	return e.Code == string(codes.Healthy) || e.Code == string(codes.Primary)
}

// Find reads the events that Tell needs, by list, and tells the story of run.
func Find(run string, list func(event.Filter) ([]event.Event, error)) (Story, error) {
	own, err := list(event.Filter{Run: run, Limit: event.MaxLimit})
	if err != nil {
		return Story{}, err
	}
	if len(own) == 0 {
		return Story{}, ErrNoSuchRun{run}
	}
	window := event.Filter{Since: own[0].At, Limit: event.MaxLimit}
	before, err := list(event.Filter{Node: &own[0].Node, Until: own[0].At, Limit: signs})
	if err != nil {
		return Story{}, err
	}
	for _, e := range slices.Backward(before) {
		if calm(e) {
			break
		}
		window.Since = e.At
	}
	for _, code := range []codes.Code{codes.Healthy, codes.Primary} {
		after, err := list(event.Filter{Node: &own[0].Node, Kind: "decision", Code: string(code), Since: own[0].At,
			Limit: event.MaxLimit})
		if err != nil {
			return Story{}, err
		}
		if len(after) > 0 && (window.Until.IsZero() || after[0].At.Before(window.Until)) {
			window.Until = after[0].At.Add(time.Microsecond)
		}
	}
	events, err := list(window)
	if err != nil {
		return Story{}, err
	}
	return Tell(events, run)
}

// signs is how many events of the node before a run are searched for the first
// sign of its failure.
const signs = 500

// Tell tells the failure that a run belongs to. events are the whole pool's,
// oldest first, from well before the run to well after it.
func Tell(events []event.Event, run string) (Story, error) {
	at := slices.IndexFunc(events, func(e event.Event) bool { return e.Run == run })
	if at < 0 {
		return Story{}, ErrNoSuchRun{run}
	}
	node := events[at].Node
	first, last := at, len(events)-1
	for i := at; i >= 0; i-- {
		e := events[i]
		if e.Node != node {
			continue
		}
		if calm(e) {
			break
		}
		first = i
	}
	s := Story{Node: node, From: events[first].At, Ending: "in progress", Tone: Busy}
	for i := at; i < len(events); i++ {
		if e := events[i]; e.Node == node && calm(e) {
			last, s.To, s.Ending, s.Tone = i, e.At, "healed", Good
			break
		}
	}
	for _, e := range events[first : last+1] {
		if e.Node == node || belongs(e) {
			s.add(e)
		}
	}
	if n := len(s.Parts); s.Ending != "healed" && n > 0 {
		for _, p := range slices.Backward(s.Parts) {
			if p.Node == node && p.Kind == "decision" {
				if p.Code == string(codes.Parked) || p.Code == string(codes.Flapping) {
					s.Ending, s.Tone = "parked", Bad
				}
				break
			}
		}
	}
	s.sum()
	return s, nil
}

// belongs says that an event of another node, or of the pool, is part of every
// story: who became the primary, fences, hooks, the controller itself.
func belongs(e event.Event) bool {
	switch e.Kind {
	case "fence", "hook", "controller":
		return true
	case "hold", "release":
		return e.Node == topology.NoNode
	case "decision":
		return e.Code == string(codes.Primary) || e.Code == string(codes.NoPrimary) ||
			e.Code == string(codes.FailoverRunning)
	}
	return false
}

// EndOf is the run whose end an event tells.
func EndOf(e event.Event) (r topology.RunState, ok bool) {
	if e.Kind != "run" || json.Unmarshal(e.Data, &r) != nil || r.ID == "" || r.Outcome == "" || !r.Outcome.Ended() {
		return topology.RunState{}, false
	}
	return r, true
}

func (s *Story) add(e event.Event) {
	p := Part{At: e.At, Node: e.Node, Kind: e.Kind, Code: e.Code, Text: strings.TrimSpace(e.Text), Run: e.Run,
		Tone: eventTone(e), Subject: subjectOf(e.Node)}
	if r, ended := EndOf(e); ended {
		p.Run, p.Steps = r.ID, RunOf(r, e.At).Steps
		s.Runs = append(s.Runs, r)
		s.Bytes += r.BytesDone
		if r.Vault != nil && r.Vault.ID != "" &&
			!slices.ContainsFunc(s.Vaults, func(v topology.VaultEntry) bool { return v.ID == r.Vault.ID }) {
			s.Vaults = append(s.Vaults, *r.Vault)
			s.Lost += r.Vault.Commits
		}
	}
	var d plan.Decision
	if e.Kind == "decision" && json.Unmarshal(e.Data, &d) == nil {
		p.Rejected = d.Rejected
		for _, e := range d.Evidence {
			if !slices.Contains(p.Evidence, e) {
				p.Evidence = append(p.Evidence, e)
			}
		}
		p.Estimate = estimate(d.Estimate)
	}
	p.After = "+" + Took(e.At.Sub(s.From))
	s.Parts = append(s.Parts, p)
}

func (s *Story) sum() {
	var parts []string
	switch s.Ending {
	case "healed":
		parts = append(parts, fmt.Sprintf("node %s was out for %s and is healthy again", s.Node, Took(s.To.Sub(s.From))))
	case "parked":
		parts = append(parts, fmt.Sprintf("node %s is parked", s.Node))
	default:
		parts = append(parts, fmt.Sprintf("node %s is not healthy yet", s.Node))
	}
	var methods []string
	for _, r := range s.Runs {
		methods = append(methods, fmt.Sprintf("%s %s", r.Method, r.Outcome))
	}
	if len(methods) > 0 {
		parts = append(parts, count(len(s.Runs), "run")+" ("+strings.Join(methods, ", ")+")")
	}
	if s.Bytes > 0 {
		parts = append(parts, humanize.IBytes(s.Bytes)+" moved")
	}
	switch {
	case s.Lost > 0:
		parts = append(parts, count(s.Lost, "lost commit")+" in the vault")
	case len(s.Runs) > 0 && s.Ending == "healed":
		parts = append(parts, "no lost commit found")
	}
	for _, v := range s.Vaults {
		if !v.Complete {
			parts = append(parts, "the vault's report is incomplete: "+orWord(firstLine(v.Missing), "no reason given"))
		}
	}
	s.Summary = strings.Join(parts, "; ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
