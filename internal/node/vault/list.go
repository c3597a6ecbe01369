package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
)

// List gives the entries of a node in the vault, oldest first. An entry whose
// manifest cannot be read is given with Missing saying so: it is never hidden.
func List(dir string, node topology.NodeID) ([]topology.VaultEntry, error) {
	folders, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the vault: %w", err)
	}
	var all []topology.VaultEntry
	for _, f := range folders {
		if !f.IsDir() || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		e, found, err := load(dir, f.Name())
		switch {
		case err != nil:
			all = append(all, topology.VaultEntry{ID: f.Name(), Node: node, Path: filepath.Join(dir, f.Name()),
				Missing: err.Error()})
		case found && e.Node == node:
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b topology.VaultEntry) int { return a.Made.Compare(b.Made) })
	return all, nil
}

// ErrTooLong is returned for a report that is too long to be sent.
var ErrTooLong = errors.New("too long to be sent")

// maxReport is the longest report that ReadReport gives, in bytes.
const maxReport = 64 << 20

// ReadReport gives the report of one entry as it was written, if it is not too long.
func ReadReport(dir, id string) ([]byte, error) {
	if !validID(id) {
		return nil, fmt.Errorf("read a vault report: %q is no entry's name", id)
	}
	path := filepath.Join(dir, id, reportName)
	if st, err := os.Stat(path); err == nil && st.Size() > maxReport {
		return nil, fmt.Errorf("the report has %d MiB: %w; read %s on the node's host", st.Size()>>20, ErrTooLong, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a vault report: %w", err)
	}
	return b, nil
}

// validID says whether id can be a folder in the vault: one name, no path.
func validID(id string) bool {
	return id != "" && !strings.HasPrefix(id, ".") && !strings.ContainsAny(id, "/\\\x00")
}

// load reads the entry id; found is false when there is none.
func load(dir, id string) (e topology.VaultEntry, found bool, err error) {
	m, err := readManifest(dir, id)
	if errors.Is(err, fs.ErrNotExist) {
		return e, false, nil
	}
	if err != nil {
		return e, false, err
	}
	m.Entry.ID, m.Entry.Path = id, filepath.Join(dir, id) // by where it is, whatever it was called
	return m.Entry, true, nil
}

func readManifest(dir, id string) (manifest, error) {
	var m manifest
	if !validID(id) {
		return m, fmt.Errorf("read a vault manifest: %q is no entry's name", id)
	}
	path := filepath.Join(dir, id, manifestName)
	b, err := os.ReadFile(path)
	if err != nil {
		return m, fmt.Errorf("read a vault manifest: %w", err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("read a vault manifest: %s: %w", path, err)
	}
	for _, f := range m.Files {
		if !filepath.IsLocal(f.Name) {
			return m, fmt.Errorf("read a vault manifest: %s: file name %q leads out of the entry", path, f.Name)
		}
		st, err := os.Stat(filepath.Join(dir, id, f.Name))
		if err != nil || uint64(st.Size()) != f.Size {
			return m, fmt.Errorf("vault entry %s: %s is missing or has another size than the manifest says", id, f.Name)
		}
	}
	return m, nil
}

// Refill puts WAL segments and history files of an entry back into a data
// directory that no longer has them; what is there stays. The directory must
// be of the entry's cluster.
func Refill(dir, id, dataDir string) error {
	m, err := readManifest(dir, id)
	if err != nil {
		return err
	}
	c, err := pgdata.ReadControl(dataDir)
	if err != nil {
		return fmt.Errorf("put kept WAL back: %w", err)
	}
	if c.SystemID != m.Entry.SystemID {
		return fmt.Errorf("put kept WAL back: the entry is of cluster %s, the directory of %s", m.Entry.SystemID, c.SystemID)
	}
	wal := filepath.Join(dataDir, "pg_wal")
	for _, f := range m.Files {
		if filepath.Dir(f.Name) != walName {
			continue
		}
		dst := filepath.Join(wal, filepath.Base(f.Name))
		if _, err := os.Lstat(dst); err == nil || !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return fmt.Errorf("put kept WAL back: %w", err)
			}
			continue
		}
		if err := refillFile(filepath.Join(dir, id, f.Name), dst, f); err != nil {
			return err
		}
	}
	return pgdata.SyncDir(wal)
}

// refillFile copies one file back under a temporary name first.
func refillFile(src, dst string, want keptFile) error {
	tmp := dst + ".repool"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put kept WAL back: %w", err)
	}
	sum, _, err := copyHashed(src, tmp)
	if err == nil {
		err = errors.Join(os.Chmod(tmp, 0o600), syncFile(tmp))
	}
	if err == nil && sum != want.SHA256 {
		err = fmt.Errorf("%s does not have the checksum of the manifest", src)
	}
	if err == nil {
		err = os.Rename(tmp, dst)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("put kept WAL back: %w", err), os.Remove(tmp))
	}
	return nil
}
