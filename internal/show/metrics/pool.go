package metrics

import (
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

// poolFamilies are the facts from each Pgpool-II over PCP. The label pool is its
// address.
type poolFamilies struct {
	up, attached, status, primary, changed     *family
	weight, delayBytes, delaySeconds, connects *family
	checks, retries, maxRetries, average, most *family
	lastCheck, lastSuccess, lastFail           *family
	processes, detailAt                        *family
	watchdog, leader, quorum, escalated        *family
	members, alive, required                   *family
}

func newPoolFamilies(f *families) poolFamilies {
	return poolFamilies{
		up:       f.gauge("repool_pgpool_up", "Whether Pgpool-II answered over PCP in the newest pass.", "pool"),
		attached: f.gauge("repool_pgpool_node_attached", "Whether Pgpool-II routes to the node.", "pool", "node"),
		status: f.gauge("repool_pgpool_node_status",
			"Pgpool-II's status of the node, always 1: waiting, up, down, unused or quarantine.", "pool", "node", "status"),
		primary: f.gauge("repool_pgpool_node_primary", "Whether Pgpool-II considers the node the primary.", "pool",
			"node"),
		changed: f.gauge("repool_pgpool_node_status_change_timestamp_seconds",
			"When Pgpool-II last set the node's status.", "pool", "node"),
		weight: f.gauge("repool_pgpool_node_weight_ratio", "The node's share of load-balanced reads.", "pool",
			"node"),
		delayBytes: f.gauge("repool_pgpool_node_delay_bytes", "Replication delay of the node as Pgpool-II measures it.",
			"pool", "node"),
		delaySeconds: f.gauge("repool_pgpool_node_delay_seconds",
			"The same, where Pgpool-II measures it in time (delay_threshold_by_time).", "pool", "node"),
		connects: f.gauge("repool_pgpool_node_connections", "Connections to the node in Pgpool-II's processes.",
			"pool", "node"),
		checks: f.counter("repool_pgpool_health_checks_total",
			"Pgpool-II's health checks of the node since Pgpool-II started, by result: success, fail or skip.", "pool", "node",
			"result"),
		retries: f.counter("repool_pgpool_health_check_retries_total",
			"Retries in Pgpool-II's health checks of the node.", "pool", "node"),
		maxRetries: f.gauge("repool_pgpool_health_check_max_retries",
			"The most retries that one health check of the node took.", "pool", "node"),
		average: f.gauge("repool_pgpool_health_check_average_seconds", "Mean duration of the health checks of the node.",
			"pool", "node"),
		most: f.gauge("repool_pgpool_health_check_max_seconds", "Longest duration of one health check of the node.",
			"pool", "node"),
		lastCheck: f.gauge("repool_pgpool_health_check_timestamp_seconds", "When Pgpool-II last checked the node.", "pool",
			"node"),
		lastSuccess: f.gauge("repool_pgpool_health_check_success_timestamp_seconds",
			"When a health check of the node last succeeded.", "pool", "node"),
		lastFail: f.gauge("repool_pgpool_health_check_fail_timestamp_seconds",
			"When a health check of the node last failed.", "pool", "node"),
		processes: f.gauge("repool_pgpool_processes",
			"Pgpool-II's client processes by state: free, idle, idle_in_transaction or active; num_init_children in all.",
			"pool", "state"),
		detailAt: f.gauge("repool_pgpool_detail_timestamp_seconds",
			"When processes, weights, delays and connections were last queried.", "pool"),
		watchdog: f.gauge("repool_pgpool_watchdog_enabled", "Whether Pgpool-II runs with a watchdog.", "pool"),
		leader:   f.gauge("repool_pgpool_watchdog_leader", "Whether this Pgpool-II leads its watchdog cluster.", "pool"),
		quorum: f.gauge("repool_pgpool_watchdog_quorum",
			"The watchdog's quorum: 1 exists, 0 on the edge, -1 absent, -2 unknown.", "pool"),
		escalated: f.gauge("repool_pgpool_watchdog_escalated", "Whether this Pgpool-II holds the virtual address.", "pool"),
		members:   f.gauge("repool_pgpool_watchdog_remote_members", "Other members of the watchdog cluster.", "pool"),
		alive: f.gauge("repool_pgpool_watchdog_remote_members_alive",
			"Other members that are alive, as the leader counts them.",
			"pool"),
		required: f.gauge("repool_pgpool_watchdog_quorum_members", "Members that must be alive for a quorum.", "pool"),
	}
}

func (f *poolFamilies) collect(s sink, st *control.Status) {
	for i := range st.Snapshot.Pools {
		p := &st.Snapshot.Pools[i]
		if p.Endpoint == "" {
			continue // not asked yet
		}
		s.flag(f.up, p.OK(), p.Endpoint)
		if !p.OK() {
			continue
		}
		for j := range p.Nodes {
			f.node(s, p, &p.Nodes[j])
		}
		f.detail(s, p)
		f.watchdogOf(s, p)
	}
}

func (f *poolFamilies) node(s sink, p *topology.PoolView, n *topology.PoolNode) {
	pool, id := p.Endpoint, n.ID.String()
	status := string(n.Status)
	if n.Quarantine {
		status = "quarantine"
	}
	s.flag(f.attached, n.Attached(), pool, id)
	s.as(f.status, pool, id, status)
	s.flag(f.primary, p.Primary == n.ID, pool, id)
	s.when(f.changed, n.LastChange, pool, id)
	c := n.Checks
	s.put(f.checks, float64(c.Success), pool, id, "success")
	s.put(f.checks, float64(c.Fail), pool, id, "fail")
	s.put(f.checks, float64(c.Skip), pool, id, "skip")
	s.put(f.retries, float64(c.Retries), pool, id)
	s.put(f.maxRetries, float64(c.MaxRetries), pool, id)
	s.put(f.average, c.Average.Seconds(), pool, id)
	s.put(f.most, c.Longest.Seconds(), pool, id)
	s.when(f.lastCheck, c.Last, pool, id)
	s.when(f.lastSuccess, c.LastSuccess, pool, id)
	s.when(f.lastFail, c.LastFail, pool, id)
}

func (f *poolFamilies) detail(s sink, p *topology.PoolView) {
	d, pool := &p.Detail, p.Endpoint
	if !d.OK() {
		return
	}
	s.when(f.detailAt, d.At, pool)
	s.put(f.processes, float64(d.Processes.Free), pool, "free")
	s.put(f.processes, float64(d.Processes.Idle), pool, "idle")
	s.put(f.processes, float64(d.Processes.IdleInTransaction), pool, "idle_in_transaction")
	s.put(f.processes, float64(d.Processes.Active), pool, "active")
	for _, n := range d.Nodes {
		id := n.ID.String()
		s.put(f.weight, n.Weight, pool, id)
		s.put(f.connects, float64(n.Connections), pool, id)
		switch {
		case n.DelayKnown && n.DelayByTime:
			s.put(f.delaySeconds, n.Delay, pool, id)
		case n.DelayKnown:
			s.put(f.delayBytes, n.Delay, pool, id)
		}
	}
}

func (f *poolFamilies) watchdogOf(s sink, p *topology.PoolView) {
	w, pool := &p.Watchdog, p.Endpoint
	s.flag(f.watchdog, w.Enabled, pool)
	if !w.Enabled {
		return
	}
	s.flag(f.leader, w.Leader, pool)
	s.put(f.quorum, float64(w.Quorum), pool)
	s.flag(f.escalated, w.Escalated, pool)
	s.put(f.members, float64(w.Remote), pool)
	s.put(f.alive, float64(w.Alive), pool)
	s.put(f.required, float64(w.Required), pool)
}
