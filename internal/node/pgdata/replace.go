package pgdata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// ReplaceFile puts data in the place of the file path so that after a crash at
// any line there is the old or the new content, and once it has returned the
// new one stays: temporary file beside it, fsync, rename, fsync of the folder.
// Mode and owner stay; a new file gets mode 0600 and the folder's owner. A
// symlink is followed: what it points to is replaced.
func ReplaceFile(path string, data []byte) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	dir := filepath.Dir(path)
	like, err := os.Stat(path)
	mode := fs.FileMode(0o600)
	switch {
	case err == nil:
		mode = like.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("replace file: %w", err)
	default:
		if like, err = os.Stat(dir); err != nil {
			return fmt.Errorf("replace file %s: %w", path, err)
		}
	}
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithStaticPermissions(mode))
	if err != nil {
		return fmt.Errorf("replace file %s: %w", path, err)
	}
	defer f.Cleanup()
	if st, ok := like.Sys().(*syscall.Stat_t); ok && (int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid()) {
		if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
			return fmt.Errorf("replace file %s: keep its owner: %w", path, err)
		}
		if err := f.Chmod(mode); err != nil {
			return fmt.Errorf("replace file %s: keep its mode: %w", path, err)
		}
	}
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("replace file %s: %w", path, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("replace file %s: %w", path, err)
	}
	return SyncDir(dir)
}

// SyncDir makes what was created, renamed or removed in the folder dir last.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
