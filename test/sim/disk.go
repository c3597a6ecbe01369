package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agent"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/show/event"
)

// disk is what a node's agents keep in its work directory: it survives everything.
type disk struct {
	records []journal.Record
	grant   agent.Grant
	told    topology.Instructions
	holder  *agentProcess // of the lock
}

// workDir is one agent process's access to the disk. A dead one writes nothing.
type workDir struct{ p *agentProcess }

var (
	_ agent.Journal = workDir{}
	_ agent.Lock    = workDir{}
	_ agent.Grants  = grants{}

	errDead = errors.New("the agent process is dead")
)

// in calls f with the disk, under the world's lock. It takes no time: the
// engine writes its journal under a lock of its own.
func (k workDir) in(writes bool, f func(d *disk) error) error {
	w := k.p.n.w
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case k.p.dead:
		return errDead
	case writes && k.p.n.Full:
		return fmt.Errorf("write journal: %w", syscall.ENOSPC)
	}
	return f(&k.p.n.disk)
}

func cloneRecord(r journal.Record) journal.Record {
	r.Run.Steps = slices.Clone(r.Run.Steps)
	if r.Run.Vault != nil {
		v := *r.Run.Vault
		r.Run.Vault = &v
	}
	return r
}

// Put keeps a record. That a run has ended is so, written or not.
func (k workDir) Put(rec journal.Record) error {
	rec = cloneRecord(rec)
	if err := k.in(false, func(*disk) error { k.p.n.w.seeRun(k.p, rec); return nil }); err != nil {
		return err
	}
	return k.in(true, func(d *disk) error {
		for i := range d.records {
			if d.records[i].Run.ID == rec.Run.ID {
				d.records[i] = rec
				return nil
			}
		}
		d.records = append(d.records, rec)
		return nil
	})
}

// Get reads one.
func (k workDir) Get(id string) (rec journal.Record, err error) {
	err = k.in(false, func(d *disk) error {
		for _, r := range d.records {
			if r.Run.ID == id {
				rec = cloneRecord(r)
				return nil
			}
		}
		return fmt.Errorf("run %q: %w", id, journal.ErrNotFound)
	})
	return rec, err
}

// List reads all, newest first.
func (k workDir) List() (out []journal.Record, err error) {
	err = k.in(false, func(d *disk) error {
		for _, r := range d.records {
			out = append(out, cloneRecord(r))
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b journal.Record) int { return int(b.Seq) - int(a.Seq) })
	return out, err
}

// Newest is the record with the highest number.
func (k workDir) Newest() (rec journal.Record, ok bool, err error) {
	err = k.in(false, func(d *disk) error {
		for _, r := range d.records {
			if !ok || r.Seq > rec.Seq {
				rec, ok = r, true
			}
		}
		rec = cloneRecord(rec)
		return nil
	})
	return rec, ok, err
}

// Prune keeps the newest few.
func (k workDir) Prune() error { return nil }

// Take takes the node's lock.
func (k workDir) Take(ctx context.Context, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		err := k.in(false, func(d *disk) error {
			if d.holder != nil && !d.holder.dead {
				return fmt.Errorf("agent process %s holds the node: %w", d.holder.name, agentapi.ErrLocked)
			}
			d.holder = k.p
			return nil
		})
		if err == nil || !errors.Is(err, agentapi.ErrLocked) || !time.Now().Before(deadline) {
			return err
		}
		if err := k.p.locking.waitIn(ctx, 20*time.Millisecond, 25*time.Millisecond); err != nil {
			return err
		}
	}
}

// Release gives it up.
func (k workDir) Release() error {
	return k.in(false, func(d *disk) error {
		if d.holder == k.p {
			d.holder = nil
		}
		return nil
	})
}

// Busy says whether a living process holds it.
func (k workDir) Busy() (busy bool) {
	err := k.in(false, func(d *disk) error {
		busy = d.holder != nil && !d.holder.dead
		return nil
	})
	return busy || err != nil
}

// Owner names the holder.
func (k workDir) Owner() string { return "another agent process" }

// grants is the token counter.
type grants struct{ workDir }

// Read gives the newest grant.
func (g grants) Read() (out agent.Grant, err error) {
	err = g.in(false, func(d *disk) error { out = d.grant; return nil })
	return out, err
}

// Write replaces it.
func (g grants) Write(grant agent.Grant) error {
	return g.in(true, func(d *disk) error {
		if grant.Token <= d.grant.Token {
			g.p.n.w.violate("P6", "node %d gives out token %d after %d", g.p.n.ID, grant.Token, d.grant.Token)
		}
		d.grant = grant
		return nil
	})
}

// told keeps the node's instructions.
type told struct{ workDir }

// Read gives what is kept.
func (k told) Read() (out topology.Instructions) {
	_ = k.in(false, func(d *disk) error { out = d.told; return nil }) // a dead process is not asked
	return out
}

// Change replaces it.
func (k told) Change(f func(topology.Instructions) (topology.Instructions, bool)) (
	out topology.Instructions, err error,
) {
	err = k.in(true, func(d *disk) error {
		d.told, _ = f(d.told)
		out = d.told
		return nil
	})
	return out, err
}

// store is a controller's memory on disk; it survives its process.
type store struct {
	w    *World
	kept map[string][]byte
}

// handle is one controller process's access to its store.
type handle struct {
	*store
	dead bool
}

// Add counts the event; the story itself is the trace's.
func (s *handle) Add(_ context.Context, e event.Event) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.cover.event(e, s.w.stateOf(e.Node))
	if s.w.tracing {
		s.w.note("  history: node %s: %s %s: %s", e.Node, e.Kind, e.Code, e.Text)
	}
	return nil
}

// List gives none.
func (s *handle) List(context.Context, event.Filter) ([]event.Event, error) { return nil, nil }

// Prune has nothing to do.
func (s *handle) Prune(context.Context, time.Time, int) error { return nil }

// SetAside has no reason to happen: what is kept here is never garbled.
func (s *handle) SetAside(_ context.Context, why error, _ string) error { return why }

// Asides gives none.
func (s *handle) Asides() []event.Aside { return nil }

// Keep keeps a value as JSON.
func (s *handle) Keep(_ context.Context, name string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.dead {
		return errDead
	}
	s.kept[name] = b
	return nil
}

// Kept reads it back.
func (s *handle) Kept(_ context.Context, name string, value any) (bool, error) {
	s.w.mu.Lock()
	b, ok := s.kept[name]
	s.w.mu.Unlock()
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(b, value)
}
