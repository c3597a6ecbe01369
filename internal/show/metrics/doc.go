// Package metrics turns what the controller publishes into Prometheus' metrics.
//
// Metrics is an audience of the controller: it keeps the newest published status
// and counts what happens. A scrape is answered from that alone. It asks no
// node and no Pgpool-II, and so it takes the same few milliseconds whether the
// pool is well or half of it is dead.
//
// Each group of metrics stands in a file of its own, with the table of its
// families beside the code that fills them. docs/metrics.md is made of the same
// tables (Table), and a test holds it to them. Labels take their values from
// what is bounded: nodes, codes, methods, steps, states; never run ids, never
// texts.
package metrics
