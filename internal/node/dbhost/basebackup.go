package dbhost

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// BaseBackup copies up into New with a fast checkpoint, streaming its WAL
// through the node's slot. New must not exist. Tablespaces outside the data
// directory are refused: two copies of one path cannot live side by side.
func (h *Host) BaseBackup(ctx context.Context, up topology.Upstream, slot string, see resync.Progress) error {
	there, err := h.Exists(resync.New)
	if err != nil {
		return err
	}
	if there {
		return fail(codes.CopyFailed, "", "base backup: there is already something at %s", h.path(resync.New))
	}
	algorithm, err := h.askBeforeCopy(ctx, up)
	if err != nil {
		return err
	}
	defer h.busyNow()()
	conn := h.o.Replication.ToolConnInfo(up.Host, up.Port).With("application_name", "repool_copy")
	args := []string{"--pgdata=" + h.path(resync.New), "--dbname=" + conn.String(), "--wal-method=stream",
		"--checkpoint=fast", "--progress", "--no-password"}
	if slot != "" {
		args = append(args, "--slot="+slot)
	}
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
	return pgdata.SyncDir(h.workDir)
}

// askBeforeCopy asks the upstream for what decides how it is copied: tablespaces
// with a path of their own, which are refused, and what it can compress with.
func (h *Host) askBeforeCopy(ctx context.Context, up topology.Upstream) (algorithm string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := h.o.Database.Connect(ctx, up.Host, up.Port, upstreamSession)
	if err != nil {
		return "", fail(codes.UpstreamLost, "the primary could not be reached", "ask the primary before the copy: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var tablespaces, version int
	var have []string
	err = conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM pg_tablespace WHERE pg_tablespace_location(oid) LIKE '/%'),
		current_setting('server_version_num')::int,
		coalesce((SELECT enumvals FROM pg_settings WHERE name = 'wal_compression'), '{}')`).
		Scan(&tablespaces, &version, &have)
	if err != nil {
		return "", fail(codes.UpstreamLost, "", "ask the primary before the copy: %w", err)
	}
	if tablespaces > 0 {
		return "", fail(codes.Tablespaces, "copy the node by hand (pg_basebackup --tablespace-mapping), or move the "+
			"tablespaces' tables back and drop them",
			"base backup: the primary has %d tablespace(s) outside its data directory, which cannot be copied beside the old "+
				"ones", tablespaces)
	}
	algorithm, why := compression(h.o.Compression, near(ctx, up.Host), version, have)
	if why != "" {
		h.log.Warn("the base backup is not compressed", "mode", h.o.Compression, "reason", why)
	}
	return algorithm, nil
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
