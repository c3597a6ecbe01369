package controller

import (
	"maps"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

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
	// cancelled is the run of each node whose cancel was asked for last.
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
