package check

import (
	"cmp"
	"slices"
)

// Severity says how bad a finding is.
type Severity string

// The severities. A problem stops a resync or makes Pgpool-II work against it; a
// warning slows one down, or matters only in some failures.
const (
	Problem Severity = "problem"
	Warning Severity = "warning"
	OK      Severity = "ok"
)

// rank sorts the worst first.
func (s Severity) rank() int { return slices.Index([]Severity{Problem, Warning, OK}, s) }

// Finding is one result of one check.
type Finding struct {
	// ID is that of the check, and stable from release to release.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Subject is "node N", "pgpool", "controller" or "files".
	Subject string `json:"subject"`
	// At is file:line, where the finding is about a line.
	At    string `json:"at,omitempty"`
	Found string `json:"found"`
	// Why says in one sentence what goes wrong otherwise.
	Why string `json:"why"`
	// Remedy is a command, an SQL statement or a configuration line; empty for OK.
	Remedy string `json:"remedy,omitempty"`
}

// Report is what one run of all checks found, the worst first.
type Report struct {
	Findings []Finding `json:"findings"`
	Problems int       `json:"problems"`
	Warnings int       `json:"warnings"`
}

// Check is one entry of Table.
type Check struct {
	// ID is lower case with hyphens.
	ID string
	// What says in a few words what is looked at.
	What string
	// Why is one sentence, the same for all findings of the check.
	Why  string
	look func(*Facts, *results)
}

// results collects the findings of one check.
type results struct {
	check Check
	list  []Finding
}

func (r *results) add(s Severity, f Finding) {
	f.ID, f.Why, f.Severity = r.check.ID, r.check.Why, s
	r.list = append(r.list, f)
}

func (r *results) problem(f Finding) { r.add(Problem, f) }
func (r *results) warn(f Finding)    { r.add(Warning, f) }
func (r *results) ok(subject, found string) {
	r.add(OK, Finding{Subject: subject, Found: found})
}

// Table lists all checks, in the order in which a person would do them.
func Table() []Check {
	return slices.Concat(poolChecks, hookChecks, pcpChecks, nodeChecks, roleChecks, walChecks, archiveChecks,
		dataChecks, fileChecks)
}

// Run applies every check to the facts.
func Run(f *Facts) Report {
	var rep Report
	for _, c := range Table() {
		rep.Findings = append(rep.Findings, c.run(f)...)
	}
	slices.SortStableFunc(rep.Findings, func(a, b Finding) int {
		return cmp.Compare(a.Severity.rank(),
			b.Severity.rank())
	})
	for _, f := range rep.Findings {
		switch f.Severity {
		case Problem:
			rep.Problems++
		case Warning:
			rep.Warnings++
		}
	}
	return rep
}

func (c Check) run(f *Facts) []Finding {
	r := results{check: c}
	c.look(f, &r)
	return r.list
}
