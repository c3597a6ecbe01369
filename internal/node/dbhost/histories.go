package dbhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// asideDir is where files of unfinished timelines are kept, in the work directory.
const asideDir = "histories"

// setAsideHistories moves what an unfinished promotion has left in p to the work
// directory: history files of timelines above the primary's, and the first
// segment of such a timeline. A standby that finds one takes that timeline for
// its target and never follows the primary (hazard 35). Where the directory has WAL
// of its own there, or data, it is another line's, and is refused.
func (h *Host) setAsideHistories(p resync.Place, primary topology.History) error {
	dir := h.path(p)
	names, err := unfinished(dir, primary.TLI)
	if err != nil || len(names) == 0 {
		return err
	}
	c, err := pgdata.ReadControl(dir)
	if err != nil {
		return fmt.Errorf("set histories aside: %w", err)
	}
	if c.Timeline > primary.TLI || c.MinRecoveryTLI > primary.TLI {
		return fail(codes.NotOnLine, "", "the node's data are on timeline %d, above the primary's timeline %d",
			max(c.Timeline, c.MinRecoveryTLI), primary.TLI)
	}
	if err := h.refuseOwnPast(dir, primary); err != nil {
		return err
	}
	aside := filepath.Join(h.workDir, asideDir)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return fmt.Errorf("set histories aside: %w", err)
	}
	for _, name := range names {
		if err := moveAside(filepath.Join(dir, "pg_wal", name), filepath.Join(aside, name)); err != nil {
			return fmt.Errorf("set %s aside: %w", name, err)
		}
	}
	h.log.Warn("an unfinished promotion was set aside", "text", strings.Join(names, " "), "path", aside)
	return errors.Join(pgdata.SyncDir(aside), pgdata.SyncDir(filepath.Join(dir, "pg_wal")))
}

// refuseOwnPast is an error where the directory has WAL of its own past the primary's
// line: then the timeline above is no unfinished one.
func (h *Host) refuseOwnPast(dir string, primary topology.History) error {
	w, _, err := h.openWAL(context.Background(), dir)
	if err != nil {
		return fmt.Errorf("set histories aside: %w", err)
	}
	defer w.Close()
	_, limit, open, shared := topology.Common(w.History(), primary)
	if shared && open {
		return nil
	}
	own := !shared
	if shared {
		look, err := w.LookAt(limit)
		if err != nil {
			return fmt.Errorf("set histories aside: %w", err)
		}
		own = look.Diverged()
	}
	if own {
		return fail(codes.NotOnLine, "", "the node has WAL of its own past %s, of a timeline above "+
			"the primary's timeline %d", limit, primary.TLI)
	}
	return nil
}

// unfinished lists files in pg_wal of timelines above tli, histories last: as long
// as a history is there the rest can be found again after a crash.
func unfinished(dir string, tli topology.TimelineID) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "pg_wal"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list histories: %w", err)
	}
	var segments, histories []string
	for _, e := range entries {
		name, history := strings.CutSuffix(e.Name(), ".history")
		if len(e.Name()) < 24 && !history || len(name) < 8 || !e.Type().IsRegular() {
			continue
		}
		of, err := strconv.ParseUint(name[:8], 16, 32)
		switch {
		case err != nil || topology.TimelineID(of) <= tli:
		case history:
			histories = append(histories, e.Name())
		default:
			segments = append(segments, e.Name())
		}
	}
	return append(segments, histories...), nil
}

// moveAside moves a file to a name that is free, also to another file system, and
// makes it durable there before it is gone here.
func moveAside(from, to string) error {
	for i, name := 1, to; ; i++ {
		if !fileThere(to) {
			break
		}
		to = fmt.Sprintf("%s.%d", name, i)
	}
	err := os.Rename(from, to)
	if errors.Is(err, unix.EXDEV) {
		if err = copyFile(from, to, 0o600); err == nil {
			err = errors.Join(syncTree(to), os.Remove(from))
		}
	}
	if err != nil {
		return err
	}
	for _, mark := range []string{".ready", ".done"} {
		status := filepath.Join(filepath.Dir(from), "archive_status", filepath.Base(from)+mark)
		if err := os.Remove(status); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// chasesUnfinished says whether the running server may have taken a timeline for its
// target that was set aside after it started: only a restart makes it forget.
func (h *Host) chasesUnfinished(pm pgdata.PostmasterPID) bool {
	st, err := os.Stat(filepath.Join(h.workDir, asideDir))
	return err == nil && !pm.Started.IsZero() && !st.ModTime().Before(pm.Started)
}

// restart stops a standby and starts it again.
func (h *Host) restart(ctx context.Context) error {
	if _, err := h.StopServer(ctx, false); err != nil {
		return err
	}
	return h.StartServer(ctx)
}
