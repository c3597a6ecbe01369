// Package plan decides. It is pure: Step takes what was remembered, one
// snapshot, the policy and the time, and returns what to remember and one
// decision for each node, plus at most one for the pool as a whole.
//
// No clock, no I/O, no goroutine, no logger, no order of a map. A refusal is a
// Decision too, with a stable Code that status, log, metric and page share.
// Each situation is one entry of the table in rules.go, with its code, its
// description and its match, tested by name.
//
// The rule a caller must keep: act only on a Decision of the newest Step, and
// confirm the primary again right before anything is overwritten (P2).
package plan
