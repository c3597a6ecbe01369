package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/node/resync"
)

// checkpointWait is how long Checkpoint waits for the primary's own checkpoint
// where the role may not request one.
const checkpointWait = 30 * time.Second

// Upstream is the resync.UpstreamLink over PostgreSQL's protocol. Confirm uses a
// fresh connection each time; what is asked right after it may go over the same one.
type Upstream struct {
	login          postgres.Login
	checkpointWait time.Duration
	conns          postgres.Keeper
}

var _ resync.UpstreamLink = (*Upstream)(nil)

// NewUpstream returns a link that logs in to primaries as that role. It does not
// connect.
func NewUpstream(l postgres.Login) *Upstream {
	return &Upstream{login: l, checkpointWait: checkpointWait}
}

// with calls f on a connection, which is fresh or was so two seconds ago.
func (u *Upstream) with(ctx context.Context, up topology.Upstream, fresh bool, f func(*pgx.Conn) error) error {
	conf, err := u.login.Config(up.Host, up.Port, postgres.Session{Connect: 3 * time.Second})
	if err != nil {
		return fmt.Errorf("node %s: %w", up.Node, err)
	}
	err = u.conns.With(ctx, conf, fresh, f)
	var lost *postgres.ConnectError
	if errors.As(err, &lost) {
		return resync.Errorf(codes.UpstreamLost, "node %s: %w", up.Node, lost)
	}
	return err
}

// Confirm proves that up has the same system identifier, is not a standby, and is
// on the request's timeline. A difference is upstream-changed.
func (u *Upstream) Confirm(ctx context.Context, up topology.Upstream) error {
	return u.with(ctx, up, true, func(c *pgx.Conn) error { return confirm(ctx, c, up) })
}

func confirm(ctx context.Context, c *pgx.Conn, up topology.Upstream) error {
	f, err := postgres.Identify(ctx, c, postgres.More{})
	if err != nil {
		return fmt.Errorf("node %s: %w", up.Node, err)
	}
	changed := func(format string, args ...any) error {
		return resync.Errorf(codes.UpstreamChanged, "node %s "+format, append([]any{up.Node}, args...)...)
	}
	switch {
	case f.SystemID != up.SystemID:
		return changed("has system identifier %s, not %s", f.SystemID, up.SystemID)
	case f.InRecovery:
		return changed("is a standby now")
	case f.Timeline != up.History.TLI:
		return changed("is on timeline %d, not %d", f.Timeline, up.History.TLI)
	}
	return nil
}

// EnsureSlot creates the physical slot with its WAL reserved. One without
// reserved WAL, or whose WAL is lost, is replaced; one in use is left alone.
func (u *Upstream) EnsureSlot(ctx context.Context, up topology.Upstream, slot string) error {
	return u.with(ctx, up, false, func(c *pgx.Conn) error {
		for range 3 { // it may be created or dropped meanwhile
			ok, err := ensureSlot(ctx, c, slot)
			if err != nil {
				return &resync.Error{Code: codes.SlotFailed, Err: fmt.Errorf("slot %s on node %s: %w", slot, up.Node, err)}
			}
			if ok {
				return nil
			}
		}
		return resync.Errorf(codes.SlotFailed, "slot %s on node %s: another session keeps changing it", slot, up.Node)
	})
}

// ensureSlot is one attempt; ok is false when the slot must be looked at again.
func ensureSlot(ctx context.Context, c *pgx.Conn, slot string) (ok bool, err error) {
	var physical, active, reserved bool
	var status string
	err = c.QueryRow(ctx, `select slot_type = 'physical', active, restart_lsn is not null, coalesce(wal_status, '')
		from pg_replication_slots where slot_name = $1`, slot).Scan(&physical, &active, &reserved, &status)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		_, err = c.Exec(ctx, `select pg_create_physical_replication_slot($1, true)`, slot)
		if postgres.SQLState(err) == postgres.DuplicateObject {
			return false, nil
		}
		return err == nil, err
	case err != nil:
		return false, err
	case !physical:
		return false, errors.New("it exists as a logical slot; drop it or choose another name")
	case active || reserved && status != "lost":
		return true, nil
	}
	_, err = c.Exec(ctx, `select pg_drop_replication_slot($1)`, slot)
	if s := postgres.SQLState(err); s == postgres.UndefinedObject || s == postgres.ObjectInUse {
		return false, nil
	}
	return false, err
}

// SlotHolder names process, application and address of the session that uses the
// slot; empty: none does.
func (u *Upstream) SlotHolder(ctx context.Context, up topology.Upstream, slot string) (holder string, err error) {
	err = u.with(ctx, up, false, func(c *pgx.Conn) error {
		err := c.QueryRow(ctx, `select format('process %s, application %s, from %s', s.active_pid,
			coalesce(quote_ident(nullif(a.application_name, '')), 'unknown'),
			coalesce(host(a.client_addr), 'a local socket'))
			from pg_replication_slots s left join pg_stat_activity a on a.pid = s.active_pid
			where s.slot_name = $1 and s.active`, slot).Scan(&holder)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ask node %s who uses slot %s: %w", up.Node, slot, err)
	}
	return holder, nil
}

// Checkpoint makes the primary's control file name its timeline. Where the role
// may not request a checkpoint, it waits for the primary's own.
func (u *Upstream) Checkpoint(ctx context.Context, up topology.Upstream) error {
	return u.with(ctx, up, false, func(c *pgx.Conn) error {
		if done, err := checkpointed(ctx, c, up); done || err != nil {
			return err
		}
		_, denied := c.Exec(ctx, `checkpoint`)
		if denied != nil && postgres.SQLState(denied) != postgres.InsufficientPrivilege {
			return fmt.Errorf("checkpoint on node %s: %w", up.Node, denied)
		}
		return u.awaitCheckpoint(ctx, c, up, denied)
	})
}

// awaitCheckpoint polls until the control file names the timeline. denied is why
// no checkpoint could be requested, or nil.
func (u *Upstream) awaitCheckpoint(ctx context.Context, c *pgx.Conn, up topology.Upstream, denied error) error {
	ctx, cancel := context.WithTimeout(ctx, u.checkpointWait)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := checkpointed(ctx, c, up)
		if done || err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			err := fmt.Errorf("node %s has not completed a checkpoint on timeline %d yet", up.Node, up.History.TLI)
			return errors.Join(err, denied)
		}
	}
}

// checkpointed says whether the primary's newest checkpoint is on its timeline.
func checkpointed(ctx context.Context, c *pgx.Conn, up topology.Upstream) (bool, error) {
	var tli uint32
	err := c.QueryRow(ctx, `select timeline_id from pg_control_checkpoint()`).Scan(&tli)
	if err != nil {
		return false, fmt.Errorf("read the checkpoint of node %s: %w", up.Node, err)
	}
	return topology.TimelineID(tli) == up.History.TLI, nil
}

// Size is the sum of the primary's tablespaces: what a base backup copies,
// without WAL. The role needs pg_read_all_stats or the like.
func (u *Upstream) Size(ctx context.Context, up topology.Upstream) (uint64, error) {
	var size int64
	err := u.with(ctx, up, false, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `select coalesce(sum(pg_tablespace_size(oid)), 0)::int8 from pg_tablespace`).Scan(&size)
	})
	if err != nil {
		return 0, fmt.Errorf("ask node %s for its size: %w", up.Node, err)
	}
	return uint64(max(size, 0)), nil
}

// Position is the primary's current WAL position.
func (u *Upstream) Position(ctx context.Context, up topology.Upstream) (topology.LSN, error) {
	var text string
	err := u.with(ctx, up, false, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `select pg_current_wal_lsn()::text`).Scan(&text)
	})
	if err != nil {
		return 0, fmt.Errorf("ask node %s for its position: %w", up.Node, err)
	}
	return topology.ParseLSN(text)
}
