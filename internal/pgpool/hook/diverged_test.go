package hook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/core/topology"
)

// A detached standby that received more than the promoted one has diverged. An
// attach of it may be in Pgpool-II's queue: it must not be readable when the hook
// returns.
func TestDivergedStandbysAreStopped(t *testing.T) {
	t.Parallel()
	at := func(pos topology.LSN, change func(*fakeNode)) *fakeNode {
		n := standby(pos)
		if change != nil {
			change(n)
		}
		return n
	}
	primary2 := primary()
	primary2.facts.History = line2 // timeline 1 was left at 0/3000000
	for name, c := range map[string]struct {
		primary *fakeNode // node 1, after the failure of node 0
		node2   *fakeNode // node 2
		status  string    // of node 2 in Pgpool-II
		held    func(topology.NodeID) (bool, error)
		fenced  int
		note    string
	}{
		"ahead of the promoted one": {node2: at(0x200, nil), fenced: 1, note: "stopped (fast)"},
		"received more, and not replayed it": {node2: at(0x200, func(n *fakeNode) { n.facts.Replay = 0x80 }), fenced: 1,
			note: "0/200"},
		"level with it":     {node2: at(0x100, nil)},
		"behind it":         {node2: at(0x80, nil)},
		"of another system": {node2: at(0x200, func(n *fakeNode) { n.facts.SystemID = 78 })},
		"a primary itself": {node2: at(0x200,
			func(n *fakeNode) { n.facts.InRecovery = false; n.facts.History = topology.History{TLI: 1} }), primary: primary2},
		"Pgpool-II routes to it":       {node2: at(0x200, nil), status: "up", primary: primary2},
		"nobody knows whether it does": {node2: at(0x3000100, nil), status: "?", primary: primary2},
		"held": {node2: at(0x200, nil),
			held: func(id topology.NodeID) (bool, error) { return id == 2, nil }, note: "left running"},
		"held, by another host's controller": {node2: at(0x200, func(n *fakeNode) {
			n.told.Node = topology.Instruction{Number: 1, Word: topology.WordHold}
		}), note: "left running"},
		"another is held": {node2: at(0x200, nil),
			held: func(id topology.NodeID) (bool, error) { return id != 2, nil }, fenced: 1, note: "stopped (fast)"},
		"nobody knows what is held": {node2: at(0x200, nil), note: os.ErrPermission.Error(),
			held: func(topology.NodeID) (bool, error) { return false, os.ErrPermission }},
		"its agent is not there":        {node2: at(0x200, func(n *fakeNode) { n.noAgent = true }), note: "was not stopped"},
		"its agent cannot":              {node2: at(0x200, func(n *fakeNode) { n.stuck = true }), note: "was not stopped"},
		"promoted before the hook came": {node2: at(0x3000100, nil), primary: primary2, fenced: 1, note: "stopped (fast)"},
		"of the line that was promoted": {node2: at(0x3000000, nil), primary: primary2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.primary == nil {
				c.primary = standby(0x100)
			}
			w := newWorld(dead(), c.primary, c.node2)
			d := w.deps(t)
			d.Held = c.held
			d.Pool.Pgpool.WorkDir = t.TempDir()
			if c.status == "" {
				c.status = "down"
			}
			if err := os.WriteFile(filepath.Join(d.Pool.Pgpool.WorkDir, "pgpool_status"), []byte("down\nup\n"+c.status+"\n"),
				0o600); err != nil {
				t.Fatal(err)
			}
			if err := NotePrimary(d.stateDir(), Primary{Node: 0, SystemID: 77, History: topology.History{TLI: 1}}); err != nil {
				t.Fatal(err)
			}
			r, err := Failover(t.Context(), d, lost)
			if err != nil || r.Node != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			if c.node2.fenced != c.fenced {
				t.Errorf("stopped %d times, want %d: %q", c.node2.fenced, c.fenced, r.Notes)
			}
			if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, c.note) || c.note == "" &&
				strings.Contains(notes, "detached standby") {
				t.Errorf("the notes are %q, want %q in them", r.Notes, c.note)
			}
		})
	}
}
