package hook

import (
	"errors"
	"testing"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
)

func TestRelate(t *testing.T) {
	t.Parallel()
	h := func(tli topology.TimelineID, anc ...topology.HistoryEntry) topology.History {
		return topology.History{TLI: tli, Ancestors: anc}
	}
	at := func(tli topology.TimelineID, lsn topology.LSN) topology.HistoryEntry {
		return topology.HistoryEntry{TLI: tli, Switch: lsn}
	}
	want := h(3, at(1, 100), at(2, 200))
	for name, c := range map[string]struct {
		h   topology.History
		pos topology.LSN
		rel relation
	}{
		"the same":                          {want, 300, onLine},
		"same number, other switch point":   {h(3, at(1, 100), at(2, 210)), 300, offLine},
		"same number, history unreadable":   {h(3), 300, onLine},
		"ancestor, not past the switch":     {h(2, at(1, 100)), 200, behind},
		"ancestor, past the switch":         {h(2, at(1, 100)), 201, offLine},
		"ancestor's number, other history":  {h(2, at(1, 90)), 150, offLine},
		"first timeline, before the switch": {h(1), 100, behind},
		"first timeline, past it":           {h(1), 101, offLine},
		"descendant":                        {h(4, at(1, 100), at(2, 200), at(3, 400)), 500, ahead},
		"newer, of another line":            {h(4, at(1, 100), at(2, 300)), 500, offLine},
		"newer, history unreadable":         {h(4), 500, ahead},
	} {
		if got := relate(c.h, c.pos, want); got != c.rel {
			t.Errorf("%s: %d, want %d", name, got, c.rel)
		}
	}
}

var noRules config.FailoverRules

func TestNodesOfTwoLinesAndNoRecord(t *testing.T) {
	t.Parallel()
	other := topology.History{TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 0x2000000}}}
	views := []view{
		{node: 1, attached: true, facts: Facts{InRecovery: true, SystemID: 1, History: line2, Receive: 0x3000100}},
		{node: 2, attached: true, facts: Facts{InRecovery: true, SystemID: 1, History: other, Receive: 0x3000200}},
	}
	if c := choose(views, Primary{}, 1, noRules); c.code != CodeLineUnclear {
		t.Errorf("%+v", c)
	}
	onRecord := Primary{SystemID: 1, History: line2}
	if c := choose(views, onRecord, 1, noRules); len(c.order) != 1 || c.order[0].node != 1 {
		t.Errorf("with a record: %+v", c)
	}
	older := Primary{SystemID: 1, History: topology.History{TLI: 1}}
	if c := choose(views, older, 1, noRules); c.code != CodeLineUnclear {
		t.Errorf("with an older record: %+v", c)
	}
	if c := choose(nil, Primary{}, 1, noRules); c.code != CodeNoCandidate {
		t.Errorf("nobody: %+v", c)
	}
	silent := []view{{node: 1, err: errors.New("x")}}
	if c := choose(silent, Primary{}, 1, noRules); c.code != CodeNoCandidate || len(c.notes) != 1 {
		t.Errorf("no answer: %+v", c)
	}
}
