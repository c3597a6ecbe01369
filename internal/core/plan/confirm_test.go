package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

func TestConfirm(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		world func(*scene)
		want  string // in the error; empty: clearance
	}{
		"nothing has changed":       {func(*scene) {}, ""},
		"Pgpool-II does not answer": {func(s *scene) { s.snap.Pools[0].Err = "timeout" }, "does not answer"},
		"watchdog leadership lost": {func(s *scene) { s.snap.Pools[0].Watchdog.Enabled = true },
			"not the watchdog leader"},
		"the primary is gone (S7)":   {func(s *scene) { s.stopped(0) }, "primary-unreachable"},
		"another primary since (S7)": {func(s *scene) { s.promoted(2) }, "the primary is node 2 now"},
		"Pgpool-II has lost it":      {func(s *scene) { s.poolPrimary(topology.NoNode) }, "does not recognise node 0"},
		"the primary was promoted once more": {func(s *scene) { s.primary(0, "1@0/5000000 2", 0x5001000) },
			"history is 1@0/5000000 → 2 now"},
		"the node was attached meanwhile": {func(s *scene) { s.status(1, topology.PoolUp) }, "is attached"},
		"the node was put on hold":        {func(s *scene) { s.mem.Holds = []Hold{{Node: 1}} }, "on hold"},
		"the node holds another cluster's data": {func(s *scene) { s.node(1).Agent.Control.SystemID = otherSys },
			"different system identifier"},
		"another cluster's server on the node's port": {func(s *scene) {
			s.standby(1, 0).status(1, topology.PoolDown).node(1).Agent.Control.SystemID = otherSys
		}, "different clusters"},
		"the node accepts writes":                 {func(s *scene) { s.primary(1, "1", 0x5000200) }, "primary-ambiguous"},
		"the facts are old":                       {func(s *scene) { s.now = s.now.Add(time.Minute) }, "does not answer"},
		"two candidates":                          {func(s *scene) { s.primary(2, "1", 0x5000200) }, "primary-ambiguous"},
		"the primary answers, its agent does not": {func(s *scene) { noAgent(s, 0) }, ""},
		"the run is on the primary": {func(s *scene) { s.snap.Nodes[1].ID = 9 },
			"is the primary or not in the pool"},
		"system identifier of the primary changed": {func(s *scene) { s.node(0).SQL.SystemID = otherSys }, "foreign-system"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t).learn()
			diverge(s, 1).stopped(1).status(1, topology.PoolDown)
			d := s.expect("", "resync/rewind diverged")[1]
			run := topology.RunState{ID: "r", Node: 1, Upstream: 0, Method: topology.MethodRewind, Outcome: topology.RunWaiting}
			s.run(1, run)
			tt.world(s)
			for _, req := range []*topology.RunRequest{d.Request, nil} {
				err := Confirm(s.mem, s.snap, s.pol, s.now, run, req)
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Confirm = %v, want %q", err, tt.want)
				}
			}
		})
	}
}
