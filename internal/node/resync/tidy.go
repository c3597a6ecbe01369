package resync

import (
	"context"
	"fmt"

	"github.com/repool/repool/internal/core/topology"
)

// Tidy puts away what an interrupted run left beside a directory that streams
// meanwhile: a base backup that died between its last steps leaves the old
// directory in repair, and perhaps no run will ever be needed again. It does
// nothing unless the server at Home is a streaming standby (P5). The caller
// holds the node's lock, and no run is in progress.
func Tidy(ctx context.Context, o Options) error {
	if o.Prior.Garbled || o.Prior.Record.Live() || o.Prior.Record.Run.ID == "" {
		return nil
	}
	r := &run{Options: o, ctx: ctx, req: o.Prior.Record.Request}
	r.state.log, r.state.see, r.state.rec = o.Log, o.See, clone(o.Prior.Record)
	if there, err := r.Host.Exists(New); err != nil || there {
		// No run is in progress, so this is an unfinished copy.
		if err == nil {
			err = r.Host.Remove(New)
		}
		if err != nil {
			return fmt.Errorf("remove an unfinished copy: %w", err)
		}
	}
	left, err := r.leftOver()
	if err != nil || !left {
		return err
	}
	f, err := r.stream(ctx)
	if err != nil || !f.InRecovery || f.Receiver.Status != "streaming" {
		return nil // not now: the old copies live until the new one streams
	}
	r.proven()
	for _, s := range []Step{retire(), discardOld()} {
		_, done, err := s.done(ctx, r)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		if done {
			continue
		}
		if _, err := s.do(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		if err := r.state.put(); err != nil {
			return err
		}
	}
	return nil
}

// leftOver says whether a running server at Home has an old copy beside it
// that Tidy would do something about.
func (r *run) leftOver() (bool, error) {
	home, err := r.Host.Exists(Home)
	if err != nil || !home {
		return false, err
	}
	repair, err := r.Host.Exists(InRepair)
	if err != nil {
		return false, err
	}
	old, err := r.Host.Exists(Old)
	if err != nil || !repair && !(old && r.state.rec.Old.Enough()) {
		return false, err
	}
	st, err := r.Host.Server()
	return err == nil && st == topology.ServerRunning, err
}
