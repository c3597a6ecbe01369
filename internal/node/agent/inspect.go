package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/resync"
)

// pollEvery is how often Watch reads the journal of another process's run.
const pollEvery = 250 * time.Millisecond

// Inspect returns the host's facts, with the run in progress, or the last one if
// it did not end well, and who has the node.
func (a *Agent) Inspect(ctx context.Context) (topology.Inspection, error) {
	in, err := a.opts.Host.Inspect(ctx)
	if err != nil {
		return in, fmt.Errorf("inspect node %s: %w", a.opts.Node, err)
	}
	in.AgentVersion = a.opts.Version
	told := a.told.Read()
	in.Instructions = &told
	if act := a.runs.current(); act != nil {
		st, _ := act.look()
		in.Run, in.Lock = &st, act.holder
		return in, nil
	}
	st, ok, err := a.newest(ctx)
	if err != nil {
		return in, err
	}
	if ok && st.Outcome != topology.RunDone {
		in.Run = &st
	}
	if ok && !st.Outcome.Ended() {
		in.Lock = a.lock.Owner()
	}
	return in, nil
}

// newest is the newest run of any process, from the journal.
func (a *Agent) newest(ctx context.Context) (topology.RunState, bool, error) {
	recs, err := a.records()
	if err != nil || len(recs) == 0 {
		return topology.RunState{}, false, err
	}
	return a.settled(ctx, recs[0]), true, nil
}

// settled returns the state of a record, after taking over a run whose process
// has died since this agent was started.
func (a *Agent) settled(ctx context.Context, rec journal.Record) topology.RunState {
	if r := a.runs.find(rec.Run.ID); r != nil {
		st, _ := r.look()
		return st
	}
	if !rec.Live() || a.opts.ReadOnly || a.lock.Busy() {
		return rec.Run
	}
	err := a.withNodeIn(ctx, 0, func() error { return nil })
	if err != nil {
		a.log.Debug("take over an interrupted run", "run", rec.Run.ID, "err", err)
		return rec.Run
	}
	if now, err := a.journal.Get(rec.Run.ID); err == nil {
		return now.Run
	}
	return rec.Run
}

// Run returns the state of one run; an empty id means the newest. ErrNoRun when
// there is none.
func (a *Agent) Run(ctx context.Context, id string) (topology.RunState, error) {
	if id == "" {
		if act := a.runs.current(); act != nil {
			st, _ := act.look()
			return st, nil
		}
		st, ok, err := a.newest(ctx)
		if err == nil && !ok {
			err = fmt.Errorf("node %s has had no run yet: %w", a.opts.Node, agentapi.ErrNoRun)
		}
		return st, err
	}
	if r := a.runs.find(id); r != nil {
		st, _ := r.look()
		return st, nil
	}
	rec, err := a.journal.Get(id)
	if errors.Is(err, journal.ErrNotFound) {
		return topology.RunState{}, fmt.Errorf("run %q on node %s: %w", id, a.opts.Node, agentapi.ErrNoRun)
	}
	if err != nil {
		return topology.RunState{}, err
	}
	return a.settled(ctx, rec), nil
}

// Watch calls see with each change of the run until it has ended or ctx is
// done. States that follow one another faster than see returns are left out, but
// never the last.
func (a *Agent) Watch(ctx context.Context, id string, see func(topology.RunState)) error {
	act := a.runs.find(id)
	if id == "" {
		act = a.runs.current()
	}
	if act == nil {
		return a.watchJournal(ctx, id, see)
	}
	for {
		st, changed := act.look()
		see(st)
		if st.Outcome.Ended() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if now, _ := act.look(); now.Updated != st.Updated || now.Outcome != st.Outcome {
				see(now)
			}
			return ctx.Err()
		}
	}
}

// watchJournal is Watch for the run of another process.
func (a *Agent) watchJournal(ctx context.Context, id string, see func(topology.RunState)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last topology.RunState
	for first := true; ; first = false {
		st, err := a.Run(ctx, id)
		if err != nil {
			return err
		}
		if first || st.Updated != last.Updated || st.Outcome != last.Outcome {
			see(st)
		}
		last = st
		if st.Outcome.Ended() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// probePatience is how long a controller waits for an answer about WAL. The host
// goes on with a longer search, so that the next call gets the answer.
const probePatience = 10 * time.Second

// ProbeWAL reads the node's own WAL against the primary's history.
func (a *Agent) ProbeWAL(ctx context.Context, primary topology.History) (topology.WALProbe, error) {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	return a.opts.Host.ProbeWAL(ctx, primary)
}

// RecordEnding reads the WAL record of this node's timeline that ends at lsn.
func (a *Agent) RecordEnding(ctx context.Context, lsn topology.LSN) (topology.WALRecord, error) {
	return a.opts.Host.RecordEnding(ctx, lsn)
}

// Vault lists what is kept of this node's lost timelines.
func (a *Agent) Vault(context.Context) ([]topology.VaultEntry, error) {
	return a.opts.Host.VaultEntries()
}

// VaultReport returns the JSON report of one entry. An id that could be a path is
// refused.
func (a *Agent) VaultReport(_ context.Context, id string) ([]byte, error) {
	if !journal.ValidID(id) {
		return nil, fmt.Errorf("vault entry %q is not a valid name: %w", id, agentapi.ErrRefused)
	}
	return a.opts.Host.VaultReport(id)
}

// keep saves the node's own configuration while its directory is in place and
// whole, and removes what an interrupted run left beside one that streams.
func (a *Agent) keep(ctx context.Context) error {
	return a.withNode(ctx, func() error {
		if a.runs.current() != nil {
			return nil
		}
		home, err := a.opts.Host.Exists(resync.Home)
		if err != nil || !home {
			return err
		}
		var errs []error
		if _, err := a.opts.Host.Control(resync.Home); err == nil {
			errs = append(errs, a.opts.Host.SaveConfig(resync.Home))
		}
		prior, err := a.prior()
		if err == nil {
			err = resync.Tidy(ctx, resync.Options{Host: a.opts.Host, Log: a.journal, Prior: prior})
		}
		return errors.Join(append(errs, err)...)
	})
}

// trashRest is how long what a run has removed stays in the trash: the node is attached
// meanwhile, which a deletion of terabytes must not hold up.
const trashRest = 30 * time.Second

// emptyTrash deletes what runs have removed, without the node's lock: an order need
// not wait for it, and a run that needs the space deletes the same.
func (a *Agent) emptyTrash(ctx context.Context) error {
	if a.runs.current() != nil {
		return nil
	}
	return a.opts.Host.EmptyTrash(ctx, trashRest)
}
