package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// TestNode judges node 1 beside the primary, node 0.
func TestNode(t *testing.T) {
	t.Parallel()
	const down = topology.PoolDown
	for name, tt := range map[string]struct {
		world func(*scene)
		want  string
	}{
		"standby killed (act 3)": {func(s *scene) { s.stopped(1).status(1, down) },
			"resync/start standby-down"},
		"standby killed, Pgpool-II not aware yet": {func(s *scene) { s.stopped(1) }, "resync/start standby-down"},
		"standby stopped, long away, WAL kept by its slot (S15)": {func(s *scene) {
			s.stopped(1).status(1, down)
			s.node(1).Lineage.Point = 0x1000000
		}, "resync/start standby-down"},
		"standby stopped, WAL gone on the primary": {func(s *scene) {
			s.stopped(1).status(1, down).lineage(1, 0, topology.LineageUnknown)
			s.node(1).Lineage.StreamGap = true
		}, "resync/base-backup wal-gone"},
		"running standby, WAL gone on the primary": {func(s *scene) {
			s.status(1, down).lineage(1, 0, topology.LineageUnknown)
			s.node(1).Lineage.StreamGap, s.node(1).SQL.Receiver = true, topology.WALReceiver{}
		}, "resync/base-backup wal-gone"},
		"stopped former primary, WAL gone on the primary: its line is unknown": {func(s *scene) {
			s.stopped(1).status(1, down).lineage(1, 0, topology.LineageUnknown)
			s.node(1).Lineage.StreamGap, s.node(1).Agent.StandbySignal = true, false
		}, "none lineage-unknown"},
		"stopped, lineage could not be read": {func(s *scene) {
			s.stopped(1).status(1, down)
			s.node(1).Lineage = topology.Lineage{Source: topology.Source{At: s.now, Err: "garbled WAL"}, Primary: 0}
		}, "wait lineage-unknown"},
		"stopped, lineage judged against another node": {func(s *scene) {
			s.stopped(1).status(1, down).lineage(1, 2,
				topology.LineageDiverged)
		}, "wait lineage-unknown"},
		"stopped, lineage judged long ago": {func(s *scene) {
			s.stopped(1).status(1, down).lineage(1, 0, topology.LineageDiverged)
			s.node(1).Lineage.At = s.now.Add(-time.Minute)
		}, "wait lineage-unknown"},
		"stopped old primary that lost nothing (act 1)": {func(s *scene) {
			s.stopped(1).status(1, down)
			s.node(1).Agent.StandbySignal = false
		}, "resync/adopt old-primary-on-line"},
		"directory in repair after an interrupted run, whole and on line": {func(s *scene) {
			s.stopped(1).status(1, down)
			s.node(1).Agent.Dir = topology.DirInRepair
		}, "resync/adopt old-primary-on-line"},
		"directory in repair, damaged (S6)": {func(s *scene) {
			s.stopped(1).status(1, down)
			s.node(1).Agent.Dir = topology.DirInRepair
			s.run(1, topology.RunState{ID: "r", Method: topology.MethodRewind, Outcome: topology.RunInterrupted, Damaged: true,
				Ended: s.now.Add(-time.Hour)})
			s.learn().later(time.Minute)
		}, "resync/base-backup half-done"},
		"directory damaged, attached": {func(s *scene) {
			s.stopped(1)
			s.run(1, topology.RunState{ID: "r", Method: topology.MethodRewind, Outcome: topology.RunInterrupted, Damaged: true,
				Ended: s.now.Add(-time.Hour)})
		}, "detach attached-down"},
		"diverged (act 2)": {func(s *scene) {
			s.stopped(1).status(1, down).lineage(1, 0,
				topology.LineageDiverged)
		}, "resync/rewind diverged"},
		"diverged standby, running, detached": {func(s *scene) { diverge(s, 1).status(1, down) },
			"resync/rewind diverged"},
		"diverged standby attached by hand (S11)": {func(s *scene) { diverge(s, 1) }, "detach attached-diverged"},
		"diverged on one timeline number (hazard 1)": {func(s *scene) {
			diverge(s, 1).status(1,
				down)
			s.node(1).Lineage.SameTimeline = true
		}, "resync/base-backup diverged"},
		"diverged, checksums and hints off (S4)": {func(s *scene) {
			diverge(s, 1).status(1,
				down)
			s.node(1).Agent.Control.Checksums = false
		}, "resync/base-backup diverged"},
		"diverged, only hints on": {func(s *scene) { diverge(s, 1).status(1, down); hintsOnly(s.node(1)) },
			"resync/rewind diverged"},
		"diverged, its WAL recycled (S4)": {func(s *scene) {
			diverge(s, 1).status(1,
				down)
			s.node(1).Lineage.RewindWAL = false
		}, "resync/base-backup diverged"},
		"diverged, full_page_writes off on the primary": {func(s *scene) {
			diverge(s, 1).status(1, down)
			s.node(0).SQL.Settings["full_page_writes"] = "off"
		}, "resync/base-backup diverged"},
		"diverged, an odd file in the way (hazard 17)": {func(s *scene) {
			diverge(s, 1).status(1,
				down)
			s.node(1).Agent.Odd = []string{"socket"}
		}, "resync/base-backup diverged"},
		"diverged, a backup_label left (hazard 22)": {func(s *scene) {
			diverge(s, 1).status(1,
				down)
			s.node(1).Agent.BackupLabel = true
		}, "resync/base-backup diverged"},
		"diverged, a rewind would copy more than a base backup (hazard 3)": {func(s *scene) {
			diverge(s, 1).status(1, down)
			s.node(0).Agent.WALBytes = 20 * gib
		}, "resync/base-backup diverged"},
		"the same, and no space for a copy": {func(s *scene) {
			diverge(s, 1).status(1, down)
			s.node(0).Agent.WALBytes, s.node(1).Agent.FreeBytes = 20*gib, gib
		}, "resync/rewind diverged"},
		"the same, from PostgreSQL 19 on": {func(s *scene) {
			diverge(s, 1).status(1, down)
			s.node(0).Agent.WALBytes = 20 * gib
			for _, id := range []topology.NodeID{0, 1} {
				s.node(id).SQL.Version, s.node(id).Agent.Version = 190001, 19
			}
		}, "resync/rewind diverged"},
		"data directory missing (act 4)": {func(s *scene) { lost(s, 1, topology.DirMissing).status(1, down) },
			"resync/base-backup no-data"},
		"data directory empty": {func(s *scene) { lost(s, 1, topology.DirEmpty).status(1, down) },
			"resync/base-backup no-data"},
		"data directory missing under a running server": {func(s *scene) {
			s.node(1).Agent.Dir, s.node(1).Agent.Control, s.node(1).Agent.Server = topology.DirMissing, nil,
				topology.ServerUnknown
		}, "detach attached-down"},
		"something else in the data directory": {func(s *scene) { lost(s, 1, topology.DirForeign).status(1, down) },
			"none foreign-directory"},
		"control file garbled, server down": {func(s *scene) {
			s.stopped(1).status(1,
				down)
			s.node(1).Agent.Control = nil
		}, "resync/base-backup garbled-control"},
		"control file garbled, server silent": {func(s *scene) {
			silent(s, 1).status(1,
				down)
			s.node(1).Agent.Control = nil
		}, "wait server-silent"},
		"control file garbled, server starting": {func(s *scene) {
			s.stopped(1).status(1, down)
			s.node(1).Agent.Control, s.node(1).Agent.Server = nil, topology.ServerStarting
		}, "none garbled-control"},
		"no space for a copy (S10)": {func(s *scene) {
			lost(s, 1, topology.DirMissing).status(1, down)
			s.node(1).Agent.FreeBytes = gib + gib/2
		}, "none no-space"},
		"size of the copy unknown": {func(s *scene) {
			lost(s, 1, topology.DirMissing).status(1, down)
			s.node(0).SQL.DatabaseBytes, s.node(0).Agent.DataBytes = 0, 0
		}, "none no-space"},
		"mount point (hazard 48)": {func(s *scene) {
			diverge(s, 1).status(1, down)
			s.node(1).Agent.MountPoint = true
		}, "resync/rewind diverged"},
		"tablespaces on the primary, and little room beside the data": {func(s *scene) {
			lost(s, 1, topology.DirMissing).status(1, down)
			s.node(0).Agent.Tablespaces = 1
			s.node(1).Agent.FreeBytes = 1
		}, "resync/base-backup no-data"},
		"other major version (hazard 31)": {func(s *scene) { s.stopped(1).status(1, down); s.node(1).Agent.Version = 14 },
			"none version-mismatch"},
		"streams from a deleted directory": {func(s *scene) { s.status(1, down).node(1).Agent.Dir = topology.DirMissing },
			"wait no-data"},
		"streams, with something else in its directory's place": {func(s *scene) {
			s.status(1, down).node(1).Agent.Dir = topology.DirForeign
		}, "wait foreign-directory"},
		"the agent looks at another cluster's directory": {func(s *scene) {
			s.status(1, down).node(1).Agent.Control.SystemID = otherSys
		}, "wait agent-foreign-system"},
		"the agent looks at another cluster's directory, which has diverged": {func(s *scene) {
			s.status(1, down).lineage(1, 0, topology.LineageDiverged)
			s.node(1).SQL.Receiver, s.node(1).Agent.Control.SystemID = topology.WALReceiver{}, otherSys
		}, "wait agent-foreign-system"},
		"other system identifier (S10)": {func(s *scene) {
			s.stopped(1).status(1,
				down)
			s.node(1).Agent.Control.SystemID = otherSys
		}, "none foreign-system"},
		"other system identifier, attached": {func(s *scene) { s.node(1).SQL.SystemID = otherSys }, "detach foreign-system"},
		"lower max_connections (S10, hazard 32)": {func(s *scene) {
			s.stopped(1).status(1, down)
			s.node(1).Agent.HotStandby["max_connections"] = 99
		}, "none settings-too-low"},
		"no slot left on the primary": {func(s *scene) {
			s.stopped(1).status(1, down)
			s.node(0).SQL.Settings["max_replication_slots"] = "1"
			s.node(0).SQL.Slots = []topology.Slot{{Name: "other"}}
		}, "none no-slots"},
		"no slot left, but its own is there": {func(s *scene) {
			s.stopped(1).status(1, down)
			s.node(0).SQL.Settings["max_replication_slots"] = "1"
			s.node(0).SQL.Slots = []topology.Slot{{Name: "repool_node1"}}
		}, "resync/start standby-down"},
		"no sender left on the primary": {func(s *scene) {
			s.stopped(1).status(1, down)
			s.node(0).SQL.Settings["max_wal_senders"] = "1"
			s.node(0).SQL.Senders = []topology.WALSender{{AppName: "repool_node2", State: "streaming"}}
		}, "none no-senders"},
		"history shares nothing": {func(s *scene) { s.stopped(1).status(1, down).lineage(1, 0, topology.LineageForeign) },
			"none unrelated-history"},
		"the same, and a person asked": {func(s *scene) {
			s.stopped(1).status(1, down).lineage(1, 0, topology.LineageForeign)
			s.memory(1).Asked = "any"
		}, "resync/base-backup unrelated-history"},
		"agent silent, server down": {func(s *scene) { s.stopped(1).status(1, down); noAgent(s, 1) },
			"wait agent-unreachable"},
		"agent silent, streams, detached": {func(s *scene) { s.status(1, down); noAgent(s, 1) }, "none lineage-unknown"},
		"agent silent, streams, attached": {func(s *scene) { noAgent(s, 1) }, "none healthy"},
		"agent's facts old": {func(s *scene) {
			s.stopped(1).status(1,
				down)
			s.node(1).Agent.At = s.now.Add(-time.Minute)
		}, "wait agent-unreachable"},
		"SQL answers, agent says stopped": {func(s *scene) {
			s.status(1, down)
			s.node(1).Agent.Server = topology.ServerStopped
			s.node(1).SQL.Receiver = topology.WALReceiver{}
		}, "wait facts-stale"},
		"directory unknown": {func(s *scene) { s.stopped(1).status(1, down); s.node(1).Agent.Dir = "" },
			"wait facts-stale"},
		"server unknown": {func(s *scene) {
			s.stopped(1).status(1,
				down)
			s.node(1).Agent.Server = ""
		}, "wait facts-stale"},
		"standby frozen (S2)": {func(s *scene) {
			silent(s, 1).status(1,
				down)
			s.node(1).Agent.Server = topology.ServerFrozen
		}, "wait frozen"},
		"server runs and is silent": {func(s *scene) { silent(s, 1).status(1, down) }, "wait server-silent"},
		"server stopping": {func(s *scene) {
			silent(s, 1).status(1,
				down)
			s.node(1).Agent.Server = topology.ServerStopping
		}, "wait server-stopping"},
		"server starting": {func(s *scene) {
			silent(s, 1).status(1,
				down)
			s.node(1).Agent.Server = topology.ServerStarting
		}, "wait starting"},
		"server starting with no upstream": {func(s *scene) { silent(s, 1).status(1, down); startingAstray(s, 1) },
			"resync/follow wrong-upstream"},
		"running standby that follows another": {func(s *scene) { astray(s, 1).status(1, down) },
			"resync/follow wrong-upstream"},
		"attached standby that follows another": {func(s *scene) { astray(s, 1) }, "resync/follow wrong-upstream"},
		"follows the primary, without our slot": {func(s *scene) { s.status(1, down); unslotted(s, 1) },
			"resync/follow wrong-upstream"},
		"streams from the primary without slot": {func(s *scene) { s.node(1).Agent.UpstreamSlot = "" }, "none healthy"},
		"set to follow, stream not begun": {func(s *scene) {
			s.status(1,
				down)
			s.node(1).SQL.Receiver = topology.WALReceiver{}
		}, "wait not-streaming"},
		"detached though healthy (S3)": {func(s *scene) { s.status(1, down) }, "attach ready"},
		"detached, streams, its lag too big": {func(s *scene) { s.status(1, down); s.node(1).SQL.Replay = 0x3000000 },
			"wait replaying"},
		"detached, streams, replay paused": {func(s *scene) { s.status(1, down); s.node(1).SQL.ReplayPaused = true },
			"wait replay-paused"},
		"detached, streams, not compared yet": {func(s *scene) {
			s.status(1,
				down)
			s.node(1).Lineage = topology.Lineage{}
		}, "wait lineage-unknown"},
		"attached, not compared: it was before": {func(s *scene) { s.node(1).Lineage = topology.Lineage{} }, "none healthy"},
		"streams under another spelling, listed": {func(s *scene) { alias(s, 1).status(1, down); listed(s, 1) },
			"attach ready"},
		"streams from elsewhere on that port": {func(s *scene) { alias(s, 1).status(1, down) },
			"resync/follow wrong-upstream"},
		"streams on the old timeline": {func(s *scene) { s.status(1, down); s.node(1).SQL.Receiver.Timeline = 9 },
			"wait not-streaming"},
		"unused slot": {func(s *scene) { s.status(1, topology.PoolUnused) }, "none not-in-pool"},
		"quarantined": {func(s *scene) {
			s.stopped(1).status(1,
				down)
			s.snap.Pools[0].Node(1).Quarantine = true
		}, "none quarantined"},
		"on hold (S3)": {func(s *scene) {
			s.status(1,
				down)
			s.mem.Holds = []Hold{{Node: 1, Who: "ann"}}
		}, "none on-hold"},
		"whole pool on hold": {func(s *scene) {
			s.status(1,
				down)
			s.mem.Holds = []Hold{{Node: topology.NoNode, Who: "ann"}}
		}, "none on-hold"},
		"hold that is over": {func(s *scene) {
			s.status(1,
				down)
			s.mem.Holds = []Hold{{Node: 1, Until: s.now.Add(-time.Second)}}
		}, "attach ready"},
		"hold of another node": {func(s *scene) { s.status(1, down); s.mem.Holds = []Hold{{Node: 2}} },
			"attach ready"},
		"run in progress": {func(s *scene) {
			s.stopped(1).status(1, down).run(1, topology.RunState{ID: "r", Method: topology.MethodRewind,
				Outcome: topology.RunWaiting, Steps: []topology.StepRun{{Name: "rewind"}}, BytesDone: 1, BytesTotal: 9})
		}, "wait resyncing"},
		// Hazards 8 and 26: a run must not go on from a node that is the primary no more.
		"run from a former primary": {func(s *scene) {
			s.stopped(1).status(1, down).run(1, topology.RunState{ID: "r", Upstream: 2, Method: topology.MethodStart,
				Outcome: topology.RunRunning})
		}, "cancel resyncing"},
		"attached here, detached at an independent Pgpool-II": {func(s *scene) {
			p := s.snap.Pools[0]
			p.Nodes = append([]topology.PoolNode(nil), p.Nodes...)
			p.Nodes[1].Status = down
			s.snap.Pools = append(s.snap.Pools, p)
		}, "attach ready"},
		"DISALLOW_TO_FAILOVER and diverged": {func(s *scene) { diverge(s, 1); s.node(1).NoFailover = true },
			"none attached-diverged"},
		"policy: rewind never": {func(s *scene) {
			diverge(s, 1).status(1, down)
			s.pol.Methods = modes("rewind",
				Never)
		}, "resync/base-backup diverged"},
		"policy: rewind asks": {func(s *scene) {
			diverge(s, 1).status(1, down)
			s.pol.Methods = modes("rewind",
				Ask)
		}, "none needs-consent"},
		"policy: rewind asks, consent given": {func(s *scene) {
			diverge(s, 1).status(1, down)
			s.pol.Methods = modes("rewind", Ask)
			s.memory(1).Asked = "rewind"
		}, "resync/rewind diverged"},
		"policy: nothing that helps is allowed": {func(s *scene) {
			diverge(s, 1).status(1, down)
			s.pol.Methods = map[topology.Method]Mode{topology.MethodRewind: Never, topology.MethodBaseBackup: Never}
		}, "none not-allowed"},
		"policy: attach asks": {func(s *scene) { s.status(1, down); s.pol.Methods = modes("attach", Ask) },
			"none needs-consent"},
		"a person asked for the copy": {func(s *scene) {
			diverge(s, 1).status(1,
				down)
			s.memory(1).Asked = "base-backup"
		}, "resync/base-backup diverged"},
		"the operator's own program": {func(s *scene) { diverge(s, 1).status(1, down); s.pol.Custom = true },
			"resync/custom diverged"},
		"own program, nothing to destroy": {func(s *scene) { s.stopped(1).status(1, down); s.pol.Custom = true },
			"resync/start standby-down"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t).learn()
			tt.world(s)
			checkDecision(t, s.expect("", tt.want)[1])
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	diverge(s, 1).status(1, topology.PoolDown)
	s.node(1).AppName = "server1"
	d := s.expect("", "resync/rewind diverged")[1]
	r := d.Request
	if r.Node != 1 || r.Method != topology.MethodRewind || r.Slot != "repool_node1" || r.AppName != "server1" ||
		r.Code != "diverged" ||
		r.Upstream.Node != 0 || r.Upstream.Host != "10.0.0.10" || r.Upstream.Port != 5432 || r.Upstream.SystemID != sys ||
		r.Upstream.History.TLI != 1 ||
		r.Divergence != 0x5000000 || r.DivergenceTLI != 1 || r.ID != "" || r.Token != 0 {
		t.Errorf("request %+v", r)
	}
	if d.Estimate.Bytes != 64<<20+9000 || d.Estimate.Seconds <= fixedRewind || d.Estimate.Basis == "" {
		t.Errorf("estimate %+v", d.Estimate)
	}
	var names []string
	for _, x := range d.Rejected {
		names = append(names, string(x.Method))
		if x.Why == "" {
			t.Errorf("%s is rejected without a reason", x.Method)
		}
	}
	if got := strings.Join(names, " "); got != "attach start follow adopt" {
		t.Errorf("rejected %s", got)
	}
}

func TestEveryCheaperMethodIsRejectedWithAReason(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	diverge(s, 1).status(1, topology.PoolDown)
	s.node(1).Lineage.RewindWAL = false
	d := s.expect("", "resync/base-backup diverged")[1]
	want := []topology.Method{"attach", "start", "follow", "adopt", "rewind", "delta-copy"}
	if len(d.Rejected) != len(want) {
		t.Fatalf("rejected %v", d.Rejected)
	}
	for i, r := range d.Rejected {
		if r.Method != want[i] || r.Why == "" {
			t.Errorf("rejected[%d] = %+v, want %s", i, r, want[i])
		}
	}
}
