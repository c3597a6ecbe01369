package sim

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

var errFull = fmt.Errorf("write: %w", syscall.ENOSPC)

// program is a child process that works for a while: it outlives the agent that
// dies meanwhile, and then leaves things as they are half-way.
func (h *host) program(ctx context.Context, name string, took time.Duration, begin, half, end func() error, see resync.Progress) error {
	if err := h.act(name, 20*time.Millisecond, func() error {
		err := begin()
		if err == nil {
			h.n.stray = ""
			h.p.child = name
		}
		return err
	}); err != nil {
		return err
	}
	for i := range 3 {
		werr := h.p.hands.waitIn(ctx, took/6, took/2)
		h.w.mu.Lock()
		h.w.now(h.p.hands)
		err := werr
		switch {
		case h.p.dead:
			err = errDead
		case err == nil:
			err = half()
		}
		if err != nil {
			if !h.p.dead {
				h.p.child = ""
			}
			h.w.mu.Unlock()
			return err
		}
		h.w.mu.Unlock()
		if see != nil {
			see(uint64(i+1)<<20, 3<<20)
		}
	}
	return h.act(name+" ends", 10*time.Millisecond, func() error {
		h.p.child = ""
		return end()
	})
}

func nothing() error { return nil }

// Vault keeps the commits that only the node holds past the divergence point.
func (h *host) Vault(ctx context.Context, req topology.RunRequest, from resync.Place, see resync.Progress) (e topology.VaultEntry, err error) {
	var d *dir
	err = h.program(ctx, "Vault", 300*time.Millisecond, func() error {
		if d = h.n.places[from]; d == nil || d.content != whole {
			return errors.New("no directory to keep WAL of")
		}
		return h.enough()
	}, h.enough, func() error {
		e = topology.VaultEntry{ID: fmt.Sprintf("v%d", len(h.n.kept)+1), Node: h.n.id, SystemID: d.system, Diverged: req.Divergence, TLI: d.tip.tli, End: d.tip.end, Complete: true}
		for r := d.tip; r != nil && r.end > req.Divergence; r = r.parent {
			if r.start < d.from {
				e.Complete, e.Missing = false, "WAL before "+d.from.String()+" is gone"
				break
			}
			if r.kind == commit {
				e.Commits++
				h.n.vault[r.id] = true
			}
			e.Bytes += uint64(r.end - r.start)
		}
		h.n.kept = append(h.n.kept, e)
		return nil
	}, see)
	return e, err
}

func (h *host) enough() error {
	if h.n.full {
		return errFull
	}
	return nil
}

// RefillWAL has nothing to do: the vault takes no WAL away.
func (h *host) RefillWAL(resync.Place, topology.VaultEntry) error {
	return h.act("RefillWAL", 10*time.Millisecond, nothing)
}

// Settle finishes crash recovery of the directory aside, adding no WAL.
func (h *host) Settle(ctx context.Context) error {
	return h.program(ctx, "Settle", 400*time.Millisecond, func() error {
		d := h.n.places[resync.Aside]
		switch {
		case d == nil || d.content != whole:
			return errors.New("no directory to settle")
		case h.n.srv != nil:
			return errors.New("a server runs already")
		}
		return h.enough()
	}, h.enough, func() error {
		d := h.n.places[resync.Aside]
		d.clean, d.recovering, d.data = true, true, d.tip
		return nil
	}, nil)
}

// Rewind is pg_rewind on the directory aside: it goes by the timelines of the
// two control files, and knows nothing of content.
func (h *host) Rewind(ctx context.Context, up topology.Upstream, see resync.Progress) (needed bool, err error) {
	u := h.w.nodes[up.Node]
	untouched := func(text string) error {
		return &resync.Error{Code: resync.CodeRewindRefused, Untouched: true, Err: errors.New(text)}
	}
	source := func() error {
		if h.w.cut(h.n.place(), u.place()) || h.w.cut(u.place(), h.n.place()) || !u.accepting() {
			return errors.New("could not connect to the source")
		}
		return h.enough()
	}
	var shared *record
	var mixed, refused bool
	err = h.program(ctx, "Rewind", 2*time.Second, func() error {
		d := h.n.places[resync.Aside]
		h.w.overwrites(h, up.Node, "rewound")
		if err := source(); err != nil {
			refused = true
			return untouched(err.Error())
		}
		ud := u.srv.d
		if d == nil || d.content != whole || !d.clean {
			refused = true
			return untouched("target server must be shut down cleanly")
		}
		if d.system != ud.system {
			refused = true
			return untouched("source and target clusters are from different systems")
		}
		if ud.controlTLI == d.tip.tli {
			return nil // "same timeline, no rewind required", whatever the content
		}
		_, limit, _, ok := topology.Common(d.history(), ud.history())
		shared = lastCheckpoint(d.tip, limit)
		if !ok || shared == nil || shared.start < d.from {
			refused = true
			return untouched("could not find the last common checkpoint")
		}
		if d.tip.end <= limit {
			return nil
		}
		h.w.destroys(h.n, d, "rewound")
		real := common(d.tip, ud.tip)
		mixed = real == nil || real.end < shared.start
		needed = true
		d.content, d.copied, d.signal, d.ownConfig = halfRewound, true, false, false
		return nil
	}, func() error {
		if !needed {
			return nil
		}
		return source()
	}, func() error {
		if !needed {
			return nil
		}
		if err := source(); err != nil {
			return err
		}
		h.takeCopy(h.n.places[resync.Aside], u.srv.d, mixed)
		return nil
	}, see)
	if refused {
		return false, err
	}
	return needed, err
}

// takeCopy makes d what the source is now.
func (h *host) takeCopy(d, from *dir, mixed bool) {
	d.content, d.system, d.tip, d.data, d.from, d.over = whole, from.system, from.tip, from.tip, from.from, nil
	d.fills++
	d.controlTLI, d.checkpointed = from.controlTLI, from.checkpointed
	d.signal, d.up, d.slot, d.ownConfig = false, from.up, from.slot, false
	d.clean, d.recovering, d.copied, d.proven = false, true, true, false
	d.mixed = mixed || from.mixed
	d.slots = map[string]*slot{}
}

// BaseBackup copies the upstream into New.
func (h *host) BaseBackup(ctx context.Context, up topology.Upstream, slotName string, see resync.Progress) error {
	u := h.w.nodes[up.Node]
	source := func() error {
		if h.w.cut(h.n.place(), u.place()) || h.w.cut(u.place(), h.n.place()) || !u.accepting() {
			return errors.New("could not connect to the source")
		}
		return h.enough()
	}
	return h.program(ctx, "BaseBackup", 4*time.Second, func() error {
		h.w.overwrites(h, up.Node, "copied anew")
		if h.n.places[resync.New] != nil {
			return errors.New("the place of the copy is not empty")
		}
		if err := source(); err != nil {
			return err
		}
		if u.srv.d.slots[slotName] == nil {
			h.w.violate("P5", "a copy to node %d begins before its slot %s is there (hazard 37)", h.n.id, slotName)
		}
		d := h.n.newDir("copy")
		d.content, d.copied = halfCopied, true
		h.n.places[resync.New] = d
		return nil
	}, source, func() error {
		if err := source(); err != nil {
			return err
		}
		if d := h.n.places[resync.New]; d != nil {
			h.takeCopy(d, u.srv.d, false)
		}
		return nil
	}, see)
}

// VerifyBackup accepts a whole copy.
func (h *host) VerifyBackup(context.Context) error {
	return h.act("VerifyBackup", 50*time.Millisecond, func() error {
		if d := h.n.places[resync.New]; d == nil || d.content != whole {
			return errors.New("the copy is not whole")
		}
		return nil
	})
}

// Custom is not configured here.
func (h *host) Custom(context.Context, topology.RunRequest) error {
	return errors.New("no resync_command is set")
}

// upstream is one agent process's way to primaries.
type upstream struct {
	h     *host
	links []*link
}

// Confirm proves that up is the request's primary still.
func (u *upstream) Confirm(ctx context.Context, up topology.Upstream) error {
	return u.ask(ctx, up, "Confirm", func(s *server) error {
		switch {
		case s.d.system != up.SystemID:
			return resync.Errorf(resync.CodeUpstreamChanged, "system identifier %s", s.d.system)
		case !s.primary:
			return resync.Errorf(resync.CodeUpstreamChanged, "node %s is a standby now", up.Node)
		case s.d.tip.tli != up.History.TLI:
			return resync.Errorf(resync.CodeUpstreamChanged, "node %s is on timeline %d", up.Node, s.d.tip.tli)
		}
		u.h.n.confirmed, u.h.n.confirmedOf = time.Now(), up.Node
		return nil
	})
}

// EnsureSlot makes the slot, or one whose WAL is lost anew.
func (u *upstream) EnsureSlot(ctx context.Context, up topology.Upstream, name string) error {
	return u.ask(ctx, up, "EnsureSlot", func(s *server) error {
		if sl := s.d.slots[name]; sl == nil || sl.lost {
			s.d.slots[name] = &slot{restart: s.d.tip.end}
		}
		return nil
	})
}

// Checkpoint makes the primary's control file name its timeline.
func (u *upstream) Checkpoint(ctx context.Context, up topology.Upstream) error {
	return u.ask(ctx, up, "Checkpoint", func(s *server) error {
		if s.primary && s.d.controlTLI != s.d.tip.tli {
			u.h.w.checkpointNow(u.h.w.nodes[up.Node])
		}
		return nil
	})
}

// Size is that of every database here.
func (u *upstream) Size(ctx context.Context, up topology.Upstream) (uint64, error) {
	return databaseBytes, u.ask(ctx, up, "Size", func(*server) error { return nil })
}

// Position is the primary's end of WAL.
func (u *upstream) Position(ctx context.Context, up topology.Upstream) (lsn topology.LSN, err error) {
	err = u.ask(ctx, up, "Position", func(s *server) error { lsn = s.d.tip.end; return nil })
	return lsn, err
}

func (u *upstream) ask(ctx context.Context, up topology.Upstream, what string, act func(*server) error) error {
	if u.h.p.dead {
		return errDead
	}
	return u.links[up.Node].ask(ctx, what, act)
}
