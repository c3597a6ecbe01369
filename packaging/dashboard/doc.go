// Package dashboard builds the Grafana dashboard that the package ships,
// packaging/grafana/repool.json, with Grafana's own builders, so that its shape
// is Grafana's by construction.
//
// rows.go says what is shown: the pool, one node, one resync. Build makes the
// dashboard of it. The program does not import this package; a test writes the file
// (-update) and checks that it is what Build gives.
package dashboard
