package metrics

import (
	"fmt"
	"strings"
)

// Table is docs/metrics.md.
func Table() string {
	var b strings.Builder
	b.WriteString(`# Metrics

` + "`repool serve`" + ` answers ` + "`/metrics`" + ` at the address that ` + "`controller.listen`" + ` gives (none by
default), in Prometheus' text format or OpenMetrics. Pgpool-II needs no other exporter: what
it reports over PCP is here too. A scrape asks no node: it returns what the newest pass saw,
so it is as fast when nodes are dead. A source that did not answer has no series: see
` + "`repool_pgpool_up`" + ` and ` + "`repool_node_source_up`" + `.

The one PCP command that is not used is node info: Pgpool-II connects to the node to answer
it, and up to 4.4 no failover can start meanwhile. Weight and delay come from pool status,
PostgreSQL's state from repool's own connections.

This page is generated (` + "`go test ./internal/show/metrics -run Table -update`" + `). The usual
` + "`process_*` and `go_*`" + ` metrics are exported as well.

| metric | kind | labels | meaning |
|---|---|---|---|
`)
	for _, f := range New(nil).families.all {
		labels := strings.Join(f.labels, ", ")
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, labels, f.help)
	}
	return b.String()
}
