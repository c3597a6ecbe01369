package controller

import (
	"maps"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
)

// ledger knows what is under way: which nodes are busy, which runs are open, what
// must not be tried before a time. It only keeps books, does nothing itself and
// waits for nothing, so any goroutine may call it, also with memory's lock held.
type ledger struct {
	mu   sync.Mutex // guards what follows
	busy map[slot]plan.Action
	// pass counts the passes; ended is the pass in which a slot was last freed.
	pass  uint64
	ended map[slot]uint64
	// noStart is how often in a row a run could not even be started on a node.
	noStart map[topology.NodeID]noStart
	// recoveries are the online recoveries, see leftToPgpool.
	recoveries map[topology.NodeID]recovery
	// checkpoints are those under way; true: another one was requested meanwhile.
	checkpoints map[topology.NodeID]bool
	hooksAt     time.Time // unfinished hooks are not tried before
	runs        runBook
}

func newLedger() *ledger {
	return &ledger{busy: map[slot]plan.Action{}, ended: map[slot]uint64{}, noStart: map[topology.NodeID]noStart{},
		recoveries: map[topology.NodeID]recovery{}, checkpoints: map[topology.NodeID]bool{}, runs: newRunBook()}
}

// slot is what one order at a time may have of a node. A detach, and the cancel of
// a run, have their own: a node that was attached by hand in the middle of its
// resync must not wait for the end of the run (P1).
type slot struct {
	node   topology.NodeID
	detach bool
	// told: an instruction is passed on, whatever else is done to the node.
	told bool
}

func slotOf(o order) slot {
	return slot{node: o.node, detach: o.what == plan.Detach || o.what == plan.Cancel, told: o.what == keepInstruction}
}

// beginPass is called before each look at the pool.
func (l *ledger) beginPass() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass++
}

// claim takes the node's slot for an order, unless what is under way there forbids
// it. An order that ended after this pass began forbids a decision of this pass too:
// the pass may have looked before that end, and would request the same again. Whoever
// claims must call free.
func (l *ledger) claim(o order) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := slotOf(o)
	if ended, ever := l.ended[s]; l.busy[s] != "" || o.decided && ever && ended == l.pass {
		return false
	}
	ok := true
	switch o.what {
	case plan.Attach:
		ok = l.busy[slot{node: o.node, detach: true}] == "" && !l.leftToPgpool(o.node)
	case plan.Nudge:
		ok = l.busy[slot{node: o.node, detach: true}] == ""
	case plan.Detach:
		other := l.busy[slot{node: o.node}]
		ok = other != plan.Attach && other != plan.Nudge
	case plan.Cancel:
		ok = l.runs.cancelled[o.node] != o.run
	case plan.Resync:
		ok = !time.Now().Before(l.noStart[o.node].until)
	}
	if ok {
		l.busy[s] = o.what
	}
	return ok
}

func (l *ledger) free(o order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, slotOf(o))
	l.ended[slotOf(o)] = l.pass
}

// noStart: the planner counts only runs that began.
type noStart struct {
	times int
	until time.Time // not tried again before
	text  string
}

// notStarted books a run that could not be started. again: for the same reason as
// the time before.
func (l *ledger) notStarted(node topology.NodeID, err error) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.noStart[node]
	again = n.text == err.Error()
	n.times, n.text = n.times+1, err.Error()
	n.until = time.Now().Add(min(time.Minute, time.Second<<min(n.times, 6)))
	l.noStart[node] = n
	return again
}

// mayStart forgets the runs that could not be started: one was, or a person has spoken.
func (l *ledger) mayStart(node topology.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.noStart, node)
}

// recovery is an online recovery of one node: until it has ended and its time is
// over, Pgpool-II attaches the node, and not this controller.
type recovery struct {
	underWay bool
	begun    time.Time
	until    time.Time
}

// recovering is the node of the online recovery that is under way, and since when.
func (l *ledger) recovering() (node topology.NodeID, begun time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, r := range l.recoveries {
		if r.underWay && (!ok || r.begun.Before(begun)) {
			node, begun, ok = id, r.begun, true
		}
	}
	return node, begun, ok
}

// leftToPgpool says whether Pgpool-II's own attach of the node comes first. l.mu
// is held.
func (l *ledger) leftToPgpool(node topology.NodeID) bool {
	r, ok := l.recoveries[node]
	if ok && !r.underWay && !time.Now().Before(r.until) {
		delete(l.recoveries, node)
		return false
	}
	return ok
}

// beginRecovery is false when one is under way already.
func (l *ledger) beginRecovery(node topology.NodeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recoveries[node].underWay {
		return false
	}
	l.recoveries[node] = recovery{underWay: true, begun: time.Now()}
	return true
}

// endRecovery leaves the attach to Pgpool-II until that time.
func (l *ledger) endRecovery(node topology.NodeID, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recoveries[node] = recovery{until: until}
}

// beginCheckpoint is false when one is under way: that one is then followed by another.
func (l *ledger) beginCheckpoint(node topology.NodeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, running := l.checkpoints[node]
	l.checkpoints[node] = running
	return !running
}

// endCheckpoint says whether another one was requested meanwhile, and can be run.
func (l *ledger) endCheckpoint(node topology.NodeID, stopping bool) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if again = l.checkpoints[node] && !stopping; again {
		l.checkpoints[node] = false
	} else {
		delete(l.checkpoints, node)
	}
	return again
}

// hooksDue says whether unfinished hooks may be tried now.
func (l *ledger) hooksDue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !time.Now().Before(l.hooksAt)
}

func (l *ledger) hooksAfter(pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hooksAt = time.Now().Add(pause)
}

// passByFor is how long a run is not taken up: one of another controller, since
// asking again at once is of no use, and one that has just ended, since facts
// gathered before its end may still come in.
const passByFor = 5 * time.Second

// runBook is the ledger's part about runs, by their ids. The ledger's lock guards it.
type runBook struct {
	// open are the runs that have a beginning in the history and no end yet.
	open map[string]topology.NodeID
	// tokens are those of the runs that we lead.
	tokens map[string]topology.Token
	// cancelled is the run of each node whose cancel was requested last.
	cancelled map[topology.NodeID]string
	// passedBy are runs not to be taken up before that time.
	passedBy map[string]time.Time
}

func newRunBook() runBook {
	return runBook{open: map[string]topology.NodeID{}, tokens: map[string]topology.Token{},
		cancelled: map[topology.NodeID]string{}, passedBy: map[string]time.Time{}}
}

// runStarted books a run whose end is to come.
func (l *ledger) runStarted(id string, node topology.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs.open[id] = node
}

// runEnded books the end, and passes the run by for a while.
func (l *ledger) runEnded(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs.passedBy[id] = time.Now().Add(passByFor)
	delete(l.runs.open, id)
}

func (l *ledger) isOpen(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, open := l.runs.open[id]
	return open
}

// unaccounted are the open runs that are not passed by, with their nodes.
func (l *ledger) unaccounted() map[string]topology.NodeID {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := maps.Clone(l.runs.open)
	for id := range l.runs.passedBy {
		delete(open, id)
	}
	return open
}

// lead books the token under which we lead a run.
func (l *ledger) lead(id string, token topology.Token) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs.tokens[id] = token
}

func (l *ledger) endLead(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.runs.tokens, id)
}

// token is zero for a run that nobody here leads.
func (l *ledger) token(id string) topology.Token {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs.tokens[id]
}

func (l *ledger) cancelled(node topology.NodeID, run string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs.cancelled[node] = run
}

// passBy keeps a run from being taken up for a while.
func (l *ledger) passBy(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs.passedBy[id] = time.Now().Add(passByFor)
}

// forgetPassed forgets the runs whose time has come again.
func (l *ledger) forgetPassed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(l.runs.passedBy, func(_ string, until time.Time) bool { return now.After(until) })
}

func (l *ledger) isPassedBy(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, is := l.runs.passedBy[id]
	return is
}
