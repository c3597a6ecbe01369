package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

func TestPrimary(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		world func(*scene)
		want  []string
	}{
		"all is well": {func(*scene) {}, []string{"none primary", "none healthy", "none healthy"}},
		"this controller is not beside the watchdog leader": {func(s *scene) {
			s.stopped(1).status(1, topology.PoolDown)
			s.snap.Pools[0].Watchdog = topology.Watchdog{Enabled: true, State: "STANDBY", Quorum: 1}
		}, []string{"none not-leader", "none not-leader", "none not-leader"}},
		"leader without quorum": {func(s *scene) {
			s.snap.Pools[0].Watchdog = topology.Watchdog{Enabled: true, Leader: true, State: "LEADER", Quorum: -1}
		}, []string{"none not-leader", "none not-leader", "none not-leader"}},
		"leader with a quorum on the edge, as after the loss of one member of three": {func(s *scene) {
			s.snap.Pools[0].Watchdog = topology.Watchdog{Enabled: true, Leader: true, State: "LEADER", Quorum: 0}
		}, []string{"none primary", "none healthy", "none healthy"}},
		"leader with quorum": {func(s *scene) {
			s.snap.Pools[0].Watchdog = topology.Watchdog{Enabled: true, Leader: true, State: "LEADER", Quorum: 1}
		}, []string{"none primary", "none healthy", "none healthy"}},
		"PCP does not answer": {func(s *scene) {
			s.snap.Pools[0].Err = "timeout"
			s.stopped(1)
		}, []string{"wait pool-unreachable", "wait pool-unreachable", "wait pool-unreachable"}},
		"PCP answered too long ago": {func(s *scene) {
			s.snap.Pools[0].At = s.now.Add(-time.Minute)
		}, []string{"wait pool-unreachable", "wait pool-unreachable", "wait pool-unreachable"}},
		"no primary, and no failover under way (S10)": {func(s *scene) {
			s.stopped(0).status(0, topology.PoolDown)
			s.snap.Pools[0].Nodes[0].LastChange = s.now.Add(-time.Hour)
		}, []string{"wait no-primary", "wait no-primary", "wait no-primary"}},
		"the primary died, and the failover is under way": {func(s *scene) {
			s.stopped(0).status(0, topology.PoolDown)
		}, []string{"wait failover-running", "wait failover-running", "wait failover-running"}},
		"the primary died a moment ago, and Pgpool-II has not noticed": {func(s *scene) {
			s.stopped(0)
		}, []string{"wait primary-unreachable", "wait primary-unreachable", "wait primary-unreachable"}},
		"the primary is frozen": {func(s *scene) {
			s.stopped(0).status(0, topology.PoolDown)
			s.node(0).Agent.Server = topology.ServerFrozen
		}, []string{"wait primary-unreachable", "wait primary-unreachable", "wait primary-unreachable"}},
		"promoted, and its history not read yet": {func(s *scene) {
			s.promoted(1)
			s.node(1).Agent.History = hist("1")
		}, []string{"wait primary-history-unknown", "wait primary-history-unknown", "wait primary-history-unknown"}},
		"the old primary comes back first, and alone (S17)": {func(s *scene) {
			s.promoted(1).standby(2, 1).learn()
			s.primary(0, "1", 0x5000200).stopped(1).stopped(2).status(1, topology.PoolDown).status(2, topology.PoolDown)
		}, []string{"wait primary-stale", "wait primary-stale", "wait primary-stale"}},
		"the old primary comes back first and Pgpool-II routes to it": {func(s *scene) {
			s.promoted(1).standby(2, 1).learn()
			s.primary(0, "1", 0x5000200).status(0, topology.PoolUp).stopped(1).stopped(2).poolPrimary(0)
		}, []string{"detach primary-stale", "wait primary-stale", "wait primary-stale"}},
		"without memory, a stopped node that holds a newer line shows that the primary is stale": {func(s *scene) {
			s.mem = Memory{Primary: topology.NoNode}
			s.stopped(1)
			s.node(1).Agent.History = hist("1@0/5000000 2")
		}, []string{"detach primary-stale", "wait primary-stale", "wait primary-stale"}},
		"with memory, a stray promotion that is over does not": {func(s *scene) {
			s.stopped(1).status(1, topology.PoolDown).lineage(1, 0, topology.LineageDiverged)
			s.node(1).Agent.History = hist("1@0/5000000 2")
		}, []string{"none primary", "resync/rewind diverged", "none healthy"}},
		"two standbys promoted to one timeline number (S9)": {func(s *scene) {
			s.promoted(1).primary(2, "1@0/5000000 2", 0x5002000)
		}, []string{"wait primary-ambiguous", "wait primary-ambiguous", "wait primary-ambiguous"}},
		"two unrelated primaries (S10)": {func(s *scene) {
			s.primary(2, "1@0/4000000 3", 0x5002000).primary(0, "1@0/4500000 2", 0x5002000)
			s.mem = Memory{Primary: topology.NoNode}
		}, []string{"wait primary-ambiguous", "wait primary-ambiguous", "wait primary-ambiguous"}},
		"two primaries of different clusters, and nothing says which is the pool's": {func(s *scene) {
			s.primary(2, "1", 0x5002000).poolPrimary(topology.NoNode)
			s.node(2).SQL.SystemID = otherSys
			s.mem = Memory{Primary: topology.NoNode}
		}, []string{"wait primary-ambiguous", "wait primary-ambiguous", "wait primary-ambiguous"}},
		"the same, and a person settled it": {func(s *scene) {
			s.primary(2, "1", 0x5002000).poolPrimary(topology.NoNode).status(2, topology.PoolDown)
			s.node(2).SQL.SystemID = otherSys
			s.mem = Memory{Primary: topology.NoNode, Nodes: []NodeMemory{{Node: 2, Asked: "any"}}}
		}, []string{"wait pool-blind", "none healthy", "none foreign-system"}},
		"another cluster's primary beside the pool's (S10)": {func(s *scene) {
			s.primary(2, "1", 0x5002000).status(2, topology.PoolDown)
			s.node(2).SQL.SystemID = otherSys
		}, []string{"none primary", "none healthy", "none foreign-system"}},
		"only another cluster's primary answers": {func(s *scene) {
			s.primary(2, "1", 0x5002000).stopped(0)
			s.node(2).SQL.SystemID = otherSys
		}, []string{"wait foreign-system", "wait foreign-system", "wait foreign-system"}},
		"a lone node on the remembered primary's own timeline (hazard 5)": {func(s *scene) {
			s.stopped(0).status(0, topology.PoolDown).primary(1, "1", 0x5001000).poolPrimary(1)
		}, []string{"wait primary-ambiguous", "wait primary-ambiguous", "wait primary-ambiguous"}},
		"a standby promoted by hand while Pgpool-II routes to the living primary": {func(s *scene) {
			s.primary(2, "1@0/5000000 2", 0x5001000)
		}, []string{"wait primary-contested", "wait primary-contested", "wait primary-contested"}},
		"the same, and a person agrees to overwrite the promoted one": {func(s *scene) {
			s.learn().primary(2, "1@0/5000000 2", 0x5001000)
			s.memory(2).Asked = "any"
		}, []string{"none primary", "none healthy", "detach attached-second-primary"}},
		"the same, and a person agrees to overwrite the living primary": {func(s *scene) {
			s.learn().primary(2, "1@0/5000000 2", 0x5001000).standby(1, 2)
			s.memory(0).Asked = "any"
		}, []string{"detach attached-second-primary", "none healthy", "wait pool-blind"}},
		"the same, and the living primary does not answer us": {func(s *scene) {
			s.primary(2, "1@0/5000000 2", 0x5001000)
			s.node(0).SQL = topology.SQLFacts{Source: topology.Source{At: s.now, Err: "timeout"}}
		}, []string{"wait primary-contested", "wait primary-contested", "wait primary-contested"}},
		"a person rebuilt the remembered primary as a standby of another": {func(s *scene) {
			s.primary(1, "1", 0x5001000).standby(0, 1).standby(2, 1).poolPrimary(1)
		}, []string{"none healthy", "none primary", "none healthy"}},
		"a person agrees to overwrite the remembered primary": {func(s *scene) {
			s.promoted(1).standby(2, 1).learn()
			s.primary(0, "1", 0x5000200).status(0, topology.PoolUp).stopped(1).status(1,
				topology.PoolDown).poolPrimary(0).standby(2, 0)
			s.lineage(1, 0, topology.LineageDiverged)
			s.memory(1).Asked = "any"
		}, []string{"none primary", "resync/rewind diverged", "none healthy"}},
		"old primary started by hand as a second primary (act 5)": {func(s *scene) {
			s.promoted(1).standby(2, 1).primary(0, "1", 0x5000200)
		}, []string{"fence second-primary", "none primary", "none healthy"}},
		"the same, attached by hand": {func(s *scene) {
			s.promoted(1).standby(2, 1).primary(0, "1", 0x5000200).status(0, topology.PoolUp)
		}, []string{"detach attached-second-primary", "none primary", "none healthy"}},
		"old primary running, and silent to SQL": {func(s *scene) {
			s.promoted(1).standby(2, 1)
			s.node(0).Agent.Server = topology.ServerRunning
		}, []string{"fence second-primary", "none primary", "none healthy"}},
		"old primary frozen, which may thaw as a second primary (S2)": {func(s *scene) {
			s.promoted(1).standby(2, 1)
			s.node(0).Agent.Server = topology.ServerFrozen
		}, []string{"fence second-primary", "none primary", "none healthy"}},
		"old primary in crash recovery": {func(s *scene) {
			s.promoted(1).standby(2, 1)
			s.node(0).Agent.Server = topology.ServerStarting
		}, []string{"fence second-primary", "none primary", "none healthy"}},
		"second primary without an agent": {func(s *scene) {
			s.promoted(1).standby(2, 1).primary(0, "1", 0x5000200)
			s.node(0).Agent = topology.Inspection{Source: topology.Source{At: s.now, Err: "no agent"}}
		}, []string{"none second-primary", "none primary", "none healthy"}},
		"second primary, and policy asks before a fence": {func(s *scene) {
			s.pol.Fence = Ask
			s.promoted(1).standby(2, 1).primary(0, "1", 0x5000200)
		}, []string{"none needs-consent", "none primary", "none healthy"}},
		"second primary, and policy forbids a fence": {func(s *scene) {
			s.pol.Fence = Never
			s.promoted(1).standby(2, 1).primary(0, "1", 0x5000200)
		}, []string{"none not-allowed", "none primary", "none healthy"}},
		"Pgpool-II started without its status file, with the old primary up (S13)": {func(s *scene) {
			s.promoted(1).standby(2, 1).learn()
			s.primary(0, "1", 0x5000200).status(0, topology.PoolWaiting).poolPrimary(0)
		}, []string{"detach attached-second-primary", "wait pool-blind", "none healthy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t).learn()
			tt.world(s)
			s.expect(tt.want...)
		})
	}
}

func TestOldPrimaryIsNotLearnedWhilePgpoolRoutesElsewhere(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	// A stray promotion, in the one pass in which the true primary is silent.
	s.primary(2, "1@0/5000000 2", 0x5001000)
	s.node(0).SQL = topology.SQLFacts{Source: topology.Source{At: s.now, Err: "timeout"}}
	s.learn().primary(0, "1", 0x5002000)
	s.expect("wait primary-contested")
	if s.mem.Primary != 0 {
		t.Errorf("learned node %s for the primary", s.mem.Primary)
	}
}

// S7: the new primary dies right after its promotion, and the next standby, that
// has seen nothing of it, is promoted to a line of its own under the same number.
// Another cluster answers on the last primary's port, and a person agrees to have
// that node overwritten: this must not make the pool that other cluster's.
func TestGivingUpANodeDoesNotChangeThePoolsSystemIdentifier(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.node(0).SQL.SystemID, s.node(0).Agent.Control.SystemID = otherSys, otherSys
	s.memory(0).Asked = askedAny
	s.expect("wait foreign-system", "wait foreign-system", "wait foreign-system")
	s.promoted(1).standby(2, 1)
	s.primary(0, "1", 0x5000200).status(0, topology.PoolUp).poolPrimary(0)
	s.node(0).SQL.SystemID, s.node(0).Agent.Control.SystemID = otherSys, otherSys
	s.expect("detach foreign-system", "", "")
	if s.mem.SystemID != sys {
		t.Errorf("the pool is %s now", s.mem.SystemID)
	}
}

func TestAFailoverOutranksTheRememberedPrimary(t *testing.T) {
	t.Parallel()
	s := newScene(t).promoted(1).learn()
	s.stopped(1).status(1, topology.PoolDown).status(2, topology.PoolDown)
	s.primary(2, "1@0/5000000 2", 0x5001000)
	s.expect("wait primary-ambiguous", "wait primary-ambiguous", "wait primary-ambiguous")
	p := s.node(2)
	s.snap.Promoted = topology.Promotion{Node: 2, SystemID: p.SQL.SystemID, History: hist("1@0/4000000 2")}
	s.expect("wait primary-ambiguous", "wait primary-ambiguous", "wait primary-ambiguous")
	s.snap.Promoted.History = hist("1@0/5000000 2")
	s.expect("", "", "attach primary-detached")
}

// The controller was down while a failover promoted node 1, which hangs now; the
// old primary, which the controller knows well, has been started by hand. It must
// not be attached, nor the new one detached for it.
func TestTheRememberedPrimaryWasDeposedUnseen(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	id := s.node(0).SQL.SystemID
	s.promoted(1)
	s.primary(0, "1", 0x5002000).status(0, topology.PoolDown)
	s.node(1).SQL = topology.SQLFacts{Source: topology.Source{At: s.now, Err: "timeout"}}
	s.node(1).Agent.Server = topology.ServerFrozen
	s.snap.Promoted = topology.Promotion{Node: 1, SystemID: id, History: hist("1@0/5000000 2")}
	s.expect("wait primary-stale", "wait primary-stale", "wait primary-stale")
	if s.mem.Primary != 0 {
		t.Errorf("learned node %s for the primary", s.mem.Primary)
	}
	s.memory(1).Asked = "any" // its data are given up
	if ds := s.step(); ds[0].Code == codes.PrimaryStale {
		t.Errorf("a person's word does not help: %+v", ds[0])
	}
	s.memory(1).Asked = ""
	s.primary(1, "1@0/5000000 2", 0x5003000) // it thaws
	s.expect("fence second-primary", "none primary")
}

// Only a line that descends from the remembered one is later for certain.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	mem := Memory{Primary: 0, SystemID: 7, History: hist("1@0/5000000 2")}
	for name, c := range map[string]struct {
		promoted topology.Promotion
		want     bool
	}{
		"nothing is noted": {topology.Promotion{}, false},
		"the same":         {topology.Promotion{Node: 0, SystemID: 7, History: mem.History}, false},
		"another node, on a later line": {topology.Promotion{Node: 1, SystemID: 7,
			History: hist("1@0/5000000 2@0/6000000 3")}, true},
		"another node, on another line":  {topology.Promotion{Node: 1, SystemID: 7, History: hist("1@0/4000000 2")}, false},
		"another node, on an older line": {topology.Promotion{Node: 1, SystemID: 7, History: hist("1")}, false},
		"another system": {topology.Promotion{Node: 1, SystemID: 8,
			History: hist("1@0/5000000 2@0/6000000 3")}, false},
	} {
		snap := topology.Snapshot{Promoted: c.promoted, Nodes: []topology.Node{{ID: 0}, {ID: 1}}}
		if got := Overtaken(mem, &snap); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		snap.Nodes[1].SQL = topology.SQLFacts{Source: topology.Source{At: time.Now()}, InRecovery: true,
			Receiver: topology.WALReceiver{Status: "streaming", Timeline: 2}}
		if Overtaken(mem, &snap) {
			t.Errorf("%s: and it streams the remembered line by now", name)
		}
	}
}

func TestPoolBlind(t *testing.T) {
	t.Parallel()
	t.Run("someone promotes a standby while Pgpool-II knows no primary (S18)", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		s.promoted(1).poolPrimary(topology.NoNode).standby(2, 1).lineage(0, 1, topology.LineageOnLine)
		s.expect("resync/adopt old-primary-on-line", "wait pool-blind", "none healthy")
		s.later(s.pol.NudgeAfter)
		s.expect("", "nudge pool-blind", "none healthy")
		s.later(time.Second)
		s.expect("", "wait pool-blind", "none healthy")
		nudges := 1
		for range 1000 {
			if s.later(time.Second).step()[1].Action == Nudge {
				nudges++
				s.status(1, topology.PoolUp) // carried out, and to no avail
			}
		}
		if nudges != maxNudges {
			t.Errorf("%d nudges, want %d", nudges, maxNudges)
		}
		ds := s.expect("", "none pool-blind")
		if ds[1].Severity != codes.Refused || ds[1].Hint == "" {
			t.Errorf("no hint after the last nudge: %+v", ds[1])
		}
		s.poolPrimary(1)
		s.expect("", "none primary", "none healthy")
		if s.mem.Nudges != 0 || s.mem.Primary != 1 {
			t.Errorf("memory %+v", s.mem)
		}
	})
	t.Run("a Pgpool-II that carries out no request needs a restart, which is said soon", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		s.poolPrimary(topology.NoNode)
		s.expect("wait pool-blind", "none healthy", "none healthy")
		nudges, since := 0, s.now
		for s.now.Sub(since) < time.Minute {
			ds := s.later(time.Second).step()
			if ds[0].Action == Nudge {
				nudges++
			}
			if ds[0].Severity == codes.Refused {
				break
			}
		}
		if nudges != maxIgnoredNudges || s.now.Sub(since) > 30*time.Second {
			t.Errorf("given up after %d nudges in %s", nudges, s.now.Sub(since))
		}
		s.poolPrimary(0)
		s.expect("none primary")
	})
	t.Run("a failover command that takes its time is not disturbed", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		s.promoted(1).poolPrimary(0).standby(2, 1).learn()
		s.later(2 * s.pol.NudgeAfter)
		s.expect("", "wait pool-blind", "none healthy")
		s.later(failoverPatience)
		s.expect("", "nudge pool-blind", "none healthy")
	})
	t.Run("a proven standby makes it look again without a nudge", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		s.promoted(1).poolPrimary(topology.NoNode).standby(2, 1).status(2, topology.PoolDown)
		s.expect("", "wait pool-blind", "wait pool-blind")
		s.later(s.pol.NudgeAfter)
		s.expect("", "wait pool-blind", "attach ready")
	})
	t.Run("the unambiguous primary is detached", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		s.promoted(1).status(1, topology.PoolDown).standby(2, 1).poolPrimary(topology.NoNode)
		s.expect("", "attach primary-detached", "none healthy")
		s.later(time.Second)
		s.expect("", "wait attaching", "none healthy")
	})
	t.Run("nothing is attached while the primary that it would be level with is being replaced", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		// Pgpool-II has given up node 0 and runs its failover command; node 0 is
		// not fenced yet. An attach would be carried out when node 1 is the primary.
		s.status(0, topology.PoolDown).status(2, topology.PoolDown)
		s.expect("wait primary-detached", "none healthy", "wait ready")
		s.later(failoverPatience - time.Second)
		s.expect("wait primary-detached", "none healthy", "wait ready")
		s.later(time.Second)
		s.expect("attach primary-detached", "none healthy", "attach ready")
	})
	t.Run("it is attached at once when that failover has ended without another primary", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		s.status(0, topology.PoolDown).poolPrimary(topology.NoNode)
		s.expect("attach primary-detached", "none healthy", "none healthy")
	})
	t.Run("while Pgpool-II routes writes to a standby, no other node is judged or changed", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		s.mem = Memory{Primary: topology.NoNode}
		s.poolPrimary(1).lineage(2, 0, topology.LineageDiverged)
		s.node(2).SQL.Receiver = topology.WALReceiver{}
		s.expect("wait pool-blind", "none healthy", "wait pool-blind")
		s.stopped(2).status(2, topology.PoolDown).lineage(2, 0, topology.LineageOnLine)
		s.expect("wait pool-blind", "none healthy", "wait pool-blind")
		s.node(2).Agent.StandbySignal, s.node(2).Agent.Server = false, topology.ServerStarting
		s.expect("wait pool-blind", "none healthy", "wait pool-blind")
		s.later(s.pol.NudgeAfter)
		s.expect("nudge pool-blind")
	})
	t.Run("DISALLOW_TO_FAILOVER cannot be nudged", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		s.promoted(1).poolPrimary(topology.NoNode).standby(2, 1)
		s.node(1).NoFailover = true
		s.learn().later(s.pol.NudgeAfter)
		s.expect("", "none pool-blind")
	})
	t.Run("nothing is overwritten until Pgpool-II agrees (P2)", func(t *testing.T) {
		t.Parallel()
		s := newScene(t).learn()
		s.promoted(1).poolPrimary(topology.NoNode).standby(2, 1).lineage(0, 1, topology.LineageDiverged)
		s.expect("wait pool-blind")
		s.poolPrimary(1)
		s.expect("resync/rewind diverged")
	})
}

// TestNoPrimaryNamesABrokenFailoverCommand: whoever reads the refusal learns why
// nothing was promoted.
func TestNoPrimaryNamesABrokenFailoverCommand(t *testing.T) {
	s := newScene(t)
	s.stopped(0).status(0, topology.PoolDown)
	s.snap.Pools[0].Nodes[0].LastChange = s.now.Add(-time.Hour)
	s.snap.FailoverTrouble = "failover_command runs /gone, but it is missing"
	for _, d := range s.expect("wait no-primary", "wait no-primary", "wait no-primary") {
		if !strings.Contains(d.Reason, "likely cause: "+s.snap.FailoverTrouble) {
			t.Errorf("got %q", d.Reason)
		}
	}
}
