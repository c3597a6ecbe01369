// Package bench measures repool against the same work typed by hand, side by
// side in one run on one pool, so that what counts is a ratio: the machine may
// be slow or busy, both sides meet it alike.
//
// Run is the entry; Report is what `repool-lab bench --json` prints. Each measure
// names its aim, and whether it was met.
package bench
