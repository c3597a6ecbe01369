package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/resync"
)

// host is one agent process's hands on its node. What only looks takes no time:
// the way to the agent has taken it. What changes something takes time, and a
// dead process changes nothing any more.
type host struct {
	p *agentProcess
	n *node
	w *World
}

// look calls f under the lock, if the process lives.
func (h *host) look(f func() error) error {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	if h.p.dead {
		return errDead
	}
	return f()
}

// act makes one change that takes that long before it is there.
func (h *host) act(name string, took time.Duration, f func() error) error {
	h.p.hands.wait(took/2, took)
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.w.now(h.p.hands)
	if err := h.begin(name); err != nil {
		return err
	}
	err := f()
	h.w.did(h.p.hands, name)
	return err
}

// begin is the start of a change. Two processes must not change one node (P6),
// and nobody may while a dead one's program is still at work (hazard 7).
func (h *host) begin(name string) error {
	if h.p.dead || !h.n.up {
		return errDead
	}
	if h.n.stray != "" && name != "KillStrays" {
		h.w.violate("P4", "%s on node %d while the %s of a dead agent still runs", name, h.n.id, h.n.stray)
	}
	for _, q := range h.n.agents {
		if q != h.p && !q.dead && q.run != "" {
			h.w.violate("P6", "agent process %s does %s on node %d in the middle of run %s of process %s", h.p.name, name, h.n.id, q.run, q.name)
		}
	}
	return nil
}

// Exists says whether p holds anything.
func (h *host) Exists(p resync.Place) (there bool, err error) {
	err = h.look(func() error { there = h.n.places[p] != nil; return nil })
	return there, err
}

// Control reads the control file in p.
func (h *host) Control(p resync.Place) (c topology.Control, err error) {
	err = h.look(func() error {
		d := h.n.places[p]
		if d == nil || d.content == ruined || d.content == halfCopied {
			return errors.New("control file cannot be read")
		}
		c = d.control(h.n.srv != nil && h.n.srv.d == d)
		return nil
	})
	return c, err
}

func (d *dir) control(running bool) topology.Control {
	c := topology.Control{SystemID: d.system, CheckpointLSN: d.checkpointed.start, RedoLSN: d.checkpointed.start, Timeline: d.controlTLI,
		WALLogHints: true, Checksums: true, SegmentSize: segment, State: "in production"}
	switch {
	case running && d.recovering, !running && d.recovering && !d.clean:
		c.State = "in archive recovery"
	case d.clean && d.recovering:
		c.State, c.ShutDownInRecover = "shut down in recovery", true
	case d.clean:
		c.State, c.WasCleanShutdown = "shut down", true
	}
	return c
}

// Server looks for a postmaster.
func (h *host) Server() (st topology.ServerState, err error) {
	err = h.look(func() error { st = h.n.serverState(); return nil })
	return st, err
}

func (n *node) serverState() topology.ServerState {
	switch {
	case n.srv == nil:
		return topology.ServerStopped
	case n.srv.frozen:
		return topology.ServerFrozen
	case time.Now().Before(n.srv.ready):
		return topology.ServerStarting
	}
	return topology.ServerRunning
}

// Sending says whether standbys stream from the node's server.
func (h *host) Sending() (sending bool, err error) {
	err = h.look(func() error {
		for _, m := range h.w.nodes {
			sending = sending || m.srv != nil && m.srv.streaming && m.srv.from == h.n.id
		}
		return nil
	})
	return sending, err
}

// ProbeWAL reads the node's WAL against a history, as the real one does.
func (h *host) ProbeWAL(primary topology.History) (p topology.WALProbe, err error) {
	err = h.look(func() error {
		_, d := h.n.data()
		if d == nil || d.content != whole {
			return errors.New("no readable WAL")
		}
		p = d.probe(primary)
		return nil
	})
	p.At = time.Now()
	return p, err
}

func (d *dir) probe(primary topology.History) topology.WALProbe {
	tip := d.disk()
	p := topology.WALProbe{Own: d.history(), End: tip.end, DataID: d.id()}
	if d.over != nil && d.checkpointed.end <= tip.end && !holds(tip, d.checkpointed) {
		p.Overwritten = d.checkpointed.start
	}
	p.CommonTLI, p.Limit, p.Open, p.Shared = topology.Common(p.Own, primary)
	until := tip.end
	if p.Shared && !p.Open {
		if p.Limit < d.from {
			p.Beyond = p.End > p.Limit
			return p
		}
		p.Beyond = tip.end > p.Limit
		until = min(until, p.Limit)
	}
	last := at(tip, until)
	if last == nil || last.start < d.from {
		return p
	}
	rec := last.identity()
	p.Last, p.WALFrom = &rec, d.from
	if c := lastCheckpoint(tip, until); c != nil && c.start >= d.from {
		p.LastCheckpoint = c.start
	}
	return p
}

// RecordEnding reads the record of the node's line that ends at lsn.
func (h *host) RecordEnding(lsn topology.LSN) (rec topology.WALRecord, err error) {
	err = h.look(func() error {
		_, d := h.n.data()
		if d == nil || d.content != whole {
			return errors.New("no readable WAL")
		}
		r := at(d.disk(), lsn)
		if r == nil || r.start < d.from {
			return agentapi.ErrNoWAL
		}
		rec = r.identity()
		return nil
	})
	return rec, err
}

// FreeBytes is the space left.
func (h *host) FreeBytes() (free uint64, err error) {
	err = h.look(func() error { free = h.n.free(); return nil })
	return free, err
}

func (n *node) free() uint64 {
	if n.full {
		return 0
	}
	return 1 << 40
}

// MountPoint is never the case here.
func (h *host) MountPoint() (bool, error) { return false, nil }

// Stream asks the node's own server.
func (h *host) Stream(context.Context) (f topology.SQLFacts, err error) {
	err = h.look(func() error {
		if !h.n.accepting() {
			return errRefused
		}
		f = h.w.facts(h.n)
		return nil
	})
	f.At = time.Now()
	return f, err
}

// Inspect is what the agent tells of its node.
func (h *host) Inspect(context.Context) (in topology.Inspection, err error) {
	err = h.look(func() error { in = h.n.inspection(); return nil })
	in.At = time.Now()
	return in, err
}

func (n *node) inspection() topology.Inspection {
	in := topology.Inspection{Version: 15, FreeBytes: n.free(), DataBytes: databaseBytes, WALBytes: 1 << 20, SavedConfig: n.config, Server: n.serverState(),
		Dir: topology.DirMissing}
	p, d := n.data()
	if d == nil {
		return in
	}
	in.Dir = topology.DirPresent
	if p == resync.Aside {
		in.Dir = topology.DirAside
	}
	if d.content == ruined || d.content == halfCopied {
		in.Odd = []string{"the control file cannot be read"}
		return in
	}
	c := d.control(n.srv != nil && n.srv.d == d)
	in.Control, in.History, in.StandbySignal, in.UpstreamSlot, in.DataID = &c, d.history(), d.signal, d.slot, d.id()
	if d.up >= 0 {
		in.UpstreamHost, in.UpstreamPort = n.w.nodes[d.up].host, n.w.nodes[d.up].port
	}
	return in
}

// VaultEntries lists the vault.
func (h *host) VaultEntries() (out []topology.VaultEntry, err error) {
	err = h.look(func() error { out = h.n.kept; return nil })
	return out, err
}

// VaultReport is not asked for here.
func (h *host) VaultReport(id string) ([]byte, error) { return nil, fmt.Errorf("no report %s", id) }

// databaseBytes is how large every database is.
const databaseBytes = 1 << 30
