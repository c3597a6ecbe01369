package dbhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// A data directory that is a mount point cannot be renamed, and nothing outside it is on its file system. The other
// places are then within it, and what is moved is its content, entry by entry. A server refuses to start without
// PG_VERSION, so that goes first and comes last: at no time is there half a directory at Home that could be started.
//
// A move that a crash cut short is known by the suffix of the other place's name. Where PG_VERSION is at Home all of
// the directory is; else the rest of it follows into the other place, which is where a move away ends and a move home
// began.

// withinMount is where the other places are: PostgreSQL's programs leave such names out of every copy, pg_rewind only
// below the first folder.
const withinMount = pgdata.RepoolDir + "/pgsql_tmp"

// moving is the suffix of a place that has part of a directory.
const moving = ".moving"

// mountedFile says that Home has been seen to be a mount point.
func (h *Host) mountedFile() string { return filepath.Join(h.workDir, "mounted") }

// MountPoint says whether Home is a mount point, which cannot be renamed.
func (h *Host) MountPoint() (bool, error) {
	mp, err := h.isMount(h.home)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return mp, err
}

// placesDir is where the places other than Home are.
func (h *Host) placesDir() string {
	if mount, err := h.MountPoint(); err == nil && mount {
		return filepath.Join(h.home, withinMount)
	}
	return h.workDir
}

// fileSystem is a folder on the file system on which the places are.
func (h *Host) fileSystem() string {
	if mount, err := h.MountPoint(); err == nil && mount {
		return h.home
	}
	return filepath.Dir(h.home)
}

// refuseUnmounted is an error while Home is not mounted that once was: what is in it belongs to another file system,
// and so would all that is put there.
func (h *Host) refuseUnmounted() error {
	mount, err := h.MountPoint()
	if err != nil {
		return err
	}
	if mount {
		if exists(h.mountedFile()) {
			return nil
		}
		return pgdata.ReplaceFile(h.mountedFile(), nil)
	}
	if exists(h.mountedFile()) {
		hint := fmt.Sprintf("mount %s; if it is no longer to be a mount point: rm %s", h.home, h.mountedFile())
		return fail(codes.MountPoint, hint, "%s was a mount point, and is not mounted now", h.home)
	}
	return nil
}

// refuseMountsBelow is an error while something is mounted within Home, which no copy would have. In a directory that
// is itself a mount point it cannot be moved either.
func (h *Host) refuseMountsBelow() error {
	below, err := pgdata.MountsBelow(h.home)
	if err != nil || len(below) == 0 {
		return err
	}
	return fail(codes.MountPoint, "mount it elsewhere, and put a link or a tablespace in its place",
		"there is a mount point within the data directory: %s", below[0])
}

// rename moves a directory between places.
func (h *Host) rename(from, to resync.Place) error {
	mount, err := h.MountPoint()
	switch {
	case err != nil:
		return err
	case !mount || from != resync.Home && to != resync.Home:
		return renameDir(h.path(from), h.path(to))
	case from == resync.Home:
		return h.moveOut(to)
	}
	return h.moveIn(from)
}

// moveOut moves all that is at Home to p.
func (h *Host) moveOut(p resync.Place) error {
	dst := h.path(p)
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return fmt.Errorf("move the data directory's content: %w", err)
	}
	if err := unix.Rmdir(dst); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("move the data directory's content: %w", err)
	}
	if err := os.MkdirAll(dst+moving, 0o700); err != nil {
		return fmt.Errorf("move the data directory's content: %w", err)
	}
	if err := pgdata.SyncDir(filepath.Dir(dst)); err != nil {
		return err
	}
	names, err := contentOf(h.home)
	if err != nil {
		return err
	}
	if err := h.moveAll(h.home, dst+moving, names); err != nil {
		return err
	}
	return renameDir(dst+moving, dst)
}

// moveIn moves all that is in p to Home.
func (h *Host) moveIn(p resync.Place) error {
	src := h.path(p)
	if err := renameDir(src, src+moving); err != nil {
		return err
	}
	names, err := contentOf(src + moving)
	if err != nil {
		return err
	}
	slices.Reverse(names)
	if err := h.moveAll(src+moving, h.home, names); err != nil {
		return err
	}
	if err := os.RemoveAll(src + moving); err != nil { // what Home has of its own, at most
		return fmt.Errorf("move the data directory's content: %w", err)
	}
	return pgdata.SyncDir(filepath.Dir(src))
}

// moveAll renames entries in order. The first and the last are durable before the next, for a power failure must not
// change the order.
func (h *Host) moveAll(from, to string, names []string) error {
	for i, n := range names {
		if h.cut != nil && h.cut() {
			return errCut
		}
		if i == len(names)-1 {
			if err := errors.Join(pgdata.SyncDir(to), pgdata.SyncDir(from)); err != nil {
				return err
			}
		}
		if err := os.Rename(filepath.Join(from, n), filepath.Join(to, n)); err != nil {
			return fmt.Errorf("move the data directory's content: %w", err)
		}
		if i == 0 {
			if err := errors.Join(pgdata.SyncDir(to), pgdata.SyncDir(from)); err != nil {
				return err
			}
		}
	}
	return errors.Join(pgdata.SyncDir(to), pgdata.SyncDir(from))
}

// contentOf lists what a move takes along, PG_VERSION first.
func contentOf(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look into the data directory: %w", err)
	}
	var names []string
	for _, e := range entries {
		switch n := e.Name(); n {
		case pgdata.RepoolDir, pgdata.LostFound:
		case versionFile:
			names = slices.Insert(names, 0, n)
		default:
			names = append(names, n)
		}
	}
	return names, nil
}

// versionFile is the file without which no server starts.
const versionFile = "PG_VERSION"

// settleMoves ends moves of content that a crash cut short.
func (h *Host) settleMoves() error {
	if mount, err := h.MountPoint(); err != nil || !mount {
		return err
	}
	for _, p := range []resync.Place{resync.InRepair, resync.New, resync.Old} {
		part := h.path(p) + moving
		if !exists(part) {
			continue
		}
		if exists(filepath.Join(h.home, versionFile)) {
			if err := os.RemoveAll(part); err != nil {
				return fmt.Errorf("end a move that was cut short: %w", err)
			}
			continue
		}
		names, err := contentOf(h.home)
		if err != nil {
			return err
		}
		if err := h.moveAll(h.home, part, names); err != nil {
			return err
		}
		if err := renameDir(part, h.path(p)); err != nil {
			return err
		}
	}
	return nil
}

// partly says whether the directory that belongs to p, not Home, is on its way between them.
func (h *Host) partly(p resync.Place) bool {
	return exists(h.path(p)+moving) && !exists(filepath.Join(h.home, versionFile))
}
