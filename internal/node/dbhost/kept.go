package dbhost

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// Kept measures what repool keeps of a node beside its data directory: a walk through
// all of it. What is not there has no size. On error the rest is measured all the same.
func Kept(workDir, vaultDir string) (topology.Kept, error) {
	k := topology.Kept{WorkDir: workDir}
	var errs []error
	size := func(to *uint64, dir string) {
		n, err := pgdata.TreeSize(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		*to = n
	}
	size(&k.Old, filepath.Join(workDir, string(resync.Old)))
	size(&k.InRepair, filepath.Join(workDir, string(resync.InRepair)))
	size(&k.Trash, filepath.Join(workDir, trashName))
	size(&k.Vault, vaultDir)
	size(&k.Journal, filepath.Join(workDir, "journal"))
	rec, ok, err := journal.OpenReadOnly(workDir).Newest()
	k.OldUnsaved = k.Old > 0 && (!ok || err != nil || !rec.Old.Enough())
	return k, errors.Join(errs...)
}

// keptCache is what Kept said last. It may be minutes old.
type keptCache struct {
	mu        sync.Mutex
	measuring bool
	at        time.Time
	kept      topology.Kept
}

// keptNow is what was measured last, and has it measured again in the background
// when that is long ago: a copy that is kept does not change from minute to minute.
func (h *Host) keptNow() topology.Kept {
	c := &h.kept
	c.mu.Lock()
	defer c.mu.Unlock()
	age := sizesAge
	if c.kept.Old+c.kept.InRepair > 0 {
		age = oddAge
	}
	if !c.measuring && time.Since(c.at) >= age && h.busy.n.Load() == 0 {
		c.measuring = true
		h.wg.Go(func() {
			k, err := Kept(h.workDir, h.o.VaultDir)
			if err != nil {
				h.log.Warn("measure what is kept beside the data directory", "err", err)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.measuring, c.at, c.kept = false, time.Now(), k
		})
	}
	return c.kept
}

// trashName is the folder of the work directory for what was removed.
const trashName = "trash"

func (h *Host) trash() string { return filepath.Join(h.placesDir(), trashName) }

// trashed lists the directories in the trash.
func (h *Host) trashed() []string {
	dirs, err := filepath.Glob(filepath.Join(globQuote(h.trash()), "*", "*"))
	if err != nil {
		return nil // a bad pattern only
	}
	return dirs
}

// globQuote makes a path stand for itself in a pattern.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// throwAway gives dir a name in the trash, at once and durably.
func (h *Host) throwAway(dir string) error {
	err := os.MkdirAll(h.trash(), 0o700)
	var in string
	if err == nil {
		in, err = os.MkdirTemp(h.trash(), "")
	}
	if err != nil {
		return err
	}
	return renameDir(dir, filepath.Join(in, filepath.Base(dir)))
}

// EmptyTrash deletes what Remove has put into the trash at least that long ago. It may
// take minutes. When ctx ends it stops, and the rest is for the next call. Calls wait
// for each other: after one of them with rested zero nothing is being deleted any more.
func (h *Host) EmptyTrash(ctx context.Context, rested time.Duration) error {
	select {
	case h.emptying <- struct{}{}:
		defer func() { <-h.emptying }()
	case <-ctx.Done():
		return ctx.Err()
	}
	entries, err := os.ReadDir(h.trash())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return trashError(h.trash(), err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < rested {
			continue // gone meanwhile, or too new
		}
		for _, dir := range h.trashed() {
			if filepath.Base(filepath.Dir(dir)) == e.Name() {
				if err := h.dropOutside(dir); err != nil {
					return trashError(h.trash(), err)
				}
			}
		}
		if err := removeTree(ctx, filepath.Join(h.trash(), e.Name()), info.IsDir()); err != nil {
			return trashError(h.trash(), err)
		}
	}
	return nil
}

func trashError(dir string, err error) error {
	return fail(codes.Internal, "remove it by hand", "empty %s: %w", dir, err)
}

// removeTree is os.RemoveAll that ends with ctx. What somebody else removes at the
// same time is gone all the same.
func removeTree(ctx context.Context, path string, dir bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if dir {
		entries, err := os.ReadDir(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if err := removeTree(ctx, filepath.Join(path, e.Name()), e.IsDir()); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
