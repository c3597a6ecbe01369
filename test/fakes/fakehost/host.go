package fakehost

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/resync"
)

// Host is what one agent process can do to its node. Reading takes no time.
type Host struct {
	Pool    *Pool
	Node    *Node
	Process Process
}

var _ resync.Host = (*Host)(nil)

// Exists says whether p holds anything.
func (h *Host) Exists(p resync.Place) (there bool, err error) {
	err = h.Process.Look(func() error { there = h.Node.Places[p] != nil; return nil })
	return there, err
}

// Control reads the control file in p.
func (h *Host) Control(p resync.Place) (c topology.Control, err error) {
	err = h.Process.Look(func() error {
		d := h.Node.Places[p]
		if d == nil || d.Content == Ruined || d.Content == HalfCopied {
			return errors.New("control file cannot be read")
		}
		c = d.control(h.Node.runsIn(d))
		return nil
	})
	return c, err
}

// Server looks for a postmaster.
func (h *Host) Server() (st topology.ServerState, err error) {
	err = h.Process.Look(func() error { st = h.Node.State(); return nil })
	return st, err
}

// Sending says whether standbys stream from the node's server.
func (h *Host) Sending() (sending bool, err error) {
	err = h.Process.Look(func() error {
		for _, m := range h.Pool.Nodes {
			sending = sending || m.streamsFrom(h.Node)
		}
		return nil
	})
	return sending, err
}

// readable is the directory whose WAL can be read.
func (h *Host) readable() (*Dir, error) {
	_, d := h.Node.Data()
	if d == nil || d.Content != Whole {
		return nil, errors.New("no readable WAL")
	}
	return d, nil
}

// ProbeWAL reads the node's WAL against a history.
func (h *Host) ProbeWAL(_ context.Context, primary topology.History) (p topology.WALProbe, err error) {
	err = h.Process.Look(func() error {
		d, err := h.readable()
		if err == nil {
			p = d.probe(primary)
		}
		return err
	})
	p.At = time.Now()
	return p, err
}

// RecordEnding reads the record of the node's line that ends at lsn.
func (h *Host) RecordEnding(_ context.Context, lsn topology.LSN) (rec topology.WALRecord, err error) {
	err = h.Process.Look(func() error {
		d, err := h.readable()
		if err != nil {
			return err
		}
		r := At(d.disk(), lsn)
		if r == nil || r.Start < d.From {
			return agentapi.ErrNoWAL
		}
		rec = r.identity()
		return nil
	})
	return rec, err
}

// Keeps lists what the node has of its own: nothing beside its configuration.
func (h *Host) Keeps(resync.Place, topology.Method) (names []string, err error) {
	err = h.Process.Look(func() error { return nil })
	return names, err
}

// SpaceForCopy says that nothing lies outside the data directory.
func (h *Host) SpaceForCopy(context.Context, topology.Upstream) ([]resync.Space, error) {
	return nil, nil
}

// FreeBytes is the space left.
func (h *Host) FreeBytes() (free uint64, err error) {
	err = h.Process.Look(func() error { free = h.Node.free(); return nil })
	return free, err
}

// Stream asks the node's own server.
func (h *Host) Stream(context.Context) (f topology.SQLFacts, err error) {
	err = h.Process.Look(func() error {
		if !h.Node.Accepting() {
			return ErrRefused
		}
		f = h.Pool.Facts(h.Node)
		return nil
	})
	f.At = time.Now()
	return f, err
}

// Inspect is what the agent tells of its node.
func (h *Host) Inspect(context.Context) (in topology.Inspection, err error) {
	err = h.Process.Look(func() error { in = h.inspection(); return nil })
	in.At = time.Now()
	return in, err
}

func (h *Host) inspection() topology.Inspection {
	n := h.Node
	in := topology.Inspection{Version: 15, ConfigID: strconv.Itoa(n.Configs), FreeBytes: n.free(),
		DataBytes: DatabaseBytes, WALBytes: 1 << 20, Server: n.State(), Dir: topology.DirMissing}
	p, d := n.Data()
	if d == nil {
		return in
	}
	in.Dir = topology.DirPresent
	if p == resync.InRepair {
		in.Dir = topology.DirInRepair
	}
	if d.Content == Ruined || d.Content == HalfCopied {
		in.Odd = []string{"the control file cannot be read"}
		return in
	}
	c, history := d.control(n.runsIn(d)), d.History()
	in.Control, in.History, in.StandbySignal, in.UpstreamSlot, in.DataID = &c, history, d.Signal, d.Slot, d.id()
	if d.Upstream >= 0 {
		u := h.Pool.Nodes[d.Upstream]
		in.UpstreamHost, in.UpstreamPort = u.Host, u.Port
		if d.Spelled != "" {
			in.UpstreamHost = d.Spelled
		}
	}
	return in
}

// VaultEntries lists the vault.
func (h *Host) VaultEntries() (out []topology.VaultEntry, err error) {
	err = h.Process.Look(func() error { out = h.Node.Kept; return nil })
	return out, err
}

// VaultReport names the entry, if it is in the vault.
func (h *Host) VaultReport(id string) (report []byte, err error) {
	err = h.Process.Look(func() error {
		for _, e := range h.Node.Kept {
			if e.ID == id {
				report = []byte(`{"id":"` + id + `"}`)
				return nil
			}
		}
		return fmt.Errorf("no report %s", id)
	})
	return report, err
}
