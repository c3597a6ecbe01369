package metrics

import (
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

// decideFamilies are the decisions, and the runs in progress.
type decideFamilies struct {
	nodes, missing                    *family
	decision, parked, failed, hold    *family
	warning                           *family
	acting, passAt, started, build    *family
	failover                          *family
	running, step, done, total, begun *family
}

func newDecideFamilies(f *families) decideFamilies {
	return decideFamilies{
		build:   f.gauge("repool_build_info", "The running version, always 1.", "version"),
		started: f.gauge("repool_controller_start_timestamp_seconds", "When the controller started."),
		acting: f.gauge("repool_controller_acting",
			"Whether this controller acts; 0 if its Pgpool-II is not the watchdog leader, or does not answer."),
		passAt: f.gauge("repool_pass_timestamp_seconds", "When the newest pass ended."),
		failover: f.gauge("repool_failover_command_runnable",
			"Whether Pgpool-II's user can run failover_command; 0: nothing is promoted if the primary fails."),
		nodes: f.gauge("repool_nodes", "Nodes in the pool."),
		missing: f.gauge("repool_nodes_missing",
			"Nodes that are detached, do not answer, or are neither the primary nor streaming from it."+
				" No series while Pgpool-II does not answer."),
		decision: f.gauge("repool_decision",
			"The newest decision on the node, always 1. The runbook explains the codes; severity is ok, work or refused.",
			"node", "code", "action", "method", "severity"),
		warning: f.gauge("repool_node_warning",
			"What would keep repool from repairing a node that is well now, always 1; code is that of the runbook.",
			"node", "code"),
		parked: f.gauge("repool_node_parked", "Whether repool has given up on the node until a person releases it.",
			"node"),
		failed: f.gauge("repool_node_failed_runs", "Failed runs since the node was last healthy.", "node"),
		hold: f.gauge("repool_hold", "An operator's hold, always 1; node is \"pool\" for a hold on the whole pool.",
			"node"),
		running: f.gauge("repool_resync_running", "A run in progress, always 1.", "node", "method"),
		step: f.gauge("repool_resync_step",
			"The run's current step, always 1; waiting is yes while it waits for clearance.", "node", "step", "waiting"),
		done:  f.gauge("repool_resync_done_bytes", "Bytes that the run has copied so far.", "node"),
		total: f.gauge("repool_resync_expected_bytes", "Bytes that the run has to copy, if known.", "node"),
		begun: f.gauge("repool_resync_start_timestamp_seconds", "When the run began.", "node"),
	}
}

func (f *decideFamilies) collect(s sink, st *control.Status, now time.Time) {
	s.put(f.build, 1, st.Version)
	s.when(f.started, st.Started)
	s.flag(f.acting, st.Acting)
	s.when(f.passAt, st.At)
	s.flag(f.failover, st.Snapshot.FailoverTrouble == "")
	s.put(f.nodes, float64(len(st.Snapshot.Nodes)))
	if missing, known := st.Snapshot.Missing(); known {
		s.put(f.missing, float64(len(missing)))
	}
	for i := range st.Decisions {
		d := &st.Decisions[i]
		s.put(f.decision, 1, nodeLabel(d.Node), string(d.Code), string(d.Action), string(d.Method), string(d.Severity))
		if d.Warning != "" {
			s.put(f.warning, 1, nodeLabel(d.Node), string(d.Warning))
		}
	}
	for i := range st.Memory.Nodes {
		m := &st.Memory.Nodes[i]
		s.flag(f.parked, m.Parked != "", m.Node.String())
		s.put(f.failed, float64(m.Attempts), m.Node.String())
	}
	held := map[topology.NodeID]bool{}
	for _, h := range st.Memory.Holds {
		if !held[h.Node] && (h.Until.IsZero() || now.Before(h.Until)) {
			held[h.Node] = true
			s.put(f.hold, 1, nodeLabel(h.Node))
		}
	}
	for i := range st.Snapshot.Nodes {
		n := &st.Snapshot.Nodes[i]
		if r := n.Agent.Run; n.Agent.OK() && r != nil && !r.Outcome.Ended() {
			f.run(s, r, n.ID.String())
		}
	}
}

func (f *decideFamilies) run(s sink, r *topology.RunState, id string) {
	s.put(f.running, 1, id, string(r.Method))
	waiting := "no"
	if r.Outcome == topology.RunWaiting {
		waiting = "yes"
	}
	s.put(f.step, 1, id, r.Step(), waiting)
	s.put(f.done, float64(r.BytesDone), id)
	if r.BytesTotal > 0 {
		s.put(f.total, float64(r.BytesTotal), id)
	}
	s.when(f.begun, r.Started, id)
}

// nodeLabel is a node's id, or "pool" for what is about all of them.
func nodeLabel(n topology.NodeID) string {
	if n == topology.NoNode {
		return "pool"
	}
	return n.String()
}
