package pgdata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// MajorVersion reads PG_VERSION: 15 for PostgreSQL 15. The error wraps
// fs.ErrNotExist when dir is no data directory.
func MajorVersion(dir string) (int, error) {
	path := filepath.Join(dir, "PG_VERSION")
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read major version: %w", err)
	}
	text := strings.TrimSpace(string(b))
	n, err := strconv.Atoi(text)
	if err != nil || n < 10 || n > 99 {
		return 0, &CorruptError{File: path, Msg: fmt.Sprintf("%q is no major version of PostgreSQL 10 or later", text)}
	}
	return n, nil
}

// SignalFiles says which of the files are there that decide how a server
// would start.
type SignalFiles struct {
	Standby       bool // standby.signal: starts as a standby
	Recovery      bool // recovery.signal: recovers from the archive, then becomes a primary
	BackupLabel   bool // backup_label: recovery starts where the label says
	TablespaceMap bool // tablespace_map: recovery recreates the tablespace links
}

// Signals looks for the signal files of dir. Any other error than absence of
// a file is returned, since absence decides who is a primary.
func Signals(dir string) (SignalFiles, error) {
	var s SignalFiles
	for name, there := range map[string]*bool{
		"standby.signal": &s.Standby, "recovery.signal": &s.Recovery,
		"backup_label": &s.BackupLabel, "tablespace_map": &s.TablespaceMap,
	} {
		_, err := os.Lstat(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return SignalFiles{}, fmt.Errorf("look for %s: %w", name, err)
		}
		*there = err == nil
	}
	return s, nil
}
