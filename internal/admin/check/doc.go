// Package check finds what would stop a resync before one is needed.
//
// Gather collects Facts: pgpool.conf, PCP, every node over SQL and over the
// replication protocol, data directories on this machine, files of repool's
// own. All of it at once, with deadlines, and nothing is changed. Table lists
// the checks; each is a small pure function over Facts. Run applies them all
// and returns a Report of Findings: a stable id, the severity, the subject,
// what was found, why it matters and the exact remedy.
//
// The rule for a check: a fact that could not be obtained is never read as
// "fine". It says so as a warning, or leaves it to the check whose subject the
// missing fact is (a node that does not answer is reported once).
package check
