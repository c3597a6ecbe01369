package dbhost

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

var (
	needToCopy = regexp.MustCompile(`need to copy ([0-9]+) MB`)
	progressKB = regexp.MustCompile(`^\s*([0-9]+)/([0-9]+) kB`)
)

// Rewind runs pg_rewind on InRepair until it ends, however long that takes, and
// says whether there was anything to rewind. The upstream must have made a
// checkpoint since its promotion (hazard 2). The caller has noted in its
// journal, before, that the directory is unusable from here on. A failure that
// provably came before the first overwritten byte is marked as such:
// pg_rewind first reads everything, then prints how much it will copy, and only
// then opens files for writing (pg_rewind.c, main(), PostgreSQL 13 to 18).
func (h *Host) Rewind(ctx context.Context, up topology.Upstream, see resync.Progress) (needed bool, err error) {
	defer h.busyNow()()
	if err := h.refuseBesides(); err != nil {
		return false, h.undoneRewind(&resync.Error{Code: codes.Tablespaces, Err: err})
	}
	if err := h.setAside(); err != nil {
		return false, h.undoneRewind(&resync.Error{Code: codes.RewindRefused, Err: err})
	}
	begun, none := false, false
	out, err := h.pgRewind(ctx, up, func(line string) {
		if m := needToCopy.FindStringSubmatch(line); m != nil {
			begun = true
			if n, err := strconv.ParseUint(m[1], 10, 44); err == nil && see != nil {
				see(0, n<<20)
			}
		}
		none = none || strings.Contains(line, "no rewind required")
		showProgress(line, see)
	})
	switch {
	case err != nil && !begun:
		return false, h.undoneRewind(rewindError(codes.RewindRefused, "look at what pg_rewind would copy", out, err))
	case err != nil:
		return true, rewindError(codes.RewindFailed, "rewind", out, err)
	case !begun && !none:
		return true, fail(codes.RewindFailed, "", "%s", withLog("pg_rewind neither found a divergence nor denied one", out))
	}
	if !begun {
		err = h.putBack()
	}
	return begun, err
}

// undoneRewind gives a directory that pg_rewind has not changed its own files back, and marks the failure so.
func (h *Host) undoneRewind(e *resync.Error) error {
	if err := h.putBack(); err != nil {
		e.Err = fmt.Errorf("%w; and the node's own files could not be put back: %w", e.Err, err)
		return e
	}
	return untouched(e)
}

// showProgress reads "done/total kB" from a program's output.
func showProgress(line string, see resync.Progress) {
	m := progressKB.FindStringSubmatch(line)
	if m == nil || see == nil {
		return
	}
	done, err1 := strconv.ParseUint(m[1], 10, 54)
	total, err2 := strconv.ParseUint(m[2], 10, 54)
	if err1 == nil && err2 == nil {
		see(done<<10, total<<10)
	}
}

// pgRewind runs pg_rewind on InRepair. It never lets it run the server itself:
// single-user recovery would add WAL (hazard 3); Settle has come before.
func (h *Host) pgRewind(ctx context.Context, up topology.Upstream, line func(string)) (string, error) {
	dir := h.path(resync.InRepair)
	source := h.o.Database.ToolConnInfo(up.Host, up.Port).With("dbname", h.o.Database.Database())
	args := []string{"--target-pgdata=" + dir, "--source-server=" + source.String(),
		"--progress", "--no-ensure-shutdown"}
	args = append(args, h.restoreWAL(dir)...)
	return h.run(ctx, program{name: "pg_rewind", args: args, env: h.o.Database.Environment(), line: line})
}

// restoreWAL lets pg_rewind fetch missing WAL from the node's archive when it
// has one and pg_rewind can be told where the configuration is.
func (h *Host) restoreWAL(dir string) []string {
	major, err := pgdata.MajorVersion(dir)
	if err != nil {
		return nil
	}
	conf, err := h.effective(resync.InRepair)
	if cmd, _ := conf.Get("restore_command"); err != nil || cmd == "" {
		return nil
	}
	l, err := h.layout()
	switch {
	case err != nil || (l.config != "" && major < 15):
		return nil
	case l.config != "":
		return []string{"--restore-target-wal", "--config-file=" + l.config}
	}
	return []string{"--restore-target-wal"}
}

// sign is a sentence of a program and what it means.
type sign struct {
	text string
	code codes.Code // empty: the caller's
	hint string
}

const hintWALGone = "the WAL back to the last common checkpoint is gone; a base backup is needed"

// copySigns are of pg_rewind and pg_basebackup, printed in English (LC_ALL=C).
var copySigns = []sign{
	{"No space left on device", codes.NoSpace, "make room on the data directory's file system"},
	{"could not find previous WAL record", "", hintWALGone},
	{"could not read WAL record", "", hintWALGone},
	{"could not find common ancestor", codes.RewindRefused, "the two have no history in common; a base backup is needed"},
	{"system identifiers", codes.RewindRefused, "the node belongs to another cluster; nothing of it can be reused"},
	{"different systems", codes.RewindRefused, "the node belongs to another cluster; nothing of it can be reused"},
	{"wal_log_hints", codes.RewindRefused, "set wal_log_hints = on on every node (or use data checksums); until then a " +
		"base backup is needed"},
	{"full_page_writes", codes.RewindRefused, "set full_page_writes = on on the primary"},
	{"permission denied for function", codes.RewindRefused,
		"grant the database role EXECUTE on pg_ls_dir, pg_stat_file and both forms of pg_read_binary_file"},
	{"must be shut down cleanly", codes.RewindRefused, "its crash recovery was not finished"},
	{"already exists", "", ""},
	{"replication slot", codes.SlotFailed, "look at pg_replication_slots on the primary"},
	{"password authentication failed", "", "check the passfile and pg_hba.conf of the primary"},
	{"no password supplied", "", "put the role's password into the passfile"},
	{"no pg_hba.conf entry", "", "add the node to pg_hba.conf of the primary"},
	{"must be superuser or replication role", "", "the replication role needs the REPLICATION attribute"},
	{"Permission denied", "", "look at owner and mode of the file named"},
	{"connection to server", codes.UpstreamLost, "the primary could not be reached, or went away"},
	{"server closed the connection", codes.UpstreamLost, "the primary went away meanwhile"},
	{"terminating connection", codes.UpstreamLost, "the primary went away meanwhile"},
	{"could not receive data", codes.UpstreamLost, "the primary went away meanwhile"},
	{"could not send", codes.UpstreamLost, "the primary went away meanwhile"},
	{"no connection to the server", codes.UpstreamLost, "the primary went away meanwhile"},
}

// rewindError tells what went wrong with a program that copies from the
// upstream, by its output.
func rewindError(code codes.Code, what, out string, err error) *resync.Error {
	hint := ""
	for _, s := range copySigns {
		if strings.Contains(out, s.text) {
			if s.code != "" {
				code = s.code
			}
			hint = s.hint
			break
		}
	}
	return &resync.Error{Code: code, Hint: hint, Err: fmt.Errorf("%s: %w", what, errors.Join(err, printed(out)))}
}

// untouched marks a failure that came before anything was changed.
func untouched(e *resync.Error) *resync.Error {
	e.Untouched = true
	return e
}

// printed is a program's output as an error, nil when there is none.
func printed(out string) error {
	if strings.TrimSpace(out) == "" {
		return nil
	}
	return errors.New(out)
}
