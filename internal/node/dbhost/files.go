package dbhost

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/repool/repool/internal/node/pgdata"
)

// treeCopy copies files and folders with their modes.
type treeCopy struct {
	// file makes dst what the file src is.
	file func(src, dst string, mode fs.FileMode) error
	// link gives the text of the link at rel, of which the text is known; nil: as it is.
	link func(rel, text string) string
}

// copy makes dst what src is; rel is its path in the data directory. Sockets are left out.
func (c treeCopy) copy(src, dst, rel string) error {
	st, err := os.Lstat(src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return err
	}
	switch {
	case st.IsDir():
		if err := os.MkdirAll(dst, 0o700); err != nil {
			return err
		}
		entries, err := os.ReadDir(src)
		if err != nil {
			return err
		}
		for _, e := range entries {
			n := e.Name()
			if err := c.copy(filepath.Join(src, n), filepath.Join(dst, n), filepath.Join(rel, n)); err != nil {
				return err
			}
		}
		return os.Chmod(dst, st.Mode().Perm())
	case st.Mode()&fs.ModeSymlink != 0:
		text, err := os.Readlink(src)
		if err != nil {
			return err
		}
		if c.link != nil {
			text = c.link(rel, text)
		}
		return os.Symlink(text, dst)
	case st.Mode()&fs.ModeSocket != 0:
		return nil
	}
	return c.file(src, dst, st.Mode().Perm())
}

// linkFile gives a file a second name, so that it needs no room; where the system does not let it (another owner's
// file) it is copied.
func linkFile(src, dst string, mode fs.FileMode) error {
	if err := os.Link(src, dst); err == nil {
		return nil
	}
	return copyFile(src, dst, mode)
}

// copyFile copies one file.
func copyFile(src, dst string, mode fs.FileMode) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode|0o200)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return fmt.Errorf("copy %s: %w", src, err)
	}
	return out.Chmod(mode)
}

// sameTree says whether b has the kinds, modes, contents and link texts of a, as link makes them of a's.
func sameTree(a, b, rel string, link func(rel, text string) string) bool {
	x, err1 := os.Lstat(a)
	y, err2 := os.Lstat(b)
	if err1 != nil || err2 != nil || x.Mode() != y.Mode() {
		return false
	}
	switch {
	case x.IsDir():
		in, err1 := os.ReadDir(a)
		out, err2 := os.ReadDir(b)
		same := err1 == nil && err2 == nil && len(in) == len(out)
		for i := 0; same && i < len(in); i++ {
			n := in[i].Name()
			same = n == out[i].Name() && sameTree(filepath.Join(a, n), filepath.Join(b, n), filepath.Join(rel, n), link)
		}
		return same
	case x.Mode()&fs.ModeSymlink != 0:
		from, err1 := os.Readlink(a)
		to, err2 := os.Readlink(b)
		return err1 == nil && err2 == nil && link(rel, from) == to
	case x.Size() != y.Size():
		return false
	}
	from, err1 := os.ReadFile(a)
	to, err2 := os.ReadFile(b)
	return err1 == nil && err2 == nil && bytes.Equal(from, to)
}

// syncTree makes a file, or a folder with all in it, durable.
func syncTree(path string) error {
	return filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return pgdata.SyncDir(path)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return syncFile(path)
	})
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync file: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync file %s: %w", path, err)
	}
	return nil
}
