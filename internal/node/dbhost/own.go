package dbhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// Besides its configuration a node has more of its own in its data directory: logs, links, what people put there. A
// base backup does not bring it, and pg_rewind removes it. pg_rewind therefore works on a directory without it: it is
// renamed to the work directory before and back after, so that it needs no room and keeps its owner. A base backup is
// given second names (hard links) of the files in the directory that it replaces.

// asideDir is where the node's own files are while pg_rewind works. What is in it is nowhere else.
func (h *Host) asideDir() string { return filepath.Join(h.placesDir(), "own") }

// Keeps lists what the node has of its own in p, as every method keeps it. The error is own-files when method m would
// lose something of it.
func (h *Host) Keeps(p resync.Place, m topology.Method) ([]string, error) {
	dir := h.path(p)
	names, err := h.ownNames(dir)
	if err != nil {
		return nil, err
	}
	if m != topology.MethodRewind && m != topology.MethodBaseBackup {
		return names, nil
	}
	mount, err := h.MountPoint()
	if err != nil {
		return nil, err
	}
	if mount || m == topology.MethodBaseBackup {
		if err := h.refuseMountsBelow(); err != nil {
			return nil, err
		}
	}
	lost, err := pgdata.Unkeepable(dir)
	if err != nil {
		return nil, err
	}
	if len(lost) == 0 {
		return names, nil
	}
	var all []string
	for _, l := range lost {
		all = append(all, l.String())
	}
	return names, fail(codes.OwnFiles, "in "+dir+": replace links by what they point to, move files of other owners "+
		"out, or give them to the server's user", "a new copy cannot keep what the node has of its own: %s",
		strings.Join(all, "; "))
}

// ownNames lists what the data directory dir has of the node's own: at the top, and transient folders that are links.
func (h *Host) ownNames(dir string) ([]string, error) {
	names, err := pgdata.OwnNames(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Readlink(filepath.Join(dir, "pg_stat_tmp")); err == nil {
		names = append(names, "pg_stat_tmp")
	}
	return names, nil
}

// setAside takes the node's own files out of InRepair, its configuration included: pg_rewind writes over files in
// place, which fails half-way on one that it may not write, and takes a link for another kind of file than the
// source's.
func (h *Host) setAside() error {
	dir := h.path(resync.InRepair)
	names, err := h.ownNames(dir)
	if err != nil {
		return err
	}
	conf, err := h.ownFiles(resync.InRepair)
	if err != nil {
		return err
	}
	for _, n := range conf {
		if !strings.Contains(n, "/") && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return nil
	}
	if err := os.MkdirAll(h.asideDir(), 0o700); err != nil {
		return fmt.Errorf("set the node's own files aside: %w", err)
	}
	for _, n := range names {
		if err := renameNew(filepath.Join(dir, n), filepath.Join(h.asideDir(), n)); err != nil {
			return fmt.Errorf("set the node's own files aside: %w", err)
		}
	}
	for _, n := range conf {
		h.standIn(dir, n)
	}
	return errors.Join(pgdata.SyncDir(h.asideDir()), pgdata.SyncDir(filepath.Dir(h.asideDir())), pgdata.SyncDir(dir))
}

// standIn puts a copy of configuration that was set aside in its place, links followed: pg_rewind has the server read
// restore_command there. Without one it does not look, so what cannot be copied is only noted.
func (h *Host) standIn(dir, n string) {
	if strings.Contains(n, "/") {
		return
	}
	err := filepath.WalkDir(filepath.Join(h.asideDir(), n), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(h.asideDir(), path)
		if err != nil {
			return err
		}
		dst := filepath.Join(dir, rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o700)
		}
		if text, err := os.Readlink(path); err == nil {
			path = against(filepath.Dir(dst), text)
		}
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
			return nil //nolint:nilerr // a folder behind a link, or nothing: the server will say so
		}
		return copyFile(path, dst, 0o600)
	})
	if err != nil {
		h.log.Debug("some configuration has no copy during the rewind", "err", err)
	}
}

// renameNew renames a file to a name that must not exist.
func renameNew(src, dst string) error {
	if _, err := os.Lstat(dst); err == nil {
		return fmt.Errorf("there is already something at %s", dst)
	}
	return os.Rename(src, dst)
}

// putBack renames what was set aside to where it belongs in InRepair, over what pg_rewind has put there.
func (h *Host) putBack() error {
	entries, err := os.ReadDir(h.asideDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir := h.path(resync.InRepair)
	for _, e := range entries {
		dst := filepath.Join(dir, e.Name())
		if err := os.RemoveAll(dst); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(h.asideDir(), e.Name()), dst); err != nil {
			return err
		}
	}
	if err := errors.Join(pgdata.SyncDir(dir), pgdata.SyncDir(h.asideDir())); err != nil {
		return err
	}
	return h.dropAside()
}

// dropAside removes the folder of what was set aside.
func (h *Host) dropAside() error {
	if err := os.RemoveAll(h.asideDir()); err != nil {
		return fmt.Errorf("remove what was set aside: %w", err)
	}
	return pgdata.SyncDir(filepath.Dir(h.asideDir()))
}

// restoreOwn gives p what the node has of its own besides its configuration: from what was set aside, and for a new
// copy also from the directory that it replaces. Only InRepair takes what was set aside out of there: a new copy may be
// given up again.
func (h *Host) restoreOwn(p resync.Place) error {
	if p == resync.InRepair {
		return h.putBack()
	}
	if p != resync.New {
		return nil
	}
	done := map[string]bool{}
	for _, src := range []string{h.asideDir(), h.path(resync.InRepair)} {
		names, err := h.ownNames(src)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, n := range names {
			if done[n] {
				continue
			}
			done[n] = true
			if err := h.giveOwn(filepath.Join(src, n), n); err != nil {
				return err
			}
		}
	}
	return pgdata.SyncDir(h.path(resync.New))
}

// giveOwn makes n in New what src is.
func (h *Host) giveOwn(src, n string) error {
	dst := filepath.Join(h.path(resync.New), n)
	if err := os.RemoveAll(dst); err != nil {
		return err
	}
	c := treeCopy{file: linkFile, link: h.linkText(resync.New)}
	if err := c.copy(src, dst, n); err != nil {
		return err
	}
	if _, err := os.Readlink(dst); err == nil {
		return nil
	}
	return syncTree(dst)
}
