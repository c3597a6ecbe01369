// Package dashboard builds the Grafana dashboard that the package ships,
// packaging/grafana/repool.json, with Grafana's own builders, so that its shape
// is Grafana's by construction.
//
// What is shown stands in rows.go: the pool first, then one node, then one
// resync. Build makes the dashboard of it. The program does not import this
// package; a test writes the file (-update) and holds it to what Build gives.
package dashboard
