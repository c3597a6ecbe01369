// Package chaos is the part of `make test` that breaks real pools at random
// (package lab/chaos) and accounts for every acknowledged row: one pool
// with asynchronous replication and one with synchronous, side by side, since
// two pools keep two processors busy and one waits most of the time.
//
// The seeds are fixed. A run that fails on a change must fail again on the same
// change, and must not fail on one that has nothing to do with it; what a new
// seed finds is looked for by `make chaos`, which draws one each time, or here
// with -seeds.
package chaos
