package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/pgpool/hook"
)

func readIfThere(path string) (text string, there bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return string(b), err == nil, err
}

// putBack writes the file, or removes it.
func (e *fileEdit) putBack(remove bool) error {
	switch {
	case remove:
		return os.Remove(e.path)
	case e.inPlace:
		return e.overwrite()
	}
	return pgdata.ReplaceFile(e.path, []byte(e.after))
}

// removeEmpty removes directories that setup created, inner ones first, unless something is in them.
func removeEmpty(dirs []string) error {
	for _, dir := range slices.Backward(dirs) {
		err := os.Remove(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

// removeShims takes repool's scripts away, under every name, from the directories on record, those beside pgpool.conf
// and the data directories of this machine: a base backup copies them to other nodes.
func (u *undoer) removeShims(ctx context.Context) error {
	if err := u.remoteShims(ctx); err != nil {
		return err
	}
	dirs := append([]string{u.o.ShimDir}, u.recoveryDirs()...)
	entries := u.entries("shims")
	for _, e := range entries {
		dirs = append(dirs, e.ShimDirs...)
	}
	slices.Sort(dirs)
	found, err := hook.InstalledShims(slices.Compact(dirs))
	if err != nil {
		return err
	}
	if len(found) == 0 && len(entries) == 0 {
		return nil
	}
	var show []string
	for _, r := range found {
		if show = append(show, "- "+r.Path); r.Backup != "" {
			show = append(show, "+ "+r.Path+" (as it was, from "+filepath.Base(r.Backup)+")")
		}
	}
	u.add(Item{ID: "shims", Subject: pgpoolSubject, What: "remove the scripts that call repool", Lines: show,
		do: func(context.Context, *Item) error {
			for _, r := range found {
				if err := r.Remove(); err != nil {
					return err
				}
			}
			return u.drop(entries)
		}})
	return nil
}

// remoteShims names the scripts in data directories on other machines.
func (u *undoer) remoteShims(ctx context.Context) error {
	var names []string
	for _, s := range hook.Shims("/", "") {
		if s.DataDir {
			names = append(names, s.Name)
		}
	}
	for i := range u.nodes {
		n := &u.nodes[i]
		if n.conn == nil || isLocal(n.facts.Conf) {
			continue
		}
		rows, err := n.conn.Query(ctx, `SELECT current_setting('data_directory') || '/' || name
		       FROM pg_ls_dir('.') AS name WHERE name = ANY($1)
		       AND position($2::bytea IN pg_read_binary_file(name)) > 0 ORDER BY 1`, names, []byte(config.ShimMark))
		if err != nil {
			return fmt.Errorf("look for repool's scripts on %s: %w", n.facts.Subject(), err)
		}
		paths, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("look for repool's scripts on %s: %w", n.facts.Subject(), err)
		}
		if len(paths) > 0 {
			u.keep("shims", n.facts.Subject(), "its data directory has scripts that call repool",
				"on its machine: rm "+joinQuoted(paths)+"   # what stood there before ends in .before-repool-<time>")
		}
	}
	return nil
}

// state removes the state directories, if that was asked for.
func (u *undoer) state(context.Context) error {
	entries := u.entries("state-directory")
	dirs := []string{u.facts.Pool.Controller.StateDir}
	for i := range u.nodes {
		n := &u.nodes[i]
		switch {
		case n.facts.Conf.WorkDir != "":
			dirs = append(dirs, n.facts.Conf.WorkDir)
		case n.dataDir != "": // pgpool.conf, as it was before, may not name it
			dirs = append(dirs, n.dataDir+".repool")
		}
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { _, err := os.Lstat(dir); return err != nil })
	switch {
	case len(u.inUse) > 0 || len(dirs) == 0 && len(entries) == 0:
		return nil
	case !u.removeState && len(dirs) > 0:
		u.keep("state", "files", "state of repool's stays",
			"rm -r "+joinQuoted(dirs)+"   # or setup --undo --remove-state")
		return nil
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool {
		what := foreign(dir)
		if what != "" {
			u.keep("state", "files", fmt.Sprintf("%s stays: it holds %s, which may be the only copy of something", dir,
				what), "repool vault list")
		}
		return what != ""
	})
	var show []string
	for _, dir := range dirs {
		show = append(show, "- "+dir+"/")
	}
	u.add(Item{ID: "state", Subject: "files", What: "remove the controller's state and the nodes' work directories",
		Lines: show, do: func(context.Context, *Item) error {
			for _, dir := range dirs {
				if err := os.RemoveAll(dir); err != nil {
					return err
				}
			}
			return u.drop(entries)
		}})
	return nil
}

// foreign names what in a state directory may be data: a data directory in repair or set aside, or a vault's entry.
func foreign(dir string) string {
	found := ""
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == "PG_VERSION" || d.Name() == "pg_wal" || filepath.Base(filepath.Dir(path)) == "vault" {
			found = path
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return "what cannot be read: " + err.Error()
	}
	return found
}

func joinQuoted(paths []string) string {
	out := ""
	for i, p := range paths {
		if i > 0 {
			out += " "
		}
		out += "'" + p + "'"
	}
	return out
}
