package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/repool/repool/lab"
)

// deposed kills the primary while repool's controller is down, and waits for
// the next one, which Pgpool-II's hook promotes.
func (r *run) deposed(ctx context.Context) (old int, err error) {
	if !r.lab.ControllerRuns(0) || !r.lab.PgpoolRuns(0) || lab.Healthy(r.lab.Status(ctx)) != nil {
		return 0, errNotNow
	}
	if old, err = r.thePrimary(ctx); err != nil {
		return 0, err
	}
	if err := r.lab.KillController(ctx, 0); err != nil {
		return old, err
	}
	r.until("controller-kill", r.startController)
	if err := r.lab.KillNode(ctx, old); err != nil {
		return old, err
	}
	_, err = r.lab.WaitNewPrimary(ctx, old)
	return old, err
}

// secondPrimary is a person who starts the old primary as it was, and a client
// that still finds it.
func (r *run) secondPrimary(ctx context.Context) (string, error) {
	old, err := r.deposed(ctx)
	if err != nil {
		return fmt.Sprintf("node %d", old), err
	}
	if err := r.lab.StartNode(ctx, old); err != nil {
		return fmt.Sprintf("node %d", old), err
	}
	rows, err := r.lab.CommitRows(ctx, old, 1+r.rnd.IntN(20))
	r.byHand = append(r.byHand, rows...)
	return fmt.Sprintf("node %d, the old primary, started as it was; %d commits there", old, len(rows)), err
}

// wrongAttach is a person who makes the old primary a standby by a file alone,
// and attaches it.
func (r *run) wrongAttach(ctx context.Context) (string, error) {
	old, err := r.deposed(ctx)
	what := fmt.Sprintf("node %d, the old primary, made a standby by hand and attached", old)
	if err != nil {
		return what, err
	}
	if err := r.lab.Command(ctx, "touch", filepath.Join(r.lab.Nodes[old].DataDir, "standby.signal")).Run(); err != nil {
		return what, err
	}
	if err := r.lab.StartNode(ctx, old); err != nil {
		return what, err
	}
	r.readers.attachedByHand(old)
	return what, r.lab.Attach(ctx, old)
}

// powerCut ends everything at once; then the servers that ran come back in any
// order, then Pgpool-II and repool.
func (r *run) powerCut(ctx context.Context) (string, error) {
	if len(r.undo) > 0 {
		return "", errNotNow
	}
	var ran []int
	for _, n := range r.lab.Nodes {
		if r.lab.Postmaster(n.ID) != 0 {
			ran = append(ran, n.ID)
		}
	}
	if err := r.lab.PowerCut(ctx); err != nil {
		return "", err
	}
	r.rnd.Shuffle(len(ran), func(i, j int) { ran[i], ran[j] = ran[j], ran[i] })
	var errs []error
	if r.report.Agents != string(lab.AgentsInProcess) {
		for _, n := range r.lab.Nodes {
			errs = append(errs, r.lab.StartAgent(ctx, n.ID))
		}
	}
	start := []func() error{
		func() error {
			var errs []error
			for _, n := range ran {
				errs = append(errs, r.lab.StartNode(ctx, n))
			}
			return errors.Join(errs...)
		},
		func() error { return r.lab.LaunchPgpool(0) },
		func() error { return r.lab.StartController(ctx, 0) },
	}
	r.rnd.Shuffle(len(start), func(i, j int) { start[i], start[j] = start[j], start[i] })
	for _, do := range start {
		errs = append(errs, do())
	}
	return fmt.Sprintf("everything; servers %v come back", ran), errors.Join(errs...)
}
