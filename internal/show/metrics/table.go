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
default), in Prometheus' text format or OpenMetrics. No other exporter is needed for
Pgpool-II: what PCP knows is here too. A scrape asks nobody; it tells what the newest pass
saw, so it takes the same time while nodes are dead. What a source did not answer has no
series: look at ` + "`repool_pgpool_up`" + ` and ` + "`repool_node_source_up`" + `.

Pgpool-II's node info is the one PCP command that is not used: Pgpool-II connects to the
node to answer it, and up to 4.4 no failover begins meanwhile. Weight and delay come from
its pool status, and what PostgreSQL says from repool's own connections.

This page is made from the program's tables
(` + "`go test ./internal/metrics -run Table -update`" + `). Beside these, the usual ` + "`process_*`" + ` and
` + "`go_*`" + ` metrics are there.

| metric | kind | labels | meaning |
|---|---|---|---|
`)
	for _, f := range New(nil).families.all {
		labels := strings.Join(f.labels, ", ")
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, labels, f.help)
	}
	return b.String()
}
