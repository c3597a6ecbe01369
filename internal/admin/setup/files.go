package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/repool/repool/internal/node/pgdata"
)

// fileEdit is a file before and after the edit.
type fileEdit struct {
	path          string
	before, after string
	exists        bool
	// perm and owner are for a new file.
	perm  os.FileMode
	owner owner
	// inPlace writes into the existing file, which somebody keeps open.
	inPlace bool
}

// file reads a file for editing; one that does not exist is empty.
func (m *maker) file(path string, perm os.FileMode) (*fileEdit, error) {
	if e := m.files[path]; e != nil {
		return e, nil
	}
	e := &fileEdit{path: path, perm: perm, owner: m.own}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read a file to edit: %w", err)
	default:
		e.before, e.after, e.exists = string(text), string(text), true
	}
	m.files[path] = e
	return e, nil
}

// appendLine adds a line at the end.
func (e *fileEdit) appendLine(line string) {
	if e.after != "" && !strings.HasSuffix(e.after, "\n") {
		e.after += "\n"
	}
	e.after += line + "\n"
}

// write edits the file, with a backup of the old one beside it.
func (e *fileEdit) write(suffix string) (backup string, err error) {
	if e.exists {
		now, err := os.ReadFile(e.path)
		if err != nil {
			return "", err
		}
		if string(now) != e.before {
			return "", fmt.Errorf("%s has changed in the meantime: run setup again", e.path)
		}
		backup, err = keep(e.path, now, suffix)
		if err != nil {
			return "", fmt.Errorf("keep a backup of %s: %w", e.path, err)
		}
		if e.inPlace {
			return backup, e.overwrite()
		}
		return backup, pgdata.ReplaceFile(e.path, []byte(e.after))
	}
	if err := makeParents(e.path); err != nil {
		return "", err
	}
	if err := pgdata.ReplaceFile(e.path, []byte(e.after)); err != nil {
		return "", err
	}
	return "", errors.Join(e.owner.take(e.path), os.Chmod(e.path, e.perm))
}

// makeParents creates the missing directories above path so that every user can
// enter them, whatever the umask.
func makeParents(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeParents(dir); err != nil {
		return err
	}
	return errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755))
}

// overwrite writes into the existing file. Added text is written in one piece, so
// that a reader sees either the old file or the new one.
func (e *fileEdit) overwrite() error {
	text, how := e.after, os.O_WRONLY|os.O_TRUNC
	if added, ok := strings.CutPrefix(e.after, e.before); ok {
		text, how = added, os.O_WRONLY|os.O_APPEND
	}
	f, err := os.OpenFile(e.path, how, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// take gives a file to the owner. Only root can, and only root needs to.
func (o owner) take(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}

// keep copies a file to a new one beside it, with the same owner and mode.
func keep(path string, text []byte, suffix string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	backup := path + suffix
	f, err := os.OpenFile(backup, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		err = errors.Join(err, f.Chown(int(st.Uid), int(st.Gid)))
	}
	return backup, errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
}

// edit adds the item that writes a file, unless nothing changes. Lines are shown to
// people.
func (m *maker) edit(id, subject, what string, e *fileEdit, lines []string) {
	if e.after == e.before && e.exists {
		return
	}
	m.add(Item{ID: id, Subject: subject, What: what, File: e.path, Lines: lines,
		do: func(_ context.Context, i *Item) error { return m.write(i, e) }})
}

// write records an edit and makes it.
func (m *maker) write(i *Item, e *fileEdit) (err error) {
	backup := ""
	if e.exists {
		backup = e.path + m.o.Suffix
	}
	if err := m.noteFile(i.ID, e.path, backup, e.before, e.after); err != nil {
		return err
	}
	i.Backup, err = e.write(m.o.Suffix)
	return err
}

// plus marks lines as new.
func plus(text string) []string {
	var out []string
	for l := range strings.Lines(text) {
		out = append(out, "+ "+strings.TrimRight(l, "\n"))
	}
	return out
}
