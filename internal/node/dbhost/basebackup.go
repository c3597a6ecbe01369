package dbhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// BaseBackup copies up into New with a fast checkpoint, streaming its WAL
// through the node's slot. New must not exist. WAL and tablespaces that the node
// has outside its data directory are copied beside those that are there.
func (h *Host) BaseBackup(ctx context.Context, up topology.Upstream, slot string, see resync.Progress) error {
	there, err := h.Exists(resync.New)
	if err != nil {
		return err
	}
	if there {
		return fail(codes.CopyFailed, "", "base backup: there is already something at %s", h.path(resync.New))
	}
	src, err := h.askBeforeCopy(ctx, up)
	if err != nil {
		return err
	}
	if err := h.refuseUnmounted(); err != nil {
		return err
	}
	if err := os.MkdirAll(h.placesDir(), 0o700); err != nil {
		return fmt.Errorf("base backup: %w", err)
	}
	outside, err := h.makeOutside(ctx, src)
	if err != nil {
		return err
	}
	algorithm, why := compression(h.o.Compression, near(ctx, up.Host), src.version, src.compressions)
	if why != "" {
		h.log.Warn("the base backup is not compressed", "mode", h.o.Compression, "reason", why)
	}
	defer h.busyNow()()
	conn := h.o.Replication.ToolConnInfo(up.Host, up.Port).With("application_name", "repool_copy")
	args := []string{"--pgdata=" + h.path(resync.New), "--dbname=" + conn.String(), "--wal-method=stream",
		"--checkpoint=fast", "--progress", "--no-password"}
	if slot != "" {
		args = append(args, "--slot="+slot)
	}
	args = append(args, outside...)
	if h.o.MaxRate != "" {
		args = append(args, "--max-rate="+h.o.MaxRate)
	}
	if algorithm != "" {
		// Progress stays true: the server itself tells how far it has read (15,
		// basebackup_copy.c), not pg_basebackup what it has received.
		args = append(args, "--compress=server-"+algorithm)
	}
	out, err := h.run(ctx, program{name: "pg_basebackup", args: args, env: h.o.Replication.Environment(),
		line: func(line string) { showProgress(line, see) }})
	if err != nil {
		return rewindError(codes.CopyFailed, "base backup", out, err)
	}
	return pgdata.SyncDir(h.placesDir())
}

// source is what the upstream says of itself before it is copied.
type source struct {
	version      int // server_version_num
	catalog      uint32
	compressions []string
	spaces       []sourceSpace
}

// sourceSpace is a tablespace with a path of its own.
type sourceSpace struct {
	oid      uint32
	location string // on the upstream's host
	size     uint64
}

// askBeforeCopy asks the upstream for what decides how it is copied.
func (h *Host) askBeforeCopy(ctx context.Context, up topology.Upstream) (src source, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := h.o.Database.Connect(ctx, up.Host, up.Port, upstreamSession)
	if err != nil {
		return src, fail(codes.UpstreamLost, "the primary could not be reached", "ask the primary before the copy: %w",
			err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int,
		(SELECT catalog_version_no FROM pg_control_system()),
		coalesce((SELECT enumvals FROM pg_settings WHERE name = 'wal_compression'), '{}')`).
		Scan(&src.version, &src.catalog, &src.compressions)
	if err != nil {
		return src, fail(codes.UpstreamLost, "", "ask the primary before the copy: %w", err)
	}
	rows, err := conn.Query(ctx, `SELECT oid, pg_tablespace_location(oid), pg_tablespace_size(oid) FROM pg_tablespace
		WHERE pg_tablespace_location(oid) LIKE '/%' ORDER BY oid`)
	if err == nil {
		src.spaces, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s sourceSpace, err error) {
			var size int64
			err = row.Scan(&s.oid, &s.location, &size)
			s.size = uint64(max(size, 0))
			return s, err
		})
	}
	if err != nil {
		return src, fail(codes.UpstreamLost, "", "ask the primary for its tablespaces: %w", err)
	}
	return src, nil
}

// VerifyBackup checks New against the manifest that came with it.
func (h *Host) VerifyBackup(ctx context.Context) error {
	defer h.busyNow()()
	dir := h.path(resync.New)
	out, err := h.run(ctx, program{name: "pg_verifybackup",
		args: []string{"--no-parse-wal", "--exit-on-error", "--quiet", dir}})
	if err != nil {
		return fail(codes.VerifyFailed, "check the disk and the network; the copy was not used", "%s",
			withLog("verify the base backup: "+err.Error(), out))
	}
	c, err := pgdata.ReadControl(dir)
	if err != nil {
		return fail(codes.VerifyFailed, "", "verify the base backup: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pg_wal", topology.WALFileName(c.Timeline, c.RedoLSN,
		c.SegmentSize))); err != nil {
		return fail(codes.VerifyFailed, "", "verify the base backup: the WAL from its start is not in it: %w", err)
	}
	return nil
}

// Custom runs the operator's own resync command through the shell.
func (h *Host) Custom(ctx context.Context, req topology.RunRequest) error {
	if h.o.Custom == nil {
		return fail(codes.Internal, "set resync_command in pgpool.conf",
			"run the operator's resync command: none is configured")
	}
	defer h.busyNow()()
	out, err := h.run(ctx, program{name: "/bin/sh", args: []string{"-c", h.o.Custom(req)}, env: []string{
		"REPOOL_NODE=" + req.Node.String(), "REPOOL_RUN=" + req.ID,
		"REPOOL_UPSTREAM=" + req.Upstream.Host + ":" + strconv.Itoa(req.Upstream.Port), "REPOOL_SLOT=" + req.Slot}})
	if err != nil {
		return fail(codes.CustomFailed, "look at the command's own log", "run the operator's resync command: %w",
			errors.Join(err, printed(out)))
	}
	return nil
}
