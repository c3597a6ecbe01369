package dashboard

// kind is how a panel shows its figures.
type kind int

const (
	number   kind = iota // the newest value, large
	graph                // lines over time
	stack                // areas on top of each other
	timeline             // states over time
	list                 // a table of the present state
)

// query is one PromQL expression, with the text of its legend.
type query struct{ expr, legend string }

// panel is one picture. Its width is of 24.
type panel struct {
	kind    kind
	title   string
	about   string
	unit    string // Grafana's word: short, s, bytes, …
	width   uint32
	height  uint32
	bad     float64 // a number from here on is red; zero: no colour
	queries []query
}

type row struct {
	title  string
	panels []panel
}

// $S in an expression stands for the labels of the chosen controller, and $N for
// these and the chosen node.
var rows = []row{
	{"Pool", []panel{
		{number, "Nodes missing", "Nodes that are detached, do not answer, or are neither the primary nor streaming from it.",
			"short", 3, 4, 1, []query{{`repool_nodes_missing{$S}`, ""}}},
		{number, "Nodes", "Nodes in the pool.", "short", 3, 4, 0, []query{{`repool_nodes{$S}`, ""}}},
		{number, "Primary", "The node that Pgpool-II considers the primary.", "none", 3, 4, 0,
			[]query{{`repool_pgpool_node_primary{$S} == 1`, "node {{node}}"}}},
		{number, "Parked", "Nodes that repool has given up on.", "short", 3, 4, 1,
			[]query{{`sum(repool_node_parked{$S})`, ""}}},
		{number, "Lost commits", "Commits that the pool has lost in this period; they are kept in the vaults.", "short", 3, 4,
			1,
			[]query{{`sum(increase(repool_lost_commits_total{$S}[$__range]))`, ""}}},
		{number, "Reduced redundancy", "How long a node was missing in this period.", "s", 3, 4, 0,
			[]query{{`increase(repool_redundancy_lost_seconds_total{$S}[$__range])`, ""}}},
		{number, "Primary changes", "Failovers and switchovers in this period.", "short", 3, 4, 0,
			[]query{{`increase(repool_primary_changes_total{$S}[$__range])`, ""}}},
		{number, "Controller acting", "0 if its Pgpool-II is not the watchdog leader, or does not answer.", "short", 3, 4, 0,
			[]query{{`repool_controller_acting{$S}`, ""}}},
		{timeline, "Decisions", "The code of each node's decision; docs/runbook.md explains them.", "", 16, 9, 0,
			[]query{{`repool_decision{$S}`, "node {{node}}: {{code}}"}}},
		{list, "Current decisions", "", "", 8, 9, 0, []query{{`repool_decision{$S}`, ""}}},
		{graph, "Replication lag", "", "bytes", 8, 8, 0, []query{{`repool_node_replay_lag_bytes{$S}`, "node {{node}}"}}},
		{graph, "WAL written by the primary", "", "Bps", 8, 8, 0,
			[]query{{`deriv(repool_node_wal_position_bytes{$S, position="current"}[$__rate_interval]) > 0`, "node {{node}}"}}},
		{graph, "WAL retained by slots", "", "bytes", 8, 8, 0,
			[]query{{`repool_slot_retained_bytes{$S}`, "{{slot}} on node {{node}}, a {{role}}"}}},
		{stack, "Pgpool-II processes", "", "short", 8, 8, 0,
			[]query{{`sum by (state) (repool_pgpool_processes{$S})`, "{{state}}"}}},
		{graph, "Connections to the nodes", "", "short", 8, 8, 0,
			[]query{{`sum by (node) (repool_pgpool_node_connections{$S})`, "node {{node}}"}}},
		{graph, "Failed health checks", "", "cps", 8, 8, 0,
			[]query{{`rate(repool_pgpool_health_checks_total{$S, result="fail"}[$__rate_interval])`, "node {{node}}"}}},
		{graph, "Free disk space", "", "bytes", 8, 8, 0, []query{{`repool_node_free_bytes{$S}`, "node {{node}}"}}},
		{graph, "Controller passes", "How long a pass takes.", "s", 8, 8, 0, []query{
			{`histogram_quantile(0.99, sum by (le) (rate(repool_pass_duration_seconds_bucket{$S}[$__rate_interval])))`, "p99"},
			{`histogram_quantile(0.5, sum by (le) (rate(repool_pass_duration_seconds_bucket{$S}[$__rate_interval])))`,
				"median"}}},
		{stack, "Requests", "Attach and detach requests to Pgpool-II, fence requests to nodes.", "short", 8, 8, 0,
			[]query{{`sum by (request, result) (increase(repool_requests_total{$S}[$__rate_interval]))`,
				"{{request}} {{result}}"}}},
		{timeline, "Pgpool-II reachable", "", "", 8, 6, 0, []query{{`repool_pgpool_up{$S} == 1`, "{{pool}}"}}},
		{timeline, "Alerts", "", "", 16, 6, 0,
			[]query{{`ALERTS{job="$job", alertname=~"Repool.+", alertstate="firing"}`, "{{alertname}} {{node}}"}}},
	}},
	{"Node $node", []panel{
		{timeline, "Pgpool-II status", "", "", 12, 5, 0, []query{{`repool_pgpool_node_status{$N}`, "{{status}}"}}},
		{timeline, "Server, as seen by its agent", "", "", 12, 5, 0, []query{{`repool_node_server{$N}`, "{{state}}"}}},
		{timeline, "Data directory", "", "", 12, 5, 0, []query{{`repool_node_directory{$N}`, "{{state}}"}}},
		{timeline, "Decision", "", "", 12, 5, 0, []query{{`repool_decision{$N}`, "{{code}} {{method}}"}}},
		{graph, "Lag in bytes", "As measured by repool and by Pgpool-II.", "bytes", 8, 8, 0,
			[]query{{`repool_node_replay_lag_bytes{$N}`, "repool"}, {`repool_pgpool_node_delay_bytes{$N}`, "Pgpool-II"}}},
		{graph, "Lag in time", "Grows while the primary is idle.", "s", 8, 8, 0,
			[]query{{`repool_node_replay_lag_seconds{$N}`, ""}}},
		{graph, "Timeline", "", "short", 8, 8, 0, []query{{`repool_node_timeline{$N}`, ""}}},
		{graph, "Sizes", "", "bytes", 8, 8, 0, []query{{`repool_node_data_bytes{$N}`, "data"},
			{`repool_node_wal_bytes{$N}`, "WAL"}, {`repool_node_free_bytes{$N}`, "free"},
			{`repool_node_kept_bytes{$N}`, "kept: {{kind}}"}}},
		{graph, "Pgpool-II health check", "", "s", 8, 8, 0,
			[]query{{`repool_pgpool_health_check_average_seconds{$N}`, "mean"}, {`repool_pgpool_health_check_max_seconds{$N}`,
				"max"}}},
		{timeline, "Sources reachable", "", "", 8, 8, 0, []query{{`repool_node_source_up{$N} == 1`, "{{source}}"}}},
	}},
	{"Resyncs", []panel{
		{number, "Progress", "Share of the bytes that the run has to copy.", "percentunit", 4, 5, 0,
			[]query{{`repool_resync_done_bytes{$S} / (repool_resync_expected_bytes{$S} > 0)`, "node {{node}}"}}},
		{number, "Time left", "At the rate of the last minute.", "s", 4, 5, 0,
			[]query{{`(repool_resync_expected_bytes{$S} - repool_resync_done_bytes{$S})` +
				` / (deriv(repool_resync_done_bytes{$S}[1m]) > 0)`, "node {{node}}"}}},
		{timeline, "Run steps", "", "", 16, 8, 0, []query{{`repool_resync_step{$S}`, "node {{node}}: {{step}}"}}},
		{graph, "Bytes copied", "", "bytes", 8, 8, 0, []query{{`repool_resync_done_bytes{$S}`, "node {{node}}"},
			{`repool_resync_expected_bytes{$S}`, "node {{node}}, expected"}}},
		{timeline, "Methods", "", "", 8, 8, 0, []query{{`repool_resync_running{$S}`, "node {{node}}: {{method}}"}}},
		{stack, "Finished runs", "", "short", 8, 8, 0,
			[]query{{`sum by (result) (increase(repool_resyncs_total{$S}[$__rate_interval]))`, "{{result}}"}}},
		{graph, "Duration", "90th percentile.", "s", 8, 8, 0,
			[]query{{`histogram_quantile(0.9, sum by (le, method)` +
				` (increase(repool_resync_duration_seconds_bucket{$S}[$__range])))`, "{{method}}"}}},
		{graph, "Copied and vaulted, total", "", "bytes", 8, 8, 0,
			[]query{{`sum(repool_resync_copied_bytes_total{$S})`, "copied"},
				{`sum(repool_vaulted_bytes_total{$S})`, "vaulted"}}},
		{list, "Failed runs since last healthy", "", "", 8, 8, 0, []query{{`repool_node_failed_runs{$S}`, ""}}},
	}},
}
