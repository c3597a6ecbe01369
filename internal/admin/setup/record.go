package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/node/pgdata"
)

// recordVersion is that of the record's form.
const recordVersion = 1

// record is what setup has done, in order, so that Undo can put it back. It holds no password: lines that setup wrote
// are kept as checksums, and lines that it replaced are in the backup of their file.
type record struct {
	Version int      `json:"version"`
	Entries []*entry `json:"entries"`
	// Dirs were created, outer ones first, and could not be removed yet.
	Dirs []string `json:"dirs,omitempty"`

	path string
}

// entry is one change. It is on disk before the change is made, so that it may be of one that never was.
type entry struct {
	// ID is that of the Item.
	ID   string      `json:"id"`
	At   time.Time   `json:"at"`
	File *fileChange `json:"file,omitempty"`
	SQL  *sqlChange  `json:"sql,omitempty"`
	// Dirs were created, outer ones first.
	Dirs []string `json:"dirs,omitempty"`
	// Running are the values with which Pgpool-II ran before it was reloaded, of the settings that setup changed.
	Running map[string]string `json:"running,omitempty"`
	// ShimDirs got scripts.
	ShimDirs []string `json:"shim_dirs,omitempty"`
}

// fileChange is an edit of a file, or its creation.
type fileChange struct {
	Path string `json:"path"`
	// Backup holds the file from before; empty: there was none.
	Backup string `json:"backup,omitempty"`
	// Before and After are checksums of the whole text.
	Before string `json:"before"`
	After  string `json:"after"`
	Hunks  []hunk `json:"hunks"`
}

// sqlChange is what to run on the primary.
type sqlChange struct {
	DB string `json:"db"`
	// Role is the one that the statements are about; empty: none.
	Role string `json:"role,omitempty"`
	// Created: setup created it.
	Created bool `json:"created,omitempty"`
	// Undo are statements, in the order in which to run them.
	Undo []string `json:"undo"`
	// Lost says what cannot be put back; empty: nothing.
	Lost string `json:"lost,omitempty"`
}

// recordPath is beside repool.yaml: one record for each.
func recordPath(configFile string) string { return configFile + ".setup.json" }

// readRecord reads the record of a configuration; an absent one is empty. One that another user could have written is
// refused: it says what to overwrite.
func readRecord(configFile string) (*record, error) {
	r := &record{Version: recordVersion, path: recordPath(configFile)}
	info, err := os.Lstat(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of what setup did: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || int(st.Uid) != os.Geteuid() {
		return nil, exit.With(exit.Refused, fmt.Errorf("%s is not only yours to write", r.path),
			"run setup as the user who applied it; if somebody else may have written that file, move it away and "+
				"undo by hand")
	}
	b, err := os.ReadFile(r.path)
	if err == nil {
		err = json.Unmarshal(b, r)
	}
	if err == nil && r.Version != recordVersion {
		err = fmt.Errorf("version %d is not known to this release", r.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of what setup did, %s: %w", r.path, err)
	}
	return r, nil
}

// add puts an entry on disk.
func (r *record) add(e *entry) error {
	r.Dirs = append(r.Dirs, missingParents(r.path)...)
	e.At = time.Now().UTC().Truncate(time.Second)
	r.Entries = append(r.Entries, e)
	return r.save()
}

// drop forgets an entry that was undone, and removes the directories that were created for it once they are empty;
// without any entry, the file goes.
func (r *record) drop(e *entry) error {
	var rest []*entry
	for _, have := range r.Entries {
		if have != e {
			rest = append(rest, have)
		}
	}
	r.Entries = rest
	r.Dirs = append(r.Dirs, e.Dirs...)
	var left []string
	for _, dir := range slices.Backward(r.Dirs) {
		err := os.Remove(dir)
		if errors.Is(err, syscall.ENOTEMPTY) {
			left = append([]string{dir}, left...)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	r.Dirs = left
	return r.save()
}

func (r *record) save() error {
	if len(r.Entries) == 0 {
		if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the empty record: %w", err)
		}
		return removeEmpty(r.Dirs)
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the record of what setup does: %w", err)
	}
	if err := makeParents(r.path); err != nil {
		return fmt.Errorf("write the record of what setup does: %w", err)
	}
	if err := pgdata.ReplaceFile(r.path, append(b, '\n')); err != nil {
		return fmt.Errorf("write the record of what setup does: %w", err)
	}
	return errors.Join(os.Lchown(r.path, os.Geteuid(), os.Getegid()), os.Chmod(r.path, 0o600))
}

// missingParents are the directories that makeParents would create, outer ones first.
func missingParents(path string) []string {
	var out []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return out
		}
		out = append([]string{dir}, out...)
	}
}

// noteFile records an edit that is about to be made.
func (m *maker) noteFile(id, path, backup, before, after string) error {
	if backup != "" {
		if real, err := filepath.EvalSymlinks(path); err == nil && backup == path+m.o.Suffix && id == pgpoolConfID {
			path, backup = real, real+m.o.Suffix // where the editor keeps it
		}
	}
	return m.record.add(&entry{ID: id, Dirs: missingParents(path), File: &fileChange{Path: path, Backup: backup,
		Before: checksum(before), After: checksum(after), Hunks: hunks(before, after)}})
}

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
