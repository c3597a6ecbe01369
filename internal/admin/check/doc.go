// Package check finds what would stop a resync before one is needed.
//
// Gather collects Facts: pgpool.conf, PCP, every node over SQL and over the
// replication protocol, data directories on this machine, repool's own files. It
// does so in parallel, with deadlines, and changes nothing. Table lists the checks;
// each is a small pure function over Facts. Run applies them all and returns a
// Report of Findings: a stable id, the severity, the subject, what was found, why it
// matters and the exact remedy.
//
// The rule for a check: an unknown fact never counts as fine. The check warns about
// it, or leaves that to the check whose subject the fact is (a node that does not
// answer is reported once).
package check
