package pgdata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// serverFiles are the files at the top of a data directory that PostgreSQL 13 to 18 makes or reads itself. The
// configuration files are among them: code that replaces a directory has to keep those explicitly.
var serverFiles = []string{"PG_VERSION", "postgresql.conf", "postgresql.auto.conf", "postgresql.auto.conf.tmp",
	"pg_hba.conf", "pg_ident.conf", "postmaster.pid", "postmaster.opts", "current_logfiles", "current_logfiles.tmp",
	"backup_label", "backup_label.old", "backup_manifest", "backup_manifest.tmp", "tablespace_map",
	"tablespace_map.old",
	"standby.signal", "recovery.signal", "recovery.conf", "recovery.done", "promote", "fallback_promote"}

// logDirBefore10 is what log_directory was by default in older releases; clusters that were upgraded have it still.
const logDirBefore10 = "pg_log"

// ServerName says whether a name at the top of a data directory is PostgreSQL's: base, global, and what begins with
// "pg_", as its folders and those of extensions do. Everything else is the node's own: no other node's copy has it.
func ServerName(name string, info fs.FileInfo) bool {
	switch {
	case name == logDirBefore10:
		return false
	case name == "base", name == "global", name == LostFound, slices.Contains(serverFiles, name):
		return true
	}
	return strings.HasPrefix(name, "pg_") && !info.Mode().IsRegular() || strings.HasPrefix(name, tempPrefix)
}

// LostFound is a folder that file systems have at their top; it belongs to neither side.
const LostFound = "lost+found"

// RepoolDir is where repool works within a data directory that is a mount point. PostgreSQL's programs leave it out.
const RepoolDir = tempPrefix + ".repool"

// tempPrefix begins the names that PostgreSQL's programs leave out of every copy (PG_TEMP_FILE_PREFIX in
// src/include/common/file_utils.h).
const tempPrefix = "pgsql_tmp"

// OwnNames lists what is at the top of dir and is not PostgreSQL's: logs, links, certificates, notes. Sockets are
// left out, which have no content. Sorted.
func OwnNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the node's own files: %w", err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode()&fs.ModeSocket != 0 || ServerName(e.Name(), info) {
			continue // vanished, or not its own
		}
		names = append(names, e.Name())
	}
	return names, nil
}

// Unkeepable lists what a new copy of the data directory could not be given: links in the place of PostgreSQL's own
// folders, which a copy does not include, and files of the node's own that this process may neither link nor read.
func Unkeepable(dir string) ([]OddFile, error) {
	o := oddWalk{}
	for _, parent := range []string{"", "base", "global"} {
		entries, err := os.ReadDir(filepath.Join(dir, parent))
		if err != nil {
			continue // a ruined directory has nothing that a link could be
		}
		for _, e := range entries {
			rel := filepath.Join(parent, e.Name())
			info, err := e.Info()
			if err != nil || info.Mode()&fs.ModeSymlink == 0 || keptLink(rel) ||
				parent == "" && !ServerName(e.Name(), info) {
				continue
			}
			target, _ := os.Readlink(filepath.Join(dir, rel)) // for the message only
			o.add(rel, OddSymlink, "to "+target)
		}
	}
	return o.found, o.ownUnkeepable(dir)
}

// configFiles are those of serverFiles that are a node's own all the same.
var configFiles = []string{"postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"}

// ownUnkeepable adds what of the node's own cannot be kept.
func (o *oddWalk) ownUnkeepable(dir string) error {
	names, err := OwnNames(dir)
	if err != nil {
		return err
	}
	for _, n := range append(names, configFiles...) {
		if err := o.unreadable(dir, n); err != nil {
			return err
		}
	}
	return nil
}

// keptLink says whether a link in the place of something of PostgreSQL's is known and kept: pg_wal, the statistics of
// releases before 15, which are transient, and configuration files.
func keptLink(rel string) bool {
	return rel == walDirName || rel == statsTempDir || slices.Contains(serverFiles, rel)
}

// statsTempDir is where the statistics collector wrote; often a link to a file system in memory.
const statsTempDir = "pg_stat_tmp"

// unreadable adds what is below name and cannot be kept.
func (o *oddWalk) unreadable(dir, name string) error {
	return filepath.WalkDir(filepath.Join(dir, name), func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path) // path is always below dir
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // not there, or vanished
		case err != nil:
			o.add(rel, OddUnreadable, "")
			return fs.SkipDir
		}
		info, err := d.Info()
		switch {
		case err != nil, info.Mode()&fs.ModeSymlink != 0, ownerOf(info) == uint32(os.Geteuid()):
			return nil
		case info.IsDir() && rel == name && unix.Access(path, unix.W_OK) != nil:
			// not even a rename works: it writes to the folder itself
		case unix.Access(path, unix.R_OK) == nil && (info.IsDir() || info.Mode().IsRegular()):
			return nil
		}
		o.add(rel, OddOwner, fmt.Sprintf("user id %d, whose mode %s does not let it be kept", ownerOf(info),
			info.Mode().Perm()))
		if info.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
}
