package chaos

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/promise"
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
		r := newReaders(1)
		r.saw(0, "lost", at(c.seen))
		r.spells[0] = []spell{c.spell}
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
		r := newReaders(2)
		r.pool = []string{"up", c.before}
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
	r = &run{o: Options{Only: []string{"cable"}}}
	if err := r.choose(); err == nil || !strings.Contains(err.Error(), "--network") {
		t.Errorf("a cable on one host: %v", err)
	}
	r = &run{o: Options{Network: true, Only: []string{"cable"}}}
	if err := r.choose(); err != nil || len(r.faults) == 0 {
		t.Errorf("a cable between hosts: %v, %d faults", err, len(r.faults))
	}
	kinds := Kinds()
	slices.Sort(kinds)
	if len(slices.Compact(kinds)) != len(faults) {
		t.Error("two kinds of faults have one name")
	}
}

// A row that a node showed while it was attached counts, though it was seen
// again when the node was detached.
func TestStaleReadsAreNotForgotten(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	r := newReaders(1)
	r.spells[0] = []spell{{from: at(10), timeline: 2}}
	r.saw(0, "lost", at(12))
	r.saw(0, "other", at(13))
	r.spells[0][0].to = at(15)
	r.saw(0, "lost", at(20))
	r.saw(0, "other", at(21))
	if got := r.stale([]lab.Row{{Timeline: 1, Payload: "lost"}}); len(got) != 1 {
		t.Errorf("stale reads %q", got)
	}
}

// An attach that was requested before a failover and executed after it: the node may follow a little later, and must
// not
// show a row that the new primary does not have.
func TestAttachOvertakenByAFailover(t *testing.T) {
	t.Parallel()
	old := lab.NodeStatus{ID: 0, Answers: true, Primary: true, Attached: true, Pool: "up", Timeline: 2, Port: 1}
	promoted := lab.NodeStatus{ID: 2, Answers: true, Primary: true, Attached: true, Pool: "up", Timeline: 3, Port: 3}
	gone := lab.NodeStatus{ID: 0, Pool: "down"}
	waiting := lab.NodeStatus{ID: 2, Answers: true, Attached: true, Pool: "up", Timeline: 2, Streaming: true, Upstream: 1}
	node := lab.NodeStatus{ID: 1, Answers: true, Pool: "down", Timeline: 2, Streaming: true, Upstream: 1}
	attached := node
	attached.Attached, attached.Pool = true, "up"
	at := func(d time.Duration) time.Time { return time.Unix(100, 0).Add(d) }
	for name, c := range map[string]struct {
		after time.Duration // the promotion
		shows bool          // a lost row
		bad   bool
	}{
		"just after it":                {900 * time.Millisecond, false, false},
		"and it shows a lost row":      {900 * time.Millisecond, true, true},
		"much later, so not overtaken": {promise.Overtaken, false, true},
	} {
		r := newReaders(3)
		r.see(at(-time.Second), []lab.NodeStatus{old, node, waiting})
		r.see(at(0), []lab.NodeStatus{gone, node, promoted})
		r.see(at(c.after), []lab.NodeStatus{gone, attached, promoted})
		if c.shows {
			r.saw(1, "lost", at(c.after+time.Second))
		}
		_, problems := r.result()
		stale := r.stale([]lab.Row{{Timeline: 2, Payload: "lost"}})
		if (len(problems)+len(stale) > 0) != c.bad {
			t.Errorf("%s: problems %q, stale reads %q", name, problems, stale)
		}
	}
}

// Whoever attached a node: without the primary's stream it does not stay so.
func TestHeldAgainstP1(t *testing.T) {
	t.Parallel()
	primary := lab.NodeStatus{ID: 0, Answers: true, Primary: true, Attached: true, Pool: "up", Timeline: 2, Port: 1}
	good := lab.NodeStatus{ID: 1, Answers: true, Attached: true, Pool: "up", Timeline: 2, Streaming: true, Upstream: 1}
	astray, elsewhere, detached, silent, older := good, good, good, good, good
	astray.Streaming = false
	elsewhere.Upstream = 7
	older.Timeline = 1
	detached.Streaming, detached.Attached, detached.Pool = false, false, "down"
	silent.Answers = false
	for name, c := range map[string]struct {
		node  lab.NodeStatus
		fault int // second of a fault; 0: none
		bad   bool
	}{
		"streams":                         {good, 0, false},
		"does not stream":                 {astray, 0, true},
		"streams from another":            {elsewhere, 0, true},
		"is on an older timeline":         {older, 0, true},
		"detached":                        {detached, 0, false},
		"does not answer":                 {silent, 0, false},
		"a fault in between, and not yet": {astray, 50, false},
		"a fault in between, and again":   {astray, 20, true},
	} {
		r := newReaders(2)
		for s := range 90 {
			if s == c.fault {
				r.disturb = time.Unix(int64(s), 0)
			}
			r.see(time.Unix(int64(s), 500), []lab.NodeStatus{primary, c.node})
		}
		if _, problems := r.result(); len(problems) > 1 || (len(problems) == 1) != c.bad {
			t.Errorf("%s: problems %q", name, problems)
		}
	}
}

func TestLastLinesLeaveOutTheChatter(t *testing.T) {
	t.Parallel()
	log := "1: LOG:  one\n2: LOG:  status_changed_time 17\n\n3: LOG:  forked new pcp worker, pid=1 socket=6\n4: LOG:  " +
		"two\n5: LOG:  three\n"
	if got := lastLines(log, 2); !slices.Equal(got, []string{"4: LOG:  two", "5: LOG:  three"}) {
		t.Errorf("%q", got)
	}
}
