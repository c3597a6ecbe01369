package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/controller"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/history"
)

// Look observes and plans once, read-only, with what the last controller
// remembered: for where no controller is running.
func Look(ctx context.Context, p *config.Pool, log *slog.Logger) (control.Status, error) {
	mem, err := lastMemory(ctx, p.Controller.StateDir)
	if err != nil {
		return control.Status{}, err
	}
	w, err := newParts(p, log, readOnly)
	if err != nil {
		return control.Status{}, err
	}
	defer func() { _ = w.close() }() // only looked
	snap := w.observer.Observe(ctx)
	now := time.Now()
	mem, decisions := plan.Step(mem, snap, p.Policy, now)
	return control.Status{At: now, Version: Version,
		Why:      "no controller is running; this command has looked once by itself",
		Snapshot: snap, Decisions: decisions, Memory: mem}, nil
}

// lastMemory is an empty one where no controller has run yet, or its state may not
// be read.
func lastMemory(ctx context.Context, stateDir string) (plan.Memory, error) {
	store, err := history.OpenReadOnly(stateDir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return plan.Memory{Primary: topology.NoNode}, nil
	case err != nil:
		return plan.Memory{}, err
	}
	mem, err := controller.LoadMemory(ctx, store)
	return mem, errors.Join(err, store.Close())
}

// vaultDeadline is for each agent. They are asked side by side, so it is for all.
const vaultDeadline = 5 * time.Second

// Vaults gathers the vault entries of every node. The error is for the nodes whose
// vault could not be read; its hint and exit status are those of the first one.
// The entries of the others are given all the same.
func Vaults(ctx context.Context, p *config.Pool, log *slog.Logger) ([]topology.VaultEntry, error) {
	have := newAgents(p, log, readOnly)
	defer func() { _ = have.close() }() // only looked
	type answer struct {
		entries []topology.VaultEntry
		err     error
	}
	answers := make([]answer, len(p.Nodes))
	var wg sync.WaitGroup
	for i := range p.Nodes {
		wg.Go(func() { answers[i].entries, answers[i].err = vaultOf(ctx, have, p.Nodes[i].ID) })
	}
	wg.Wait()
	all, code, hint := []topology.VaultEntry{}, exit.Unreachable, ""
	var missed []error
	for i, a := range answers {
		if a.err == nil {
			all = append(all, a.entries...)
			continue
		}
		if len(missed) == 0 {
			code, hint = exit.Code(a.err), exit.Hint(a.err)
		}
		missed = append(missed, fmt.Errorf("read the vault of node %d: %w", p.Nodes[i].ID, a.err))
	}
	return all, exit.With(code, errors.Join(missed...), hint)
}

func vaultOf(ctx context.Context, have *agents, id topology.NodeID) (entries []topology.VaultEntry, err error) {
	a, err := have.of(id)
	if err == nil {
		ask, cancel := context.WithTimeout(ctx, vaultDeadline)
		defer cancel()
		entries, err = a.Vault(ask)
	}
	// An interrupted caller is not told that the agent does not answer.
	if known := (*exit.Error)(nil); ctx.Err() == nil && !errors.As(err, &known) {
		err = exit.With(exit.Unreachable, err)
	}
	return entries, err
}

// VaultReport is the report of one vault entry of a node, as JSON.
func VaultReport(ctx context.Context, p *config.Pool, log *slog.Logger,
	id topology.NodeID, entry string) ([]byte, error) {
	have := newAgents(p, log, readOnly)
	defer func() { _ = have.close() }() // only looked
	a, err := have.of(id)
	if err != nil {
		return nil, err
	}
	b, err := a.VaultReport(ctx, entry)
	return b, exit.With(exit.Unreachable, err, "repool vault lists the entries")
}
