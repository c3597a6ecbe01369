package fakehost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// Vault keeps the commits that only the node has past the divergence point.
func (h *Host) Vault(ctx context.Context, req topology.RunRequest, from resync.Place, see resync.Progress) (
	e topology.VaultEntry, err error) {
	n := h.Node
	var d *Dir
	err = h.Process.Work(ctx, Program{Name: "Vault", Took: 300 * time.Millisecond, Begin: func() error {
		if d = n.Places[from]; d == nil || d.Content != Whole {
			return errors.New("no directory to keep WAL of")
		}
		return n.room()
	}, Half: n.room, End: func() error {
		e = topology.VaultEntry{ID: fmt.Sprintf("v%d", len(n.Kept)+1), Node: n.ID, SystemID: d.System,
			Diverged: req.Divergence, TLI: d.Tip.TLI, End: d.Tip.End, Complete: true}
		for r := d.Tip; r != nil && r.End > req.Divergence; r = r.Parent {
			if r.Start < d.From {
				e.Complete, e.Missing = false, "WAL before "+d.From.String()+" is gone"
				break
			}
			if r.Kind == Commit {
				e.Commits++
				n.Vaulted[r.ID] = true
			}
			e.Bytes += uint64(r.End - r.Start)
		}
		n.Kept = append(n.Kept, e)
		return nil
	}}, see)
	return e, err
}

// RefillWAL has nothing to do: the vault takes no WAL away.
func (h *Host) RefillWAL(resync.Place, topology.VaultEntry) error {
	return h.Process.Act("RefillWAL", 10*time.Millisecond, nothing)
}

// Settle finishes crash recovery of the directory in repair, adding no WAL.
func (h *Host) Settle(ctx context.Context) error {
	n := h.Node
	return h.Process.Work(ctx, Program{Name: "Settle", Took: 400 * time.Millisecond, Begin: func() error {
		d := n.Places[resync.InRepair]
		switch {
		case d == nil || d.Content != Whole:
			return errors.New("no directory to settle")
		case n.Server != nil:
			return errors.New("a server runs already")
		}
		return n.room()
	}, Half: n.room, End: func() error {
		d := n.Places[resync.InRepair]
		d.Clean, d.Recovering, d.Data = true, true, d.Tip
		return nil
	}}, nil)
}

// source says whether the node can copy from u.
func (h *Host) source(u *Node) error {
	if !h.Pool.Reaches(h.Node, u) || !u.Accepting() {
		return errors.New("could not connect to the source")
	}
	return h.Node.room()
}

// Rewind is pg_rewind on the directory in repair: it goes by the timelines of the two control files, and knows nothing
// of content.
func (h *Host) Rewind(ctx context.Context, up topology.Upstream, see resync.Progress) (needed bool, err error) {
	u := h.Pool.Nodes[up.Node]
	var mixed bool
	var refused error
	err = h.Process.Work(ctx, Program{Name: "Rewind", Took: 2 * time.Second, Begin: func() error {
		h.Process.Overwrites(up.Node, "rewound")
		needed, mixed, refused = h.beginRewind(u)
		return refused
	}, Half: func() error {
		if !needed {
			return nil
		}
		return h.source(u)
	}, End: func() error {
		if !needed {
			return nil
		}
		if err := h.source(u); err != nil {
			return err
		}
		h.takeCopy(h.Node.Places[resync.InRepair], u.Server.Dir, mixed)
		return nil
	}}, see)
	return needed && refused == nil, err
}

// beginRewind refuses, finds nothing to do, or makes the directory half rewound.
func (h *Host) beginRewind(u *Node) (needed, mixed bool, err error) {
	refuse := func(text string) (bool, bool, error) {
		return false, false, &resync.Error{Code: codes.RewindRefused, Untouched: true, Err: errors.New(text)}
	}
	if err := h.source(u); err != nil {
		return refuse(err.Error())
	}
	d, ud := h.Node.Places[resync.InRepair], u.Server.Dir
	switch {
	case d == nil || d.Content != Whole || !d.Clean:
		return refuse("target server must be shut down cleanly")
	case d.System != ud.System:
		return refuse("source and target clusters are from different systems")
	case ud.ControlTLI == d.Tip.TLI:
		return false, false, nil // "same timeline, no rewind required", whatever the content
	}
	_, limit, _, ok := topology.Common(d.History(), ud.History())
	shared := LastCheckpoint(d.Tip, limit)
	switch {
	case !ok || shared == nil || shared.Start < d.From:
		return refuse("could not find the last common checkpoint")
	case d.Tip.End <= limit:
		return false, false, nil
	}
	h.Pool.destroys(h.Node, d, "rewound")
	real := Common(d.Tip, ud.Tip)
	d.Content, d.Copied, d.Signal, d.OwnConfig = HalfRewound, true, false, false
	return true, real == nil || real.End < shared.Start, nil
}

// takeCopy makes d what the source is now.
func (h *Host) takeCopy(d, from *Dir, mixed bool) {
	d.Content, d.System, d.Tip, d.Data, d.From, d.Over = Whole, from.System, from.Tip, from.Tip, from.From, nil
	d.fills++
	d.ControlTLI, d.Checkpointed = from.ControlTLI, from.Checkpointed
	d.Signal, d.Upstream, d.Slot, d.OwnConfig = false, from.Upstream, from.Slot, false
	d.Spelled, d.App, d.Obscure = from.Spelled, from.App, from.Obscure
	d.Clean, d.Recovering, d.Copied, d.Proven = false, true, true, false
	d.Mixed = mixed || from.Mixed
	d.Slots = map[string]*Slot{}
}

// BaseBackup copies the upstream into New.
func (h *Host) BaseBackup(ctx context.Context, up topology.Upstream, slot string, see resync.Progress) error {
	n, u := h.Node, h.Pool.Nodes[up.Node]
	source := func() error { return h.source(u) }
	return h.Process.Work(ctx, Program{Name: "BaseBackup", Took: 4 * time.Second, Begin: func() error {
		h.Process.Overwrites(up.Node, "copied again")
		if n.Places[resync.New] != nil {
			return errors.New("the place of the copy is not empty")
		}
		if err := source(); err != nil {
			return err
		}
		if why := h.inVain(u.Server.Dir, slot); why != "" {
			h.Pool.Violate(NotInVain, "node %d is copied, and %s", n.ID, why)
		}
		if u.Server.Dir.Slots[slot] == nil {
			h.Pool.Violate("P5", "a copy to node %d begins before its slot %s is there (hazard 37)", n.ID, slot)
		}
		d := n.NewDir("copy")
		d.Content, d.Copied = HalfCopied, true
		n.Places[resync.New] = d
		return nil
	}, Half: source, End: func() error {
		if err := source(); err != nil {
			return err
		}
		if d := n.Places[resync.New]; d != nil {
			h.takeCopy(d, u.Server.Dir, false)
		}
		return nil
	}}, see)
}

// VerifyBackup accepts a whole copy.
func (h *Host) VerifyBackup(context.Context) error {
	return h.Process.Act("VerifyBackup", 50*time.Millisecond, func() error {
		if d := h.Node.Places[resync.New]; d == nil || d.Content != Whole {
			return errors.New("the copy is not whole")
		}
		return nil
	})
}
