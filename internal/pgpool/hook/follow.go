package hook

import (
	"context"
	"fmt"
	"time"

	"github.com/repool/repool/internal/exit"
)

// followPoke bounds what follow_primary_command may take: Pgpool-II calls it
// once for each node, one after the other, and a primary that dies before the
// last one has returned takes the pool's service with it.
const followPoke = 30 * time.Millisecond

// FollowPrimary is follow_primary_command: it records that the node is to follow a
// new primary, tells the controller, and returns at once. The controller sees the
// need by itself; this only makes it look sooner.
func FollowPrimary(ctx context.Context, d Deps, e Event) (Result, error) {
	start := time.Now()
	d.Limits = d.Limits.filled()
	e.Kind = KindFollow
	if e.At.IsZero() {
		e.At = start
	}
	r := Result{Code: CodeNoted, Node: e.Failed,
		Text: fmt.Sprintf("node %s is to follow node %s: left to the controller", e.Failed, e.NewMain)}
	d.poke(ctx, e.String(), min(followPoke, d.Limits.Poke))
	s := spoolOf(d.stateDir())
	err := s.put(&e, false)
	if err == nil {
		_, err = s.note(e, try{At: e.At, Code: r.Code, Text: r.Text}, true)
	}
	r.Took = time.Since(start)
	d.journal(e, r, err)
	if err != nil {
		d.say("%s; not noted on disk: %v", r.Text, err)
		return r, exit.With(exit.Unreachable, err, "the state directory must be writable for Pgpool-II's user")
	}
	return r, nil
}

// Resync is resync_command where it is left to repool, or called by a person: it
// gives the controller consent to resync one node, and returns.
func Resync(ctx context.Context, d Deps, e Event) (Result, error) {
	start := time.Now()
	r := Result{Code: CodeNoted, Node: e.Failed, Text: fmt.Sprintf("resync of node %s requested", e.Failed)}
	if d.Pool.Node(e.Failed) == nil {
		return r, usage("node %s is not in %s", e.Failed, d.Pool.PgpoolConf)
	}
	if err := d.asked(d.Control.Resync(ctx, e.Failed)); err != nil {
		return r, err
	}
	r.Took = time.Since(start)
	d.say("%s", r.Text)
	return r, nil
}

// asked gives the controller's answer its exit status: its own, if it has one,
// else "unreachable", since the controller's refusals carry one.
func (d *Deps) asked(err error) error {
	if exit.Code(err) != exit.Internal {
		return err
	}
	return exit.With(exit.Unreachable, err, "repool serve must be running beside Pgpool-II")
}
