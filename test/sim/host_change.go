package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// StopServer stops the node's server, politely or at once.
func (h *host) StopServer(_ context.Context, keepWAL bool) (f topology.Fenced, err error) {
	err = h.act("StopServer", 150*time.Millisecond, func() error {
		s := h.n.srv
		if s == nil {
			return nil
		}
		f = topology.Fenced{WasRunning: true, Mode: "fast", Took: 100 * time.Millisecond}
		h.w.noteStop(h.n, s)
		if s.frozen || keepWAL {
			f.Mode = "immediate"
			h.w.kill(h.n)
			return nil
		}
		h.w.stop(h.n)
		return nil
	})
	return f, err
}

// StartServer starts the server at home and waits until it accepts connections.
func (h *host) StartServer(ctx context.Context) error {
	took := 300 * time.Millisecond
	err := h.act("StartServer", 20*time.Millisecond, func() error { return h.w.start(h.n, true, took) })
	if err != nil {
		return err
	}
	if err := h.p.hands.waitIn(ctx, took, 2*took); err != nil {
		return err
	}
	return h.look(func() error {
		if !h.n.accepting() {
			return errors.New("the server has ended")
		}
		return nil
	})
}

// Reload makes the running server take its settings, which here count at once.
func (h *host) Reload(context.Context) error {
	return h.act("Reload", 5*time.Millisecond, func() error { return nil })
}

// Move renames a place, never under a server.
func (h *host) Move(from, to resync.Place) error {
	return h.act(fmt.Sprintf("Move %s to %s", from, to), 10*time.Millisecond, func() error {
		pl := h.n.places
		switch {
		case pl[from] == nil:
			return fmt.Errorf("%s is not there", from)
		case h.n.srv != nil && h.n.srv.d == pl[from]:
			return fmt.Errorf("a PostgreSQL server works in %s", from)
		case pl[to] != nil:
			return fmt.Errorf("%s is taken", to)
		}
		pl[to], pl[from] = pl[from], nil
		return nil
	})
}

// Remove deletes a place of the workshop (P3, P5).
func (h *host) Remove(p resync.Place) error {
	return h.act("Remove "+string(p), 30*time.Millisecond, func() error {
		d := h.n.places[p]
		if d == nil {
			return nil
		}
		if h.n.srv != nil && h.n.srv.d == d {
			return errors.New("a PostgreSQL server works in it")
		}
		if p == resync.Home {
			h.w.violate("P5", "home of node %d is removed", h.n.id)
		}
		h.w.destroys(h.n, d, "removed")
		if d.proven && d.content == whole && !h.n.otherCopy(d) {
			h.w.violate("P5", "the last good copy of node %d (%s) is removed", h.n.id, d.name)
		}
		h.n.places[p] = nil
		return nil
	})
}

// otherCopy says whether some other directory of the node is whole and has
// streamed.
func (n *node) otherCopy(d *dir) bool {
	for _, o := range n.places {
		if o != nil && o != d && o.proven && o.content == whole {
			return true
		}
	}
	return false
}

// SaveConfig keeps the configuration, which must be the node's own (hazard 10).
func (h *host) SaveConfig(from resync.Place) error {
	return h.act("SaveConfig", 10*time.Millisecond, func() error {
		d := h.n.places[from]
		if d == nil || d.content != whole {
			return errors.New("no directory to save from")
		}
		if !d.ownConfig {
			h.w.violate("P4", "another node's configuration is saved as node %d's", h.n.id)
		}
		h.n.config = true
		return nil
	})
}

// RestoreConfig writes it into p.
func (h *host) RestoreConfig(p resync.Place) error {
	return h.act("RestoreConfig", 10*time.Millisecond, func() error {
		d := h.n.places[p]
		if d == nil || !h.n.config {
			return errors.New("nothing to restore, or nowhere")
		}
		d.ownConfig = true
		return nil
	})
}

// WriteStandby makes p a standby of up. A server that is no standby must not
// run on it.
func (h *host) WriteStandby(p resync.Place, up topology.Upstream, slot, _ string) error {
	return h.act("WriteStandby", 10*time.Millisecond, func() error {
		d := h.n.places[p]
		switch {
		case d == nil || d.content != whole:
			return fmt.Errorf("%s holds no directory to write to", p)
		case h.n.srv != nil && h.n.srv.d == d && !d.signal:
			return errors.New("a server that is no standby runs on it")
		case h.n.full:
			return errFull
		}
		d.up, d.slot, d.signal = up.Node, slot, true
		return nil
	})
}

// KillStrays ends what dead agents left running, an isolated server included.
func (h *host) KillStrays(context.Context) error {
	return h.act("KillStrays", 10*time.Millisecond, func() error {
		h.n.stray = ""
		if h.n.srv != nil && h.n.srv.private {
			h.w.kill(h.n)
		}
		return nil
	})
}
