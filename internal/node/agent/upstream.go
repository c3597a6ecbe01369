package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgconn"
	"github.com/repool/repool/internal/node/resync"
)

// UpstreamOptions say how to log in to a primary. Passwords come from the
// passfile only.
type UpstreamOptions struct {
	User     string // empty: "repool"
	DBName   string // empty: "postgres"
	Passfile string // empty: libpq's default
	SSLMode  string // empty: "prefer"
	// ConnectTimeout is rounded up to seconds; zero: 3 s.
	ConnectTimeout time.Duration
	// CheckpointWait is how long Checkpoint waits for the primary's own
	// checkpoint where the role may not ask for one; zero: 30 s.
	CheckpointWait time.Duration
}

// Upstream is the resync.UpstreamLink over PostgreSQL's protocol. Confirm uses a
// fresh connection each time; what is asked right after it may go over the same one.
type Upstream struct {
	opts  UpstreamOptions
	conns sqlconn.Keeper
}

var _ resync.UpstreamLink = (*Upstream)(nil)

// NewUpstream returns a link with those options. It does not connect.
func NewUpstream(o UpstreamOptions) *Upstream {
	if o.User == "" {
		o.User = "repool"
	}
	if o.DBName == "" {
		o.DBName = "postgres"
	}
	if o.SSLMode == "" {
		o.SSLMode = "prefer"
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 3 * time.Second
	}
	if o.CheckpointWait == 0 {
		o.CheckpointWait = 30 * time.Second
	}
	return &Upstream{opts: o}
}

// conninfo is the connection string; every value is quoted.
func (u *Upstream) conninfo(up topology.Upstream) string {
	host := up.Host
	if host == "" {
		host = "/var/run/postgresql" // Debian's libpq and Pgpool-II mean this one
	}
	seconds := int((u.opts.ConnectTimeout + time.Second - 1) / time.Second)
	var b strings.Builder
	add := func(key, value string) {
		value = strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)
		fmt.Fprintf(&b, "%s='%s' ", key, value)
	}
	add("host", host)
	add("port", strconv.Itoa(up.Port))
	add("user", u.opts.User)
	add("dbname", u.opts.DBName)
	add("sslmode", u.opts.SSLMode)
	add("application_name", "repool")
	add("connect_timeout", strconv.Itoa(seconds))
	add("target_session_attrs", "any")
	if u.opts.Passfile != "" {
		add("passfile", u.opts.Passfile)
	}
	return b.String()
}

// with calls f on a connection, which is fresh or was so two seconds ago.
func (u *Upstream) with(ctx context.Context, up topology.Upstream, fresh bool, f func(*pgx.Conn) error) error {
	cfg, err := pgx.ParseConfig(u.conninfo(up))
	if err != nil {
		return fmt.Errorf("connect to node %s: %w", up.Node, err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // one round trip, nothing prepared
	failed := func(err error) error {
		return resync.Errorf(resync.CodeUpstreamLost, "connect to node %s: %w", up.Node, err)
	}
	return u.conns.With(ctx, cfg, fresh, failed, f)
}

// Confirm proves that up is the same lineage, no standby, and on the
// request's timeline. What differs is upstream-changed.
func (u *Upstream) Confirm(ctx context.Context, up topology.Upstream) error {
	return u.with(ctx, up, true, func(c *pgx.Conn) error { return confirm(ctx, c, up) })
}

func confirm(ctx context.Context, c *pgx.Conn, up topology.Upstream) error {
	var id, segment string
	var standby bool
	err := c.QueryRow(ctx, `select system_identifier::text, pg_is_in_recovery(),
		case when pg_is_in_recovery() then '' else pg_walfile_name(pg_current_wal_lsn()) end
		from pg_control_system()`).Scan(&id, &standby, &segment)
	if err != nil {
		return fmt.Errorf("ask node %s who it is: %w", up.Node, err)
	}
	if id != up.SystemID.String() {
		return resync.Errorf(resync.CodeUpstreamChanged, "node %s has system identifier %s, not %s", up.Node, id, up.SystemID)
	}
	if standby {
		return resync.Errorf(resync.CodeUpstreamChanged, "node %s is a standby now", up.Node)
	}
	if len(segment) < 8 {
		return fmt.Errorf("ask node %s for its timeline: segment name %q", up.Node, segment)
	}
	tli, err := strconv.ParseUint(segment[:8], 16, 32)
	if err != nil {
		return fmt.Errorf("ask node %s for its timeline: segment name %q: %w", up.Node, segment, err)
	}
	if topology.TimelineID(tli) != up.History.TLI {
		return resync.Errorf(resync.CodeUpstreamChanged, "node %s is on timeline %d, not %d", up.Node, tli, up.History.TLI)
	}
	return nil
}

// EnsureSlot creates the physical slot with its WAL reserved. One without
// reserved WAL, or whose WAL is lost, is made anew; one in use is left alone.
func (u *Upstream) EnsureSlot(ctx context.Context, up topology.Upstream, slot string) error {
	return u.with(ctx, up, false, func(c *pgx.Conn) error {
		for range 3 { // somebody else may make or drop it meanwhile
			ok, err := ensureSlot(ctx, c, slot)
			if err != nil {
				return &resync.Error{Code: resync.CodeSlotFailed, Err: fmt.Errorf("slot %s on node %s: %w", slot, up.Node, err)}
			}
			if ok {
				return nil
			}
		}
		return resync.Errorf(resync.CodeSlotFailed, "slot %s on node %s: somebody else keeps changing it", slot, up.Node)
	})
}

// ensureSlot is one try; ok is false when it must look again.
func ensureSlot(ctx context.Context, c *pgx.Conn, slot string) (ok bool, err error) {
	var physical, active, reserved bool
	var status string
	err = c.QueryRow(ctx, `select slot_type = 'physical', active, restart_lsn is not null, coalesce(wal_status, '')
		from pg_replication_slots where slot_name = $1`, slot).Scan(&physical, &active, &reserved, &status)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		_, err = c.Exec(ctx, `select pg_create_physical_replication_slot($1, true)`, slot)
		if sqlState(err) == "42710" { // duplicate_object
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
	if s := sqlState(err); s == "42704" || s == "55006" { // undefined_object, object_in_use
		return false, nil
	}
	return false, err
}

// Checkpoint makes the primary's control file name its timeline. Where the
// role may not ask for a checkpoint it waits for the primary's own.
func (u *Upstream) Checkpoint(ctx context.Context, up topology.Upstream) error {
	return u.with(ctx, up, false, func(c *pgx.Conn) error {
		if done, err := checkpointed(ctx, c, up); done || err != nil {
			return err
		}
		_, denied := c.Exec(ctx, `checkpoint`)
		if denied != nil && sqlState(denied) != "42501" { // insufficient_privilege
			return fmt.Errorf("checkpoint on node %s: %w", up.Node, denied)
		}
		return u.awaitCheckpoint(ctx, c, up, denied)
	})
}

// awaitCheckpoint polls until the control file is there. denied is why no
// checkpoint could be asked for, if so.
func (u *Upstream) awaitCheckpoint(ctx context.Context, c *pgx.Conn, up topology.Upstream, denied error) error {
	ctx, cancel := context.WithTimeout(ctx, u.opts.CheckpointWait)
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
			return errors.Join(fmt.Errorf("node %s has made no checkpoint on timeline %d yet", up.Node, up.History.TLI), denied)
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

// sqlState is the server's error code, or empty.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
