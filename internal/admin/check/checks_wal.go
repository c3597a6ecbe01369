package check

import (
	"fmt"
	"strconv"

	"github.com/repool/repool/internal/core/topology"
)

// hotStandbySettings must not be lower on a standby than on its primary.
var hotStandbySettings = []string{"max_connections", "max_worker_processes", "max_wal_senders",
	"max_prepared_transactions", "max_locks_per_transaction"}

// Below these values a resync works but may need a full copy. In MB, PostgreSQL's
// unit for these settings.
const (
	smallKeepMB  = 128
	smallLimitMB = 1024
)

var walChecks = []Check{
	{"rewind-possible", "wal_log_hints or data checksums",
		"pg_rewind needs one of them; without either, every diverged node is copied in full.", checkRewindPossible},
	{"full-page-writes", "full_page_writes", "pg_rewind refuses a source that runs without it.", checkFullPages},
	{"wal-level", "wal_level", "No standby can follow a primary whose WAL lacks what it needs.", checkWALLevel},
	{"wal-senders", "max_wal_senders and max_replication_slots",
		"Each standby needs one of each, and a base backup two more senders.", checkSenders},
	{"wal-keep", "wal_keep_size and slots in use",
		"A node whose WAL is gone from its upstream, or a failed primary that has recycled its own, must be copied in full.",
		checkKeep},
	{"slot-limit", "max_slot_wal_keep_size",
		"Without a limit the slot of a dead node keeps WAL until the primary's disk is full; with a small one the node " +
			"must be copied in full.", checkSlotLimit},
	{"lost-slots", "slots that have lost their WAL",
		"A standby cannot stream through such a slot any more.", checkLostSlots},
	{"idle-slots", "slots of repool's that nobody uses",
		"They retain WAL, and with hot_standby_feedback they hold back VACUUM on the primary. " +
			"A former primary has them, and a primary those of nodes that have left the pool.", checkIdleSlots},
	{"standby-parameters", "hot-standby parameters equal on all nodes",
		"A standby with a lower value than its primary refuses to start, and any node may be the primary.",
		checkStandbyParameters},
	{"next-start", "the server's configuration files",
		"With an error in them the server runs on, and does not start the next time.", checkNextStart},
	{"collation-version", "versions of the collation libraries",
		"Indexes on text are copied byte by byte: where the library sorts differently they silently miss rows.",
		checkCollations},
}

func checkRewindPossible(f *Facts, r *results) {
	f.each("settings", r, func(n *NodeFacts) {
		hints, sums := n.SQL.Settings["wal_log_hints"] == "on", n.SQL.Settings["data_checksums"] == "on"
		if hints || sums {
			r.ok(n.Subject(), "pg_rewind can be used")
			return
		}
		r.warn(Finding{Subject: n.Subject(), Found: "wal_log_hints and data checksums are both off",
			Remedy: "ALTER SYSTEM SET wal_log_hints = on;   -- on every node, then restart PostgreSQL"})
	})
}

func checkNextStart(f *Facts, r *results) {
	f.each("configuration", r, func(n *NodeFacts) {
		if len(n.SQL.NextStart) == 0 {
			r.ok(n.Subject(), "no error is seen")
		}
		for _, c := range n.SQL.NextStart {
			found := Finding{Subject: n.Subject(), Found: "its server would not start again: " + c.What, At: c.File,
				Remedy: "correct it, then SELECT pg_reload_conf()"}
			if c.Line > 0 {
				found.At = fmt.Sprintf("%s:%d", c.File, c.Line)
			} else {
				found.Remedy = "move the file out of the data directory"
			}
			r.problem(found)
		}
	})
}

func checkFullPages(f *Facts, r *results) {
	expect(f, r, "full_page_writes", "on", "ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();")
}

func checkWALLevel(f *Facts, r *results) {
	f.each("settings", r, func(n *NodeFacts) {
		switch v := n.SQL.Settings["wal_level"]; v {
		case "replica", "logical":
			r.ok(n.Subject(), "wal_level is "+v)
		default:
			r.problem(Finding{Subject: n.Subject(), Found: "wal_level is " + v,
				Remedy: "ALTER SYSTEM SET wal_level = replica;   -- then restart PostgreSQL"})
		}
	})
}

func expect(f *Facts, r *results, name, want, remedy string) {
	f.each("settings", r, func(n *NodeFacts) {
		if got := n.SQL.Settings[name]; got != want {
			r.problem(Finding{Subject: n.Subject(), Found: fmt.Sprintf("%s is %s", name, got), Remedy: remedy})
			return
		}
		r.ok(n.Subject(), name+" is "+want)
	})
}

func checkSenders(f *Facts, r *results) {
	standbys := len(f.Nodes) - 1
	f.each("settings", r, func(n *NodeFacts) {
		before := len(r.list)
		for _, s := range []struct {
			name string
			need int
		}{{"max_wal_senders", standbys + 2}, {"max_replication_slots", standbys}} {
			if have := n.number(s.name); have < s.need {
				r.problem(Finding{Subject: n.Subject(),
					Found:  fmt.Sprintf("%s is %d, and %d are needed for %d standbys", s.name, have, s.need, standbys),
					Remedy: fmt.Sprintf("ALTER SYSTEM SET %s = %d;   -- then restart PostgreSQL", s.name, max(s.need, 10))})
			}
		}
		if len(r.list) == before {
			r.ok(n.Subject(), "enough for all nodes")
		}
	})
}

// number is a setting as a whole number; 0: it is not one.
func (n *NodeFacts) number(name string) int {
	v, _ := strconv.Atoi(n.SQL.Settings[name]) // from pg_settings
	return v
}

func checkKeep(f *Facts, r *results) {
	f.each("settings", r, func(n *NodeFacts) {
		keep := n.number("wal_keep_size")
		slot := n.SQL.Settings["primary_slot_name"]
		switch {
		case keep < smallKeepMB:
			r.warn(Finding{Subject: n.Subject(),
				Found:  fmt.Sprintf("wal_keep_size is %d MB: a failed primary may have recycled what its rewind needs", keep),
				Remedy: "ALTER SYSTEM SET wal_keep_size = '1GB'; SELECT pg_reload_conf();   -- on every node"})
		case n.SQL.InRecovery && slot == "":
			r.warn(Finding{Subject: n.Subject(), Found: "the standby streams without a replication slot",
				Remedy: fmt.Sprintf("SELECT pg_create_physical_replication_slot('%s', true);   -- on the primary; then on node "+
					"%s: ALTER SYSTEM SET primary_slot_name = '%s'; SELECT pg_reload_conf();",
					n.Conf.Slot, n.Conf.ID, n.Conf.Slot)})
		default:
			r.ok(n.Subject(), fmt.Sprintf("keeps %d MB beside its slots", keep))
		}
	})
}

func checkSlotLimit(f *Facts, r *results) {
	f.each("settings", r, func(n *NodeFacts) {
		limit := n.number("max_slot_wal_keep_size")
		remedy := "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();   -- a third of the free " +
			"disk is a good start"
		switch {
		case n.SQL.Settings["max_slot_wal_keep_size"] == "": // before PostgreSQL 13 there is none
		case limit < 0:
			r.warn(Finding{Subject: n.Subject(), Found: "max_slot_wal_keep_size has no limit", Remedy: remedy})
		case limit < smallLimitMB:
			r.warn(Finding{Subject: n.Subject(),
				Found: fmt.Sprintf("max_slot_wal_keep_size is %d MB, which a short outage uses up", limit), Remedy: remedy})
		default:
			r.ok(n.Subject(), fmt.Sprintf("a slot keeps at most %d MB", limit))
		}
	})
}

func checkLostSlots(f *Facts, r *results) {
	f.each("slots", r, func(n *NodeFacts) {
		before := len(r.list)
		for _, s := range n.SQL.Slots {
			if s.Physical && s.WALStatus == "lost" {
				r.problem(Finding{Subject: n.Subject(), Found: "slot " + s.Name + " has lost its WAL",
					Remedy: fmt.Sprintf("SELECT pg_drop_replication_slot('%s');   -- repool creates its own again", s.Name)})
			}
		}
		if len(r.list) == before {
			r.ok(n.Subject(), fmt.Sprintf("%d slots, none lost", len(n.SQL.Slots)))
		}
	})
}

func checkIdleSlots(f *Facts, r *results) {
	f.each("slots", r, func(n *NodeFacts) {
		before := len(r.list)
		for _, s := range n.SQL.Slots {
			if why, caution := f.idleSlot(n, s); why != "" {
				r.warn(Finding{Subject: n.Subject(), Found: why + keepsBack(s),
					Remedy: fmt.Sprintf("SELECT pg_drop_replication_slot('%s');   -- on node %s, %s", s.Name,
						n.Conf.ID, caution)})
			}
		}
		if len(r.list) == before {
			r.ok(n.Subject(), "no idle slot of repool's that a node will not ask for again")
		}
	})
}

// idleSlot says why a slot of a node is of no use, if so, and what to mind when it is
// dropped. On a standby repool drops it itself. On the primary it does not: the node
// may only be out of pgpool.conf for a while, and nothing here can prove otherwise.
func (f *Facts) idleSlot(n *NodeFacts, s topology.Slot) (why, caution string) {
	id, idle := s.Idle()
	switch of := f.node(id); {
	case !idle:
	case n.SQL.InRecovery:
		return "the standby has the idle slot " + s.Name, "only while it is a standby and no server streams from it"
	case of == nil:
		return fmt.Sprintf("the slot %s is of node %s, which is not in pgpool.conf", s.Name, id),
			"if that node does not come back: without its slot it must be copied in full"
	case of != n && of.SQL.OK() && of.SQL.InRecovery &&
		of.SQL.Settings["primary_slot_name"] != s.Name && of.SQL.Missed["settings"] == "":
		return fmt.Sprintf("the slot %s is idle, and node %s streams without it", s.Name, id),
			fmt.Sprintf("or let node %s use it: its primary_slot_name is '%s'", id,
				of.SQL.Settings["primary_slot_name"])
	}
	return "", ""
}

// keepsBack says what an idle slot costs.
func keepsBack(s topology.Slot) string {
	out := ""
	if s.Restart != 0 {
		out = ", which retains WAL from " + s.Restart.String() + " on"
	}
	if s.Horizon {
		out += fmt.Sprintf("; it keeps row versions of %d transactions from VACUUM", s.XminAge)
	}
	return out
}

func checkStandbyParameters(f *Facts, r *results) {
	highest := map[string]*NodeFacts{}
	f.each("settings", &results{}, func(n *NodeFacts) {
		for _, s := range hotStandbySettings {
			if h := highest[s]; h == nil || n.number(s) > h.number(s) {
				highest[s] = n
			}
		}
	})
	f.each("settings", r, func(n *NodeFacts) {
		before := len(r.list)
		for _, s := range hotStandbySettings {
			h := highest[s]
			if have, want := n.number(s), h.number(s); have < want {
				r.problem(Finding{Subject: n.Subject(),
					Found:  fmt.Sprintf("%s is %d here and %d on %s", s, have, want, h.Subject()),
					Remedy: fmt.Sprintf("ALTER SYSTEM SET %s = %d;   -- on node %s, then restart its PostgreSQL", s, want, n.Conf.ID)})
			}
		}
		if len(r.list) == before {
			r.ok(n.Subject(), "no lower than any other node's")
		}
	})
}

func checkCollations(f *Facts, r *results) {
	p := f.Primary()
	if p == nil {
		return
	}
	f.each("collations", r, func(n *NodeFacts) {
		if n == p {
			return
		}
		before := len(r.list)
		for provider, version := range n.SQL.Collations {
			if want, known := p.SQL.Collations[provider]; known && want != version {
				r.warn(Finding{Subject: n.Subject(),
					Found:  fmt.Sprintf("%s sorts by version %s here and %s on the primary", provider, version, want),
					Remedy: "bring both machines to the same release of the system, then REINDEX what has text keys"})
			}
		}
		if len(r.list) == before {
			r.ok(n.Subject(), "sorts as the primary does")
		}
	})
}
