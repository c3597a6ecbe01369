package hook

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

const (
	// eventAge is how long after its call a failover may be resumed. Later, what
	// Pgpool-II said then is no reason to stop or promote anything.
	eventAge = 10 * time.Minute
	// clockStep is how far a clock may be set back between a call and its resumption.
	clockStep = time.Minute
)

// outdated says why an event that was interrupted is over, whatever the nodes answer;
// empty: it is not. The controller's clock counts, which is that of its hooks.
func (d *Deps) outdated(e Event, last Primary, now time.Time) string {
	age := now.Sub(e.At)
	switch {
	case age > eventAge:
		return fmt.Sprintf("it is from %s and older than %s", e.At.UTC().Format(time.RFC3339), eventAge)
	case age < -clockStep:
		return fmt.Sprintf("its time, %s, is later than now", e.At.UTC().Format(time.RFC3339))
	case (e.Failed == e.OldPrimary || last.known() && e.Failed == last.Node) &&
		readPoolStatus(d.Pool.Pgpool.WorkDir)[e.Failed]:
		return fmt.Sprintf("Pgpool-II routes to node %s again, and calls the hook again if that fails", e.Failed)
	}
	return ""
}

// later says that the primary on record was proven after the event. A record from the
// future proves nothing.
func (p Primary) later(e Event, now time.Time) bool {
	return p.known() && p.At.After(e.At) && !p.At.After(now)
}

// over ends an event without any effect.
func over(e Event, why string) Result {
	return Result{Code: CodeOutdated, Node: e.Failed,
		Text: fmt.Sprintf("the failover of node %s is not resumed: %s; nothing was stopped or promoted", e.Failed, why)}
}

// settledBefore says that a resumed failover must not touch anything now, by what the
// nodes and the record say.
func (d *Deps) settledBefore(e Event, p *probes, last Primary) (r Result, settled bool) {
	if d.promoted(p.views, last) {
		return r, false // nothing is promoted; diverged standbys may be left to stop
	}
	if last.later(e, time.Now()) {
		return over(e, fmt.Sprintf("node %s was proven to be the primary after it, at %s", last.Node,
			last.At.UTC().Format(time.RFC3339))), true
	}
	v := p.failed()
	switch {
	case v.err == nil && !v.facts.InRecovery:
		return primaryBack(e.Failed, nil), true
	case busyServer(v.err):
		return Result{Code: CodeStarting, Node: e.Failed,
			Text: fmt.Sprintf("node %s runs and accepts no connections yet or any more: waiting for it", e.Failed)}, true
	}
	return r, false
}

// busyServer says that a server refused the login because it is starting or shutting
// down: it runs.
func busyServer(err error) bool { return postgres.SQLState(err) == postgres.CannotConnectNow }

// promoted says whether one of the other nodes is a valid primary.
func (d *Deps) promoted(views []view, last Primary) bool {
	return choose(views, last, topology.NoNode, d.Pool.Failover).primary != topology.NoNode
}
