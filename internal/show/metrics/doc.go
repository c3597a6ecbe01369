// Package metrics turns what the controller publishes into Prometheus' metrics.
//
// Metrics is an audience of the controller: it keeps the newest published status
// and counts what happens. A scrape is answered from that alone, without asking a
// node or a Pgpool-II, so it takes the same few milliseconds whether the pool is
// healthy or half of it is dead.
//
// Each group of metrics has a file, with the table of its families beside the code
// that fills them. docs/metrics.md is generated from the same tables (Table), and a
// test checks it. Label values are bounded: nodes, codes, methods, steps, states;
// never run ids, never texts.
package metrics
