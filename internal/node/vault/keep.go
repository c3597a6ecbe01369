package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
)

// Request says what to keep.
type Request struct {
	Vault   string // the folder of all entries; made if missing
	DataDir string // of the node, with no server running on it
	Node    topology.NodeID
	// Diverged is the divergence point; zero when it is not known. Then all
	// WAL of the node's own timelines is kept, and every commit in it listed.
	Diverged topology.LSN
	// From is the redo point of the last common checkpoint, where the copy
	// begins unless that is far back (see window); zero: not known.
	From topology.LSN
	// End is where the node's WAL ends, as far as it is known.
	End topology.LSN
	// Headroom is how many bytes must stay free beside the copy.
	Headroom uint64
	// Name gives a relation a name for people, or an empty text. May be nil.
	Name func(pgdata.RelFile) string
	// Progress is called with bytes copied and in all. May be nil.
	Progress func(done, total uint64)
}

// ErrNoSpace is returned when the copy would not fit beside the headroom.
var ErrNoSpace = errors.New("not enough free space for the vault")

// names inside an entry.
const (
	manifestName = "manifest.json"
	reportName   = "report.json"
	walName      = "wal"
	tmpPrefix    = ".making-"
)

// Keep makes the entry, or finds the one made before for the same line. It
// returns after everything is durable.
func Keep(ctx context.Context, r Request) (topology.VaultEntry, error) {
	if err := os.MkdirAll(r.Vault, 0o700); err != nil {
		return topology.VaultEntry{}, fmt.Errorf("make the vault: %w", err)
	}
	w, c, err := pgdata.OpenOwnWAL(r.DataDir)
	if err != nil {
		return topology.VaultEntry{}, fmt.Errorf("read the WAL to keep: %w", err)
	}
	defer w.Close()
	k := keeper{Request: r, control: c, history: w.History()}
	if err := k.choose(); err != nil {
		return topology.VaultEntry{}, err
	}
	old, found, err := load(r.Vault, k.entry.ID)
	if err != nil {
		return topology.VaultEntry{}, err
	}
	if found && old.Complete {
		return old, nil
	}
	made, err := k.make(ctx)
	if err != nil {
		return topology.VaultEntry{}, err
	}
	if found && !made.Complete && old.Bytes >= made.Bytes {
		return old, os.RemoveAll(k.tmp) // the older one holds as much or more
	}
	return k.publish(made, found)
}

// keeper makes one entry.
type keeper struct {
	Request
	control pgdata.Control
	history topology.History
	files   []source
	total   uint64
	missing []string
	entry   topology.VaultEntry
	tmp     string
}

// source is one file to copy.
type source struct {
	path, name string // name is relative to the entry
	size       uint64
}

// choose finds the files to copy and the name of the entry.
func (k *keeper) choose() error {
	segs, err := k.segments()
	if err != nil {
		return err
	}
	if len(segs) == 0 {
		k.missing = append(k.missing, "the data directory holds no WAL of its own timelines")
	}
	k.entry = topology.VaultEntry{
		Node: k.Node, SystemID: k.control.SystemID, TLI: k.history.TLI, Diverged: k.Diverged, End: k.End,
		From: k.start(segs),
	}
	k.entry.ID = entryID(k.entry)
	k.tmp = filepath.Join(k.Vault, tmpPrefix+k.entry.ID)
	for _, s := range segs {
		if s.start+topology.LSN(k.control.SegmentSize) <= k.entry.From || (k.End != 0 && s.start >= k.End) {
			continue
		}
		if err := k.add(s.path, filepath.Join(walName, filepath.Base(s.path))); err != nil {
			return err
		}
	}
	k.findGaps(segs)
	if err := k.histories(); err != nil {
		return err
	}
	return k.add(filepath.Join(k.DataDir, "global", "pg_control"), "pg_control")
}

// histories adds the history files of the node's line. That of its own timeline
// names all the timelines before it, so of those files none is needed; a node
// made by a base backup never had them.
func (k *keeper) histories() error {
	for _, a := range append(slices.Clone(k.history.Ancestors), topology.HistoryEntry{TLI: k.history.TLI}) {
		if a.TLI == 1 {
			continue
		}
		name := topology.HistoryFileName(a.TLI)
		err := k.add(filepath.Join(k.DataDir, "pg_wal", name), filepath.Join(walName, name))
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrNotExist):
			return err
		case a.TLI == k.history.TLI:
			k.missing = append(k.missing, "the history file of timeline "+a.TLI.String())
		}
	}
	return nil
}

func (k *keeper) add(path, name string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at what to keep: %w", err)
	}
	k.files = append(k.files, source{path: path, name: name, size: uint64(st.Size())})
	k.total += uint64(st.Size())
	return nil
}

// segment is one WAL file of the node's own line.
type segment struct {
	path  string
	start topology.LSN
}

// segments lists the WAL files of the node's own line, rising.
func (k *keeper) segments() ([]segment, error) {
	entries, err := os.ReadDir(filepath.Join(k.DataDir, "pg_wal"))
	if err != nil {
		return nil, fmt.Errorf("list the WAL to keep: %w", err)
	}
	var all []segment
	for _, e := range entries {
		tli, at, ok := topology.ParseWALFileName(e.Name(), k.control.SegmentSize)
		if ok && k.history.Contains(tli) {
			all = append(all, segment{path: filepath.Join(k.DataDir, "pg_wal", e.Name()), start: at})
		}
	}
	slices.SortFunc(all, func(a, b segment) int {
		if c := int(int64(a.start>>1) - int64(b.start>>1)); c != 0 {
			return c
		}
		return strings.Compare(b.path, a.path) // the newest timeline first
	})
	// Where a promotion fell into a segment, each timeline has a file of it, and
	// the newest begins with a copy of what is valid in the others.
	return slices.CompactFunc(all, func(a, b segment) bool { return a.start == b.start }), nil
}

// What is kept of the WAL before the divergence point, which the primary holds
// too: all from the last common checkpoint, with its full-page images, if that
// is no further away than window; else a little, to read what a transaction
// open at the divergence point did before it. More would only delay the rewind.
const (
	window = 64 << 20
	little = 16 << 20
)

// start is where the copy begins: the last common checkpoint or a little before
// the divergence point, else the segment with that point, else the oldest there is.
func (k *keeper) start(segs []segment) topology.LSN {
	size := topology.LSN(k.control.SegmentSize)
	has := func(lsn topology.LSN) bool {
		return lsn != 0 && slices.ContainsFunc(segs, func(s segment) bool { return s.start <= lsn && lsn < s.start+size })
	}
	if k.Diverged != 0 {
		from := min(k.From, k.Diverged)
		if from != 0 && k.Diverged.Minus(from) > window {
			from = (k.Diverged - min(k.Diverged, little)) &^ (size - 1)
		}
		for _, lsn := range []topology.LSN{from, k.Diverged &^ (size - 1)} {
			if has(lsn) {
				return lsn
			}
		}
	}
	if len(segs) == 0 {
		return 0
	}
	return segs[0].start
}

// findGaps notes the segments of the lost part that are not there.
func (k *keeper) findGaps(segs []segment) {
	size := topology.LSN(k.control.SegmentSize)
	from := max(k.Diverged, 1) // without a divergence point: from the oldest on
	if k.Diverged == 0 && len(segs) > 0 {
		from = segs[0].start
	}
	gone := 0
	var first, last topology.LSN
	for at := from &^ (size - 1); at < k.End; at += size {
		if slices.ContainsFunc(segs, func(s segment) bool { return s.start == at }) {
			continue
		}
		if gone++; gone == 1 {
			first = at
		}
		last = at + size
	}
	if gone > 0 {
		k.missing = append(k.missing, fmt.Sprintf("%d WAL segment(s) between %s and %s are gone: commits in them cannot be "+
			"told", gone, first, last))
	}
}

// entryID names a line by what makes it one.
func entryID(e topology.VaultEntry) string {
	at := func(l topology.LSN) string { return strings.ReplaceAll(l.String(), "/", "-") }
	return fmt.Sprintf("node%d-timeline%d-from%s-to%s", int(e.Node), uint32(e.TLI), at(e.Diverged), at(e.End))
}

// make writes the entry under its temporary name.
func (k *keeper) make(ctx context.Context) (topology.VaultEntry, error) {
	if err := os.RemoveAll(k.tmp); err != nil {
		return k.entry, fmt.Errorf("make a vault entry: %w", err)
	}
	if err := k.room(); err != nil {
		return k.entry, err
	}
	if err := os.MkdirAll(filepath.Join(k.tmp, walName), 0o700); err != nil {
		return k.entry, fmt.Errorf("make a vault entry: %w", err)
	}
	copied, err := k.copyAll(ctx)
	if err != nil {
		return k.entry, errors.Join(err, os.RemoveAll(k.tmp))
	}
	onDisk := make(chan error, 1)
	go func() { onDisk <- k.durable() }()
	rep, err := k.report(ctx)
	if err := errors.Join(<-onDisk, err); err != nil {
		return k.entry, errors.Join(err, os.RemoveAll(k.tmp))
	}
	k.entry.Made = time.Now().UTC().Truncate(time.Second)
	k.entry.Bytes = k.total
	k.entry.Commits = rep.Totals.Commits
	k.entry.Relations = rep.relations()
	k.entry.Missing, k.entry.Complete = rep.Missing, rep.Complete
	m := manifest{Version: 1, Entry: k.entry, SegmentSize: k.control.SegmentSize, History: k.history,
		State: k.control.State.String(), Checkpoint: k.control.CheckpointLSN, Redo: k.control.RedoLSN, Files: copied}
	if err := writeJSON(filepath.Join(k.tmp, manifestName), m); err != nil {
		return k.entry, err
	}
	for _, dir := range []string{filepath.Join(k.tmp, walName), k.tmp} {
		if err := pgdata.SyncDir(dir); err != nil {
			return k.entry, err
		}
	}
	return k.entry, nil
}

// room is an error unless the copy fits.
func (k *keeper) room() error { return k.has(k.total + k.total/64 + 1<<20) }

// spare is an error when the report begins to take what must stay free.
func (k *keeper) spare() error { return k.has(0) }

// has is an error unless so many bytes are free beside the headroom.
func (k *keeper) has(bytes uint64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(k.Vault, &st); err != nil {
		return fmt.Errorf("measure free space of the vault: %w", err)
	}
	free, need := st.Bavail*uint64(st.Bsize), bytes+k.Headroom
	if free < need {
		return fmt.Errorf("%w: %d bytes free in %s, %d needed with headroom", ErrNoSpace, free, k.Vault, need)
	}
	return nil
}

// publish gives the entry its name; an older, lesser one goes first.
func (k *keeper) publish(e topology.VaultEntry, replace bool) (topology.VaultEntry, error) {
	dir := filepath.Join(k.Vault, e.ID)
	if replace {
		old := filepath.Join(k.Vault, ".old-"+e.ID)
		if err := os.RemoveAll(old); err != nil {
			return e, fmt.Errorf("replace a vault entry: %w", err)
		}
		if err := os.Rename(dir, old); err != nil {
			return e, fmt.Errorf("replace a vault entry: %w", err)
		}
		defer func() { _ = os.RemoveAll(old) }() // one that stays is removed the next time
	}
	if err := os.Rename(k.tmp, dir); err != nil {
		return e, fmt.Errorf("name a vault entry: %w", err)
	}
	e.Path = dir
	return e, pgdata.SyncDir(k.Vault)
}
