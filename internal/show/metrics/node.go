package metrics

import (
	"cmp"
	"net"
	"slices"
	"strconv"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

// maxSlots is how many replication slots of one node have series, those that
// retain most first: not only repool creates slots.
const maxSlots = 64

// nodeFamilies are the facts of each node: over SQL, from its agent, and from the
// comparison of its WAL with the primary's.
type nodeFamilies struct {
	info, version, factUp, factAt                      *family
	recovery, timeline, position, lag, lagTime, paused *family
	streaming, receiver, replication, databases        *family
	slots, retained, slotActive, slotLost, slotXmin    *family
	server, dir, dataBytes, walBytes, freeBytes, kept  *family
	verdict, ownWAL, streamGap                         *family
}

func newNodeFamilies(f *families) nodeFamilies {
	return nodeFamilies{
		info: f.gauge("repool_node_info", "The node as pgpool.conf names it, always 1.", "node", "address",
			"application_name"),
		version: f.gauge("repool_node_server_version", "PostgreSQL's server_version_num.", "node"),
		factUp: f.gauge("repool_node_source_up",
			"Whether the source answered in the newest pass: sql, agent, or lineage (the comparison with the primary's WAL).",
			"node", "source"),
		factAt: f.gauge("repool_node_source_timestamp_seconds",
			"When the source last answered or failed to.", "node", "source"),
		recovery: f.gauge("repool_node_in_recovery", "Whether the server is a standby (pg_is_in_recovery).", "node"),
		timeline: f.gauge("repool_node_timeline", "The timeline that the server writes or receives.", "node"),
		position: f.gauge("repool_node_wal_position_bytes",
			"WAL positions (LSN): current on a primary, receive and replay on a standby.", "node", "position"),
		lag: f.gauge("repool_node_replay_lag_bytes", "How far the standby's replay is behind the primary's position.",
			"node"),
		lagTime: f.gauge("repool_node_replay_lag_seconds",
			"Age of the last transaction that the standby replayed; grows while the primary is idle.", "node"),
		paused:    f.gauge("repool_node_replay_paused", "Whether replay is paused on the standby.", "node"),
		streaming: f.gauge("repool_node_streaming", "Whether the standby's WAL receiver is streaming.", "node"),
		receiver: f.gauge("repool_node_wal_receiver", "The standby's WAL receiver, always 1: its status.", "node",
			"status"),
		replication: f.gauge("repool_node_replication", "The standby in the primary's pg_stat_replication, always 1.", "node",
			"state", "sync_state"),
		databases: f.gauge("repool_node_database_bytes", "Sum of the sizes of the databases.", "node"),
		slots:     f.gauge("repool_node_slots", "Replication slots on the node.", "node"),
		retained: f.gauge("repool_slot_retained_bytes",
			"WAL that the slot retains (for the 64 slots of a node that retain most). role is the node's: "+
				"primary or standby.",
			"node", "slot", "role"),
		slotActive: f.gauge("repool_slot_active", "Whether the slot is in use.", "node", "slot", "role"),
		slotLost: f.gauge("repool_slot_lost", "Whether the slot has lost WAL it needs (wal_status is lost or unreserved).",
			"node", "slot", "role"),
		slotXmin: f.gauge("repool_slot_xmin_age_transactions",
			"How many transactions ago the oldest row version was that the slot keeps from VACUUM; no series where it "+
				"keeps none.", "node", "slot", "role"),
		server: f.gauge("repool_node_server",
			"The server process as the agent sees it, always 1: stopped, starting, running, stopping or frozen.", "node",
			"state"),
		dir: f.gauge("repool_node_directory",
			"State of the data directory, always 1: present, missing, empty, foreign or in-repair.", "node", "state"),
		dataBytes: f.gauge("repool_node_data_bytes", "Size of the data directory without pg_wal.", "node"),
		walBytes:  f.gauge("repool_node_wal_bytes", "Size of pg_wal.", "node"),
		freeBytes: f.gauge("repool_node_free_bytes", "Free space on the data directory's file system.", "node"),
		kept: f.gauge("repool_node_kept_bytes", "What repool keeps beside the data directory: "+
			"old (a replaced directory), repair (one in repair), trash (being deleted), vault or journal.",
			"node", "kind"),
		verdict: f.gauge("repool_node_lineage",
			"The node's WAL compared with the primary's, always 1: on-line, diverged or foreign.", "node", "verdict"),
		ownWAL: f.gauge("repool_node_diverged_bytes", "WAL of a diverged node that the primary does not have.", "node"),
		streamGap: f.gauge("repool_node_stream_gap", "Whether the primary no longer has the WAL that the node needs next.",
			"node"),
	}
}

func (f *nodeFamilies) source(s sink, from topology.Source, node, name string) {
	s.flag(f.factUp, from.OK(), node, name)
	s.when(f.factAt, from.At, node, name)
}

func (f *nodeFamilies) collect(s sink, st *control.Status) {
	primary := st.Snapshot.Primary()
	for i := range st.Snapshot.Nodes {
		n := &st.Snapshot.Nodes[i]
		id := n.ID.String()
		s.put(f.info, 1, id, net.JoinHostPort(n.Host, strconv.Itoa(n.Port)), n.AppName)
		f.source(s, n.SQL.Source, id, "sql")
		f.source(s, n.Agent.Source, id, "agent")
		if n.SQL.OK() {
			f.sql(s, n, primary)
		}
		if n.Agent.OK() {
			f.agent(s, n)
		}
		if !n.Lineage.At.IsZero() {
			f.source(s, n.Lineage.Source, id, "lineage")
			s.as(f.verdict, id, string(n.Lineage.Verdict))
			s.put(f.ownWAL, float64(n.Lineage.OwnBytes), id)
			s.flag(f.streamGap, n.Lineage.StreamGap, id)
		}
	}
}

func (f *nodeFamilies) sql(s sink, n, primary *topology.Node) {
	q, id := &n.SQL, n.ID.String()
	s.put(f.version, float64(q.Version), id)
	s.flag(f.recovery, q.InRecovery, id)
	s.put(f.timeline, float64(q.Timeline), id)
	s.put(f.databases, float64(q.DatabaseBytes), id)
	if !q.InRecovery {
		s.put(f.position, float64(q.Current), id, "current")
		f.slotsOf(s, n, "primary", q.Current)
		return
	}
	f.slotsOf(s, n, "standby", max(q.Receive, q.Replay))
	s.put(f.position, float64(q.Receive), id, "receive")
	s.put(f.position, float64(q.Replay), id, "replay")
	s.put(f.lagTime, q.ReplayLagSeconds, id)
	s.flag(f.paused, q.ReplayPaused, id)
	s.flag(f.streaming, q.Receiver.Status == "streaming", id)
	s.as(f.receiver, id, q.Receiver.Status)
	if primary == nil {
		return
	}
	s.put(f.lag, float64(primary.SQL.Current.Minus(q.Replay)), id)
	for _, w := range primary.SQL.Senders {
		if w.AppName == n.AppName && n.AppName != "" {
			s.put(f.replication, 1, id, w.State, w.SyncState)
			return // the same name again would be the same series again
		}
	}
}

// slotsOf are the slots of a server whose WAL ends at end. A standby has slots too: of
// its time as the primary, or for standbys that follow it.
func (f *nodeFamilies) slotsOf(s sink, n *topology.Node, role string, end topology.LSN) {
	id := n.ID.String()
	s.put(f.slots, float64(len(n.SQL.Slots)), id)
	retained := func(r topology.Slot) uint64 {
		if r.Restart == 0 {
			return 0
		}
		return end.Minus(r.Restart)
	}
	slots := slices.SortedFunc(slices.Values(n.SQL.Slots),
		func(a, b topology.Slot) int { return cmp.Compare(retained(b), retained(a)) })
	for _, r := range slots[:min(len(slots), maxSlots)] {
		s.put(f.retained, float64(retained(r)), id, r.Name, role)
		s.flag(f.slotActive, r.Active, id, r.Name, role)
		s.flag(f.slotLost, r.WALStatus == "lost" || r.WALStatus == "unreserved", id, r.Name, role)
		if r.Horizon {
			s.put(f.slotXmin, float64(r.XminAge), id, r.Name, role)
		}
	}
}

func (f *nodeFamilies) agent(s sink, n *topology.Node) {
	a, id := &n.Agent, n.ID.String()
	s.as(f.server, id, string(a.Server))
	s.as(f.dir, id, string(a.Dir))
	s.put(f.dataBytes, float64(a.DataBytes), id)
	s.put(f.walBytes, float64(a.WALBytes), id)
	s.put(f.freeBytes, float64(a.FreeBytes), id)
	if k := a.Kept; k.WorkDir != "" {
		for kind, bytes := range map[string]uint64{"old": k.Old, "repair": k.InRepair, "trash": k.Trash,
			"vault": k.Vault, "journal": k.Journal} {
			s.put(f.kept, float64(bytes), id, kind)
		}
	}
}
