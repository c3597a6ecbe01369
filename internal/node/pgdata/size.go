package pgdata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// tablespaceDir is the folder with one entry for each tablespace.
const tablespaceDir = "pg_tblspc"

// Tablespace is a place outside the data directory with data of it.
type Tablespace struct {
	OID uint32
	// Path is where the symlink in pg_tblspc points to, unresolved. Two
	// clusters on one host can share it: only the subfolder of the own
	// version and catalog is this cluster's.
	Path string
}

// Tablespaces lists the symlinks in pg_tblspc. Tablespaces made in place (a
// plain folder there) are part of the data directory and not listed.
func Tablespaces(dir string) ([]Tablespace, error) {
	entries, err := os.ReadDir(filepath.Join(dir, tablespaceDir))
	if err != nil {
		return nil, fmt.Errorf("list tablespaces: %w", err)
	}
	var all []Tablespace
	for _, e := range entries {
		oid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil || e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		path, err := os.Readlink(filepath.Join(dir, tablespaceDir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("list tablespaces: %w", err)
		}
		all = append(all, Tablespace{OID: uint32(oid), Path: path})
	}
	return all, nil
}

// InPlaceTablespaces counts the tablespaces that are plain folders in the data
// directory (allow_in_place_tablespaces).
func InPlaceTablespaces(dir string) (int, error) {
	entries, err := os.ReadDir(filepath.Join(dir, tablespaceDir))
	if err != nil {
		return 0, fmt.Errorf("list tablespaces: %w", err)
	}
	n := 0
	for _, e := range entries {
		if _, err := strconv.ParseUint(e.Name(), 10, 32); err == nil && e.IsDir() {
			n++
		}
	}
	return n, nil
}

// Size is the bytes of all files in dir without pg_wal, with tablespaces:
// what a base backup has to move. Files that vanish meanwhile count nothing.
func Size(dir string) (uint64, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return 0, fmt.Errorf("measure data directory: %w", err)
	}
	at := func(name string) string { return filepath.Join(real, name) }
	sum, err := treeSize(real, at(walDirName), at(RepoolDir), at(LostFound))
	if err != nil {
		return 0, err
	}
	spaces, err := Tablespaces(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return sum, nil
	}
	if err != nil {
		return 0, err
	}
	for _, t := range spaces {
		real, err := filepath.EvalSymlinks(t.Path)
		if err != nil {
			return 0, fmt.Errorf("measure tablespace %d: %w", t.OID, err)
		}
		n, err := treeSize(real, filepath.Join(real, RepoolDir))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// WALSize is the bytes of all files in pg_wal, which may be a symlink.
func WALSize(dir string) (uint64, error) {
	wal, err := filepath.EvalSymlinks(filepath.Join(dir, walDirName))
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", walDirName, err)
	}
	return treeSize(wal)
}

// TreeSize is the sum of the regular files below dir, in bytes.
func TreeSize(dir string) (uint64, error) { return treeSize(dir) }

// treeSize adds up the regular files below root, without the folders except.
func treeSize(root string, except ...string) (uint64, error) {
	var sum uint64
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != root:
			return nil
		case slices.Contains(except, path) && (d == nil || d.IsDir()):
			return fs.SkipDir
		case err != nil:
			return err
		case !d.Type().IsRegular():
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += uint64(info.Size())
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", root, err)
	}
	return sum, nil
}
