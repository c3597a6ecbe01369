package controller

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

const (
	// busyInterval is the pace while something is under way.
	busyInterval = 150 * time.Millisecond
	// busyFor is how long after the last change of a decision that pace is kept.
	busyFor = 15 * time.Second
	// passGap is the least time between two passes, however often one is asked
	// for: Pgpool-II logs each PCP connection.
	passGap = 50 * time.Millisecond
	// pruneEvery is how often old events are removed.
	pruneEvery = 24 * time.Hour
)

// loop makes the passes. Other goroutines may call ask and read status; all else
// belongs to the one goroutine in run and needs no lock.
type loop struct {
	o      *Options
	memory *memory
	exec   *executor
	rec    *recorder

	started time.Time
	asked   chan string // why a pass is wanted now
	status  atomic.Pointer[control.Status]

	said    map[topology.NodeID]string // the decision last recorded in the history
	changed time.Time                  // when a decision last changed
	trouble string                     // of the failover command, as last recorded
	noted   topology.Promotion         // last given to NotePrimary
	pruneAt time.Time
}

func newLoop(o *Options, m *memory, x *executor, rec *recorder) *loop {
	l := &loop{o: o, memory: m, exec: x, rec: rec, started: time.Now(), asked: make(chan string, 1),
		said: map[topology.NodeID]string{}}
	l.status.Store(&control.Status{At: l.started, Started: l.started, Version: o.Version, PID: os.Getpid(),
		Why: "starting", Memory: m.read()})
	return l
}

// ask asks for a pass now; it never blocks.
func (l *loop) ask(reason string) {
	select {
	case l.asked <- reason:
	default: // one is waiting already, and it will see the same world
	}
}

// run passes until ctx is done.
func (l *loop) run(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	gap := time.NewTimer(0)
	defer gap.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-gap.C:
		}
		reason := "interval"
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			select {
			case reason = <-l.asked: // this is the pass that was requested
			default:
			}
		case reason = <-l.asked:
		}
		next.Reset(l.pace(l.pass(ctx, reason)))
		gap.Reset(passGap)
	}
}

// pace is quick while something is under way and changed lately. What has stood
// still for a while (a replay of hours, a backoff, a frozen node) does not need
// seven passes a second; hooks and runs still trigger a pass at once.
func (l *loop) pace(busy bool) time.Duration {
	lately := time.Since(l.changed) < busyFor
	switch {
	case lately && l.promoting():
		return passGap
	case lately && busy:
		return min(busyInterval, l.o.Interval)
	}
	return l.o.Interval
}

// promoting says that a node accepts writes and its new timeline's history is
// not on disk yet: a matter of milliseconds, for which every other node waits.
func (l *loop) promoting() bool {
	return slices.ContainsFunc(l.status.Load().Decisions, func(d plan.Decision) bool {
		return d.Code == codes.PrimaryHistoryUnknown
	})
}

// pass observes, plans, acts and publishes. It reports whether something is under
// way that deserves a closer look soon.
func (l *loop) pass(ctx context.Context, reason string) (busy bool) {
	begun := time.Now()
	l.exec.ledger.beginPass()
	snap := l.o.Observer.Observe(ctx)
	if ctx.Err() != nil {
		return false // an interrupted look says nothing
	}
	st := control.Status{Version: l.o.Version, PID: os.Getpid(), Started: l.started, Snapshot: snap}
	st.Acting, st.Why = mayAct(&snap)
	var orders []order
	st.Pass, st.Decisions, st.Memory = l.memory.plan(snap, l.o.Policy, func(d plan.Decision) bool {
		o, ok := l.exec.accept(d, &snap, st.Acting)
		if ok {
			orders = append(orders, o)
		}
		return ok
	})
	l.rec.memoryChanged()
	l.notePrimary(st.Memory, &snap)
	l.sayFailover(snap.FailoverTrouble)
	for _, d := range st.Decisions {
		l.say(d)
		busy = busy || d.Severity == codes.Work
	}
	for _, o := range orders {
		l.exec.launch(o)
	}
	l.exec.accountForRuns(&snap, l.started)
	l.exec.keepInstructions(&snap, st.Memory)
	if st.Acting {
		l.exec.adoptRuns(&snap)
		l.exec.resumeHooks()
	}
	l.prune()
	st.At, st.PassTook = time.Now(), time.Since(begun)
	l.status.Store(&st)
	for _, a := range l.o.Audience {
		a.Passed(st)
	}
	l.o.Log.Debug("pass", "reason", reason, "took", st.PassTook, "busy", busy)
	return busy
}

// mayAct is the watchdog rule: only beside the leader with quorum, and only
// while the local Pgpool-II answers at all.
func mayAct(snap *topology.Snapshot) (bool, string) {
	if len(snap.Pools) == 0 {
		return false, "no Pgpool-II is configured"
	}
	p := snap.Pools[0]
	if !p.OK() {
		return false, "the local Pgpool-II does not answer: " + p.Err
	}
	if !p.Watchdog.MayAct() {
		return false, fmt.Sprintf("the local Pgpool-II is a watchdog member in state %s with quorum %d: "+
			"only the leader with quorum acts", p.Watchdog.State, p.Watchdog.Quorum)
	}
	return true, ""
}

// notePrimary hands a new primary to the failover hook's memory. It must not
// undo what the hook itself has noted since: then ours is the old primary.
func (l *loop) notePrimary(mem plan.Memory, snap *topology.Snapshot) {
	n := snap.Node(mem.Primary)
	if l.o.NotePrimary == nil || n == nil || !n.SQL.OK() || n.SQL.InRecovery ||
		!mem.History.Known() || n.SQL.Timeline != mem.History.TLI || plan.Overtaken(mem, snap) {
		return
	}
	last := topology.Promotion{Node: n.ID, SystemID: n.SQL.SystemID, History: mem.History}
	var before *topology.Synchronous
	if l.noted.Node == n.ID && l.noted.History.Equal(mem.History) {
		before = l.noted.Synchronous
	} else if p := snap.Promoted; p.Node == n.ID && p.History.Equal(mem.History) {
		before = p.Synchronous
	}
	last.Synchronous = before.After(snap, n)
	if l.o.NotePosition {
		last.Position = n.SQL.Current
	}
	if l.noted.Equal(last) {
		return
	}
	err := l.o.NotePrimary(last, n.SQL.At)
	l.rec.warn("note primary", "primary not noted for the failover hook", err)
	if err == nil {
		l.noted = last
	}
}

// say records a decision when it differs from the node's last one.
func (l *loop) say(d plan.Decision) {
	key := strings.Join([]string{string(d.Action), string(d.Method), string(d.Code)}, "/")
	if l.said[d.Node] == key {
		return
	}
	l.said[d.Node], l.changed = key, time.Now()
	l.o.Log.Info("decision", "node", int(d.Node), "action", string(d.Action), "method", string(d.Method),
		"code", string(d.Code), "reason", d.Reason)
	l.rec.record(event.Event{Node: d.Node, Kind: "decision", Code: string(d.Code), Text: d.Reason, Data: asJSON(d)})
}

// sayFailover records when Pgpool-II cannot run its failover command, and when it
// can again.
func (l *loop) sayFailover(trouble string) {
	if trouble == l.trouble {
		return
	}
	l.trouble = trouble
	e := event.Event{Node: topology.NoNode, Kind: "hook", Code: string(codes.FailoverCommandBroken), Text: trouble}
	if trouble == "" {
		e.Code, e.Text = string(codes.FailoverCommandRuns), "Pgpool-II can run its failover command again"
		l.o.Log.Info(e.Text)
	} else {
		l.o.Log.Error("Pgpool-II cannot run its failover command: nothing is promoted if the primary fails", "err", trouble)
	}
	l.rec.record(e)
}

// prune removes old events once a day.
func (l *loop) prune() {
	if now := time.Now(); !now.Before(l.pruneAt) {
		l.pruneAt = now.Add(pruneEvery)
		l.exec.begin(func(ctx context.Context) { l.rec.prune(ctx, now) })
	}
}
