package hook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
)

// Failover is failover_command. A standby's failure is only noted. When the
// primary is lost, the old one is fenced as far as it can be reached, and the
// standby with the most WAL of its line is promoted; that Pgpool-II chose
// another does not matter to it. Called again, or by another Pgpool-II, it
// finds the new primary and does nothing.
//
// The error carries an exit status; the event then stays in the spool, for the
// controller to resume.
func Failover(ctx context.Context, d Deps, e Event) (Result, error) {
	start := time.Now()
	d.Limits = d.Limits.filled()
	e.Kind = KindFailover
	if e.At.IsZero() {
		e.At = start
	}
	lost := e.PrimaryLost()
	d.say("%s", e)
	if err := spoolOf(d.stateDir()).put(&e, lost); err != nil {
		// Serving again matters more than the note, which is for the case that
		// we are killed.
		d.say("continuing without a note on disk: %v", err)
	}
	var r Result
	if lost {
		r = d.replace(ctx, e, d.Limits.Lock, false)
	} else {
		r = Result{Code: CodeStandbyFailed, Node: e.Failed,
			Text: fmt.Sprintf("standby %s failed: nothing to promote", e.Failed)}
	}
	r.Took = time.Since(start)
	err := d.finish(e, r)
	d.poke(ctx, e.String(), d.Limits.Poke)
	return r, err
}

// Pending lists the events that a hook could not finish, oldest first; none while
// a hook is executing a failover. A file that cannot be read is renamed and named
// in the error; the others are listed all the same.
func Pending(stateDir string) ([]Event, error) {
	events, err := spoolOf(stateDir).pending()
	if len(events) == 0 {
		return nil, err
	}
	unlock, lerr := lockFailover(context.Background(), stateDir, 0)
	if errors.Is(lerr, errLocked) {
		return nil, err
	}
	if lerr == nil {
		unlock()
	}
	return events, err
}

// Resume continues one of the Pending events. It is for the controller, so it does
// not wait for a hook that is still running (code busy), and it leaves an old
// primary alone that has come back, or is starting, while nothing was promoted. An
// event that is over is finished without any effect (code outdated). It is idempotent,
// and may be called in every pass: nothing is reported twice.
func Resume(ctx context.Context, d Deps, e Event) (Result, error) {
	start := time.Now()
	d.Limits = d.Limits.filled()
	r := Result{Code: CodeNoted, Node: e.Failed, Text: "seen by the controller"}
	if e.PrimaryLost() {
		r = d.replace(ctx, e, 0, true)
	}
	r.Took = time.Since(start)
	err := d.finish(e, r)
	return r, err
}

// finish records the outcome of an event, and reports it if it is news. The error
// is the result's.
func (d *Deps) finish(e Event, r Result) error {
	err, news := r.err(), true
	if r.Code != CodeBusy {
		var serr error
		news, serr = spoolOf(d.stateDir()).note(e, try{At: time.Now(), Code: r.Code, Text: r.Text}, err == nil)
		if serr != nil {
			d.say("spool: %v", serr)
		}
	}
	if news {
		text := strings.Join(append([]string{r.Text}, r.Notes...), "; ")
		d.say("%s after %s: %s", r.Code, r.Took.Round(time.Millisecond), text)
		d.journal(e, r, err)
	}
	return err
}

// replace finds or makes a new primary.
func (d *Deps) replace(ctx context.Context, e Event, patience time.Duration, resumed bool) Result {
	if n := d.Pool.Node(e.Failed); n != nil && n.AlwaysPrimary {
		return Result{Code: CodeAlwaysPrimary, Node: e.Failed,
			Text: fmt.Sprintf("node %s is ALWAYS_PRIMARY in pgpool.conf: nothing else is ever promoted", e.Failed)}
	}
	unlock, err := lockFailover(ctx, d.stateDir(), patience)
	switch {
	case errors.Is(err, errLocked):
		return Result{Code: CodeBusy, Node: topology.NoNode, Text: err.Error()}
	case err != nil:
		d.say("continuing without a lock: %v", err)
	default:
		defer unlock()
	}
	if resumed {
		if _, err := os.Stat(spoolOf(d.stateDir()).path(e.ID)); errors.Is(err, os.ErrNotExist) {
			return Result{Code: CodeNoted, Node: e.Failed, Text: "its hook has finished it meanwhile"}
		}
	}
	last, err := readPrimary(d.stateDir())
	if err != nil {
		d.say("no record of the last primary: %v", err)
	}
	if resumed {
		if why := d.outdated(e, last, time.Now()); why != "" {
			return over(e, why)
		}
	}
	if e.OldPrimary == topology.NoNode && last.known() && last.Node != e.Failed {
		return d.stillMissing(ctx, e, last)
	}
	p := d.probe(ctx, e.Failed)
	defer p.close()
	if resumed {
		if r, settled := d.settledBefore(e, p, last); settled {
			return r
		}
	}
	wait := d.Pool.Failover.Wait
	if resumed {
		wait = 0 // it is resumed again soon, and holds the lock meanwhile
	}
	r := d.takeOver(ctx, e, p, last, wait)
	if r.Code == CodeAlreadyPrimary {
		r.Notes = append(r.Notes, d.stopDiverged(ctx, p, r.Node, p.facts(r.Node))...)
	}
	return r
}

// stillMissing handles the failure of a node while Pgpool-II knows no primary, and
// the last one on record is another node: that may not be up yet after a power cut.
// Nothing is promoted in its place here; if it failed itself, that event is in the
// spool and is resumed.
func (d *Deps) stillMissing(ctx context.Context, e Event, last Primary) Result {
	r := Result{Code: CodeStandbyFailed, Node: last.Node,
		Text: fmt.Sprintf("node %s failed while Pgpool-II knows no primary;"+
			" the last primary, node %s, has not been reported as failed: nothing promoted", e.Failed, last.Node)}
	if primary, err := d.alive(ctx, last.Node); err == nil && primary {
		r.Code = CodeAlreadyPrimary
		r.Text = fmt.Sprintf("node %s is the primary, though Pgpool-II does not know it yet", last.Node)
	}
	return r
}

// others are the slots of all nodes but one.
func (d *Deps) others(node topology.NodeID) []string {
	var names []string
	for _, n := range d.Pool.Nodes {
		if n.ID != node {
			names = append(names, n.Slot)
		}
	}
	slices.Sort(names)
	return names
}

// usage is an error about how the hook was called.
func usage(format string, args ...any) error { return exit.New(exit.Usage, format, args...) }
