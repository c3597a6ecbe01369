package dbhost

import (
	"context"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/internal/node/vault"
)

// Vault copies WAL that only this node holds, and lists its lost commits (P3).
// It returns the older entry when the same line was kept before.
func (h *Host) Vault(ctx context.Context, req topology.RunRequest, from resync.Place,
	see resync.Progress) (topology.VaultEntry, error) {
	defer h.busyNow()()
	dir := h.path(from)
	if err := h.refuseInUse(dir); err != nil {
		return topology.VaultEntry{}, err
	}
	all, err := h.ownWAL(ctx, dir)
	if err != nil {
		return topology.VaultEntry{}, fail(codes.VaultFailed,
			"the data directory itself is then the only record: keep it", "keep the node's WAL: %w", err)
	}
	redo, err := h.commonCheckpoint(ctx, dir, req.Divergence)
	if err != nil {
		return topology.VaultEntry{}, fail(codes.VaultFailed, "", "keep the node's WAL: %w", err)
	}
	names := newRelationNames(h, req.Upstream)
	defer names.close()
	e, err := vault.Keep(ctx, vault.Request{
		Vault: h.o.VaultDir, DataDir: dir, Node: h.o.Node, Diverged: req.Divergence, From: redo, End: all.end,
		Headroom: h.o.Headroom, Name: func(r pgdata.RelFile) string { return names.name(ctx, r) }, Progress: see,
	})
	if err != nil {
		return topology.VaultEntry{}, fail(codes.VaultFailed,
			"make room, or set vault.directory in repool.yaml to another file system", "keep the node's WAL: %w", err)
	}
	return e, nil
}

// commonCheckpoint is the redo point of the last checkpoint before the
// divergence point; zero when either is not known.
func (h *Host) commonCheckpoint(ctx context.Context, dir string, diverged topology.LSN) (topology.LSN, error) {
	if diverged == 0 {
		return 0, nil
	}
	w, c, err := h.openWAL(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer w.Close()
	return h.lastCheckpoint(ctx, w, c, dir, diverged)
}

// RefillWAL puts kept segments that are no longer in p back into its pg_wal.
func (h *Host) RefillWAL(p resync.Place, entry topology.VaultEntry) error {
	if entry.ID == "" {
		return nil
	}
	return coded(codes.VaultFailed, "", vault.Refill(h.o.VaultDir, entry.ID, h.path(p)))
}

// VaultEntries lists what is kept of this node's lost lines, oldest first.
func (h *Host) VaultEntries() ([]topology.VaultEntry, error) {
	return vault.List(h.o.VaultDir, h.o.Node)
}

// VaultReport gives the JSON report of one entry, with each lost commit.
func (h *Host) VaultReport(id string) ([]byte, error) { return vault.ReadReport(h.o.VaultDir, id) }
