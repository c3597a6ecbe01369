package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/history"
)

// A hook reads what is held from the disk; what it cannot read, it takes for held.
func TestHookKnowsWhatIsHeld(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	is := func(node topology.NodeID, want bool) {
		t.Helper()
		if got, err := held(dir, node, now); got != want || err != nil {
			t.Errorf("node %s held: %v, %v; want %v", node, got, err, want)
		}
	}
	save := func(holds ...plan.Hold) {
		t.Helper()
		if err := history.CopyAt(dir, history.HoldsFile).Save(holds); err != nil {
			t.Fatal(err)
		}
	}
	is(1, false) // there is no file: no controller has run yet
	save(plan.Hold{Node: 1, Who: "ann"}, plan.Hold{Node: 2, Until: now.Add(-time.Second)},
		plan.Hold{Node: 3, Until: now.Add(time.Hour)})
	is(0, false)
	is(1, true)
	is(2, false)
	is(3, true)
	save(plan.Hold{Node: topology.NoNode, Who: "ann"})
	is(0, true)
	if err := os.WriteFile(filepath.Join(dir, history.HoldsFile), []byte(`{"value": [`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := held(dir, 0, now); err == nil {
		t.Error("a garbled file is no word that nothing is held")
	}
}
