package pgpoolconf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// ErrChanged is returned by Write when a file is no longer what was read.
var ErrChanged = errors.New("changed since it was read; read it again")

// Written is a file that Write replaced.
type Written struct {
	Path   string // after following symbolic links
	Backup string // the text before, beside it
}

// Write puts the changed files on disk; files without a change are not touched,
// and without any change it returns nothing. Each old text is kept beside its
// file under the name plus suffix, such as ".20060102T150405"; a backup that is
// there already is an error. Files are replaced atomically one by one, with their
// owner and mode. After an error the result lists what was replaced before it.
func (e *Editor) Write(suffix string) ([]Written, error) {
	if suffix == "" || filepath.Base("x"+suffix) != "x"+suffix {
		return nil, fmt.Errorf("write pgpool.conf: %q is no suffix for a backup", suffix)
	}
	var done []Written
	for _, s := range e.file.sources {
		before, text := e.before[s.path], s.text()
		if text == before {
			continue
		}
		w, err := replaceFile(s.path, before, text, suffix)
		if w != (Written{}) {
			e.before[s.path] = text
			done = append(done, w)
		}
		if err != nil {
			return done, fmt.Errorf("write %s: %w", s.path, err)
		}
	}
	return done, nil
}

// replaceFile returns the zero Written unless the file was replaced.
func replaceFile(path, before, text, suffix string) (Written, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Written{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Written{}, err
	}
	if now, err := readText(path); err != nil {
		return Written{}, err
	} else if now != before {
		return Written{}, ErrChanged
	}
	w := Written{Path: path, Backup: path + suffix}
	if err := makeBackup(w.Backup, before, info); err != nil {
		return Written{}, fmt.Errorf("keep a backup: %w", err)
	}
	pending, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)),
		renameio.WithPermissions(0o600))
	if err != nil {
		return Written{}, err
	}
	defer pending.Cleanup() // does nothing after the replacement
	if err := fill(pending.File, text, info); err != nil {
		return Written{}, err
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return Written{}, err
	}
	return w, syncDir(filepath.Dir(path))
}

// makeBackup writes a new file with the owner and mode of the one it keeps.
func makeBackup(path, text string, like os.FileInfo) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(file, text, like), file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDir(filepath.Dir(path))
}

// fill writes the text and gives the file the owner and mode of another. The
// owner comes first, since a change of it clears mode bits.
func fill(file *os.File, text string, like os.FileInfo) error {
	if _, err := io.WriteString(file, text); err != nil {
		return err
	}
	if owner, ok := like.Sys().(*syscall.Stat_t); ok {
		if err := file.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("keep the owner: %w", err)
		}
	}
	return file.Chmod(like.Mode().Perm())
}

// syncDir makes new names in a directory durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
