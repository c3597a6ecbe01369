// Package upstream pins the facts about PostgreSQL and Pgpool-II that the design
// rests on: each test shows one on the real programs, and its failure says which
// fact has changed and what depends on it. None of repool's own decisions is
// under test here, so a failure is news about a new version, to be read before
// anything is changed.
//
// docs/upstream.md lists the facts, those that other packages' tests pin too.
// There is no code here but tests; harness_test.go is what they share.
package upstream
