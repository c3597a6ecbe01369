package pgdata

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/repool/repool/internal/core/topology"
)

// walDirName is the folder of WAL segments and history files inside a data
// directory (a symlink in some installations).
const walDirName = "pg_wal"

// ReadHistory reads the history file of timeline tli in dir/pg_wal. Timeline 1
// has none, and its history is itself. The error wraps fs.ErrNotExist when
// there is no such file, and is a *CorruptError when its text is not valid.
func ReadHistory(dir string, tli topology.TimelineID) (topology.History, error) {
	if tli == 1 {
		return topology.History{TLI: 1}, nil
	}
	path := filepath.Join(dir, walDirName, topology.HistoryFileName(tli))
	b, err := os.ReadFile(path)
	if err != nil {
		return topology.History{}, fmt.Errorf("read history of timeline %d: %w", tli, err)
	}
	return parseHistoryFile(path, tli, b)
}

// parseHistoryFile reads the bytes of a history file. A later timeline always
// has an ancestor, so a file without one is a file that was lost in a crash.
func parseHistoryFile(path string, tli topology.TimelineID, b []byte) (topology.History, error) {
	bad := func(field, msg string) (topology.History, error) {
		return topology.History{}, &CorruptError{File: path, Field: field, Msg: msg}
	}
	if len(b) == 0 {
		return bad("", "the file is empty")
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return bad("", "the file has zero bytes in its text")
	}
	h, err := topology.ParseHistory(tli, string(b))
	if err != nil {
		return bad("entry", err.Error())
	}
	if tli > 1 && len(h.Ancestors) == 0 {
		return bad("entry", fmt.Sprintf("timeline %d has no ancestor in it", tli))
	}
	return h, nil
}

// Histories reads every history file in dir/pg_wal, in rising order of
// timeline. A standby holds files of timelines of which it has no WAL.
func Histories(dir string) ([]topology.History, error) {
	entries, err := os.ReadDir(filepath.Join(dir, walDirName))
	if err != nil {
		return nil, fmt.Errorf("list history files: %w", err)
	}
	var all []topology.History
	for _, e := range entries {
		tli, ok := historyFileTLI(e.Name())
		if !ok {
			continue
		}
		h, err := ReadHistory(dir, tli)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b topology.History) int { return int(int64(a.TLI) - int64(b.TLI)) })
	return all, nil
}

// historyFileTLI is the timeline of a file name like "00000002.history".
func historyFileTLI(name string) (topology.TimelineID, bool) {
	hex, ok := strings.CutSuffix(name, ".history")
	if !ok || len(hex) != 8 || strings.ToUpper(hex) != hex {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	return topology.TimelineID(n), err == nil && n > 0
}

// OwnHistory is the line of the newest timeline that the directory really has
// WAL of: the control file's, or that of a later segment whose first page is
// valid (a server killed right after its promotion; a standby that streamed
// the new timeline and made no restart point yet). A history file alone does
// not count: standbys fetch those ahead of any WAL.
func OwnHistory(dir string) (topology.History, error) {
	c, err := ReadControl(dir)
	if err != nil {
		return topology.History{}, err
	}
	known, err := Histories(dir)
	if err != nil {
		return topology.History{}, err
	}
	for i := len(known) - 1; i >= 0 && known[i].TLI > c.LastTimeline(); i-- {
		if !known[i].Contains(c.LastTimeline()) {
			continue // a line this directory was never on
		}
		w, err := OpenWAL(dir, known[i].TLI, known[i], c.SegmentSize)
		if err != nil {
			return topology.History{}, err
		}
		w.Expect(c)
		has, err := w.hasOwnSegment()
		w.Close()
		if err != nil {
			return topology.History{}, err
		}
		if has {
			return known[i], nil
		}
	}
	return ReadHistory(dir, c.LastTimeline())
}
