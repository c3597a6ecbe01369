package chaos

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
)

// A row of a lost timeline may be read on a node as long as nobody has attached
// it to a later one.
func TestStaleReads(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	lost := lab.Row{Timeline: 1, Payload: "lost"}
	for name, c := range map[string]struct {
		seen  int
		spell spell
		stale bool
	}{
		"after an attach to a later timeline":   {20, spell{from: at(10), timeline: 2}, true},
		"before it":                             {5, spell{from: at(10), timeline: 2}, false},
		"after it was detached again":           {20, spell{from: at(10), to: at(15), timeline: 2}, false},
		"attached while that timeline was live": {20, spell{from: at(10), timeline: 1}, false},
	} {
		r := readers{seen: []map[string]time.Time{{"lost": at(c.seen)}}, spells: [][]spell{{c.spell}}}
		if got := r.stale([]lab.Row{lost}); (len(got) > 0) != c.stale {
			t.Errorf("%s: %v, want stale %v", name, got, c.stale)
		}
	}
}

// What Pgpool-II attaches by itself when it starts, and what a person attaches,
// is not repool's word.
func TestAttachesOfOthers(t *testing.T) {
	t.Parallel()
	now := time.Now()
	primary := lab.NodeStatus{ID: 0, Answers: true, Primary: true, Attached: true, Pool: "up", Timeline: 2, Port: 1}
	standby := lab.NodeStatus{ID: 1, Answers: true, Attached: true, Pool: "up", Timeline: 2, Streaming: true, Upstream: 1}
	astray := standby
	astray.Streaming = false
	for name, c := range map[string]struct {
		before string
		byHand bool
		node   lab.NodeStatus
		spells int
		bad    bool
	}{
		"by repool":               {"down", false, standby, 1, false},
		"by repool, not proven":   {"down", false, astray, 1, true},
		"by a person":             {"down", true, astray, 0, false},
		"by Pgpool-II's start":    {"unknown", false, astray, 0, false},
		"attached all the while":  {"up", false, standby, 0, false},
		"it answers no more, yet": {"down", false, lab.NodeStatus{ID: 1, Attached: true, Pool: "up"}, 1, false},
	} {
		r := readers{pool: []string{"up", c.before}, spells: make([][]spell, 2), byHand: make([]time.Time, 2)}
		if c.byHand {
			r.attachedByHand(1)
		}
		r.see(now, []lab.NodeStatus{primary, c.node})
		if _, problems := r.result(); len(r.spells[1]) != c.spells || (len(problems) > 0) != c.bad {
			t.Errorf("%s: spells %+v, problems %v", name, r.spells[1], problems)
		}
	}
}

func TestFaultsAreChosen(t *testing.T) {
	t.Parallel()
	r := &run{o: Options{Only: []string{"kill", "freeze"}}, rnd: rand.New(rand.NewPCG(1, 0))}
	if err := r.choose(); err != nil || len(r.faults) == 0 {
		t.Fatalf("%v, %d faults", err, len(r.faults))
	}
	for _, f := range r.faults {
		if f.kind != "kill" && f.kind != "freeze" {
			t.Errorf("%s is drawn, and was not asked for", f.kind)
		}
	}
	r = &run{o: Options{Only: []string{"flood"}}}
	if err := r.choose(); err == nil || !strings.Contains(err.Error(), "flood") {
		t.Errorf("an unknown kind: %v", err)
	}
	kinds := Kinds()
	slices.Sort(kinds)
	if len(slices.Compact(kinds)) != len(faults) {
		t.Error("two kinds of faults have one name")
	}
}
