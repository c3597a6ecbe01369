package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/repool/repool/internal/exit"
)

// undoer plans what puts a pool back to where it was before setup.
type undoer struct {
	*maker
	nodes []undoNode
	// inUse says what of repool's a node still uses: its role, the rules that let it in and the passwords stay as long.
	inUse []string
	// removeState: the controller's state and the nodes' work directories go, too.
	removeState bool
}

// Undo looks at the pool and returns what puts back what setup, and repool since, have changed: by the record that
// setup kept, and by what bears repool's names. Nothing is put back that somebody has changed since, and nothing that
// a node still needs; both become Manual items. With removeState the state directories go as well.
func Undo(ctx context.Context, o Options, removeState bool) (*Plan, error) {
	m, err := newMaker(ctx, o)
	if err != nil {
		return nil, err
	}
	u := &undoer{maker: m, removeState: removeState}
	for _, part := range []func(context.Context) error{
		u.controller, u.lookAtNodes, u.primarySettings, u.pgpoolFiles, u.dropSlots, u.removeShims, u.accessFiles,
		u.roles, u.otherFiles, u.state, u.configuration,
	} {
		if err := part(ctx); err != nil {
			m.disconnect()
			return nil, err
		}
	}
	return &Plan{Items: u.items, close: m.disconnect}, nil
}

// controller comes first: it would do again what is undone.
func (u *undoer) controller(context.Context) error {
	if !u.facts.Controller.Running {
		return nil
	}
	const stop = "systemctl stop repool"
	u.add(Item{ID: "controller", Subject: "controller", Lines: []string{"→ " + stop},
		What: "stop it first, and every agent: nothing is undone while it runs",
		do: func(context.Context, *Item) error {
			return exit.With(exit.Refused, errors.New("the controller runs, and would do again what is undone"), stop)
		}})
	return nil
}

// keep is a Manual item about what cannot be undone yet.
func (u *undoer) keep(id, subject, what string, remedy ...string) {
	i := Item{ID: id, Subject: subject, What: what, Manual: true}
	for _, r := range remedy {
		i.Lines = append(i.Lines, "→ "+r)
	}
	u.add(i)
}

// entries are those of the record with one of the ids, newest first.
func (u *undoer) entries(ids ...string) []*entry {
	var out []*entry
	for _, e := range slices.Backward(u.record.Entries) {
		if slices.Contains(ids, e.ID) {
			out = append(out, e)
		}
	}
	return out
}

// restore plans to put a file back as it was before the entries, newest first, which are all about it. then runs
// after the file was written; nil: nothing.
func (u *undoer) restore(subject, path string, entries []*entry, then func(context.Context) error) error {
	now, exists, err := readIfThere(path)
	if err != nil {
		return fmt.Errorf("read a file to put back: %w", err)
	}
	text, left, backups := now, 0, []string{}
	for _, e := range entries {
		before, there, err := readBackup(e.File)
		if err != nil {
			return fmt.Errorf("read the backup of a file to put back: %w", err)
		}
		if checksum(before) != e.File.Before && checksum(text) != e.File.Before {
			state := map[bool]string{true: "was changed", false: "is gone"}[there]
			u.keep(e.ID, subject, fmt.Sprintf("%s stays: its backup %s %s", path, e.File.Backup, state))
			return nil
		}
		var n int
		text, n = reverse(text, e.File, before)
		if left += n; e.File.Backup != "" && there {
			backups = append(backups, e.File.Backup)
		}
	}
	if left > 0 && exists {
		u.keep(entries[0].ID, subject, fmt.Sprintf("%d of the places that setup edited in %s were changed since: they "+
			"stay as they are", left, path))
	}
	r := restoration{path: path, now: now, text: text, entries: entries, backups: backups, whole: left == 0,
		remove: text == "" && entries[len(entries)-1].File.Backup == ""}
	item := Item{ID: entries[0].ID, Subject: subject, What: "put back what setup changed", File: path,
		Lines: diff(path, now, text)}
	switch {
	case !exists || text == now && !r.remove:
		r.nothing = true
		item.What, item.Lines = "forget an edit that is not in the file any more", nil
	case r.remove:
		item.What = "remove the file that setup created"
	}
	item.do = func(ctx context.Context, _ *Item) error {
		if err := r.do(); err != nil {
			return err
		}
		if then != nil {
			if err := then(ctx); err != nil {
				return err
			}
		}
		return u.forget(r)
	}
	u.add(item)
	return nil
}

// restoration puts one file back.
type restoration struct {
	path      string
	now, text string
	entries   []*entry
	// backups are newest first, as the entries.
	backups []string
	// remove: the file is to go. nothing: the file is as it should be.
	remove, nothing bool
	// whole: no place of it was changed since.
	whole bool
}

func (r restoration) do() error {
	if r.nothing {
		return nil
	}
	if again, _, err := readIfThere(r.path); err != nil || again != r.now {
		return errors.Join(err, fmt.Errorf("%s has changed in the meantime: run setup --undo again", r.path))
	}
	e := &fileEdit{path: r.path, before: r.now, after: r.text, inPlace: r.entries[0].ID == "pool-passwd"}
	return e.putBack(r.remove)
}

func readBackup(c *fileChange) (text string, there bool, err error) {
	if c.Backup == "" {
		return "", false, nil
	}
	return readIfThere(c.Backup)
}

// forget drops what is on record of a file that was put back, and its backups. Where somebody has changed the file
// since, the oldest backup stays.
func (u *undoer) forget(r restoration) error {
	for i, b := range r.backups {
		was, _, err := readIfThere(b)
		if err != nil {
			return err
		}
		if last := i == len(r.backups)-1; !r.whole || last && !r.remove && was != r.text {
			continue
		}
		if err := os.Remove(b); err != nil {
			return err
		}
	}
	return u.drop(r.entries)
}

// drop forgets entries.
func (u *undoer) drop(entries []*entry) error {
	for _, e := range entries {
		if err := u.record.drop(e); err != nil {
			return err
		}
	}
	return nil
}

// byFile groups entries by the file that they are about, in order.
func byFile(entries []*entry) (paths []string, of map[string][]*entry) {
	of = map[string][]*entry{}
	for _, e := range entries {
		if e.File == nil {
			continue
		}
		if of[e.File.Path] == nil {
			paths = append(paths, e.File.Path)
		}
		of[e.File.Path] = append(of[e.File.Path], e)
	}
	return paths, of
}

// restoreAll is restore for every file of the entries.
func (u *undoer) restoreAll(subject string, entries []*entry, then func(context.Context) error) error {
	paths, of := byFile(entries)
	for _, path := range paths {
		if err := u.restore(subject, path, of[path], then); err != nil {
			return err
		}
	}
	return nil
}

// pgpoolFiles puts back pgpool.conf and pool_passwd, and has Pgpool-II read them.
func (u *undoer) pgpoolFiles(context.Context) error {
	entries, reloads := u.entries(pgpoolConfID, "pool-passwd"), u.entries("reload")
	if len(entries)+len(reloads) == 0 {
		if u.callsRepool() {
			u.keep(pgpoolConfID, pgpoolSubject, "pgpool.conf calls repool, and no record says what was there before",
				"take the lines from a backup ("+u.facts.Pool.PgpoolConf+".repool-…), and reload Pgpool-II")
		}
		return nil
	}
	if err := u.restoreAll(pgpoolSubject, entries, nil); err != nil {
		return err
	}
	if u.facts.Pool.Pgpool.UseWatchdog {
		u.keep("reload", pgpoolSubject, "run setup --undo beside every other member of the watchdog cluster, too")
	}
	if u.o.NoReload {
		u.keep("reload", pgpoolSubject, "restart Pgpool-II: a reload does not bring back the default of a setting")
		u.add(Item{ID: "reload", Subject: pgpoolSubject, What: "leave it to you to restart Pgpool-II",
			do: func(context.Context, *Item) error { return u.drop(reloads) }})
		return nil
	}
	u.add(Item{ID: "reload", Subject: pgpoolSubject, What: "have Pgpool-II run with what was before",
		do: u.reloadBefore})
	return nil
}

func (u *undoer) callsRepool() bool {
	for _, p := range u.facts.Pgpool.Hooks {
		if p.Repool || p.Shim {
			return true
		}
	}
	return false
}

// accessFiles puts back the rules of pg_hba.conf.
func (u *undoer) accessFiles(context.Context) error {
	entries := u.entries("hba")
	if len(entries) == 0 {
		return nil
	}
	if len(u.inUse) > 0 {
		u.keep("hba", "files", "the lines of pg_hba.conf stay: "+strings.Join(u.inUse, "; "))
		return nil
	}
	return u.restoreAll("files", entries, u.reloadServers)
}

// reloadServers has the servers read pg_hba.conf again.
func (u *undoer) reloadServers(ctx context.Context) error {
	for id, conn := range u.admin {
		if _, err := conn.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
			return fmt.Errorf("reload %s: %w", subject(id), err)
		}
	}
	return nil
}

// otherFiles puts back what Pgpool-II and the servers do not read any more.
func (u *undoer) otherFiles(context.Context) error {
	if err := u.restoreAll(pgpoolSubject, u.entries("pcp-conf"), nil); err != nil {
		return err
	}
	if err := u.restoreAll("controller", u.entries("unit"), nil); err != nil {
		return err
	}
	entries := u.entries("pgpass", "pcppass") // repool.yaml names the files, so they go with it
	if len(u.inUse) > 0 && len(entries) > 0 {
		u.keep("pgpass", "files", "the lines of the passfiles stay: "+strings.Join(u.inUse, "; "))
		return nil
	}
	return u.restoreAll("files", entries, nil)
}

// configuration removes repool.yaml last: until all is undone, it says where to look.
func (u *undoer) configuration(context.Context) error {
	if entries := u.entries("repool-yaml"); len(u.inUse) == 0 {
		return u.restoreAll("controller", entries, nil)
	} else if len(entries) > 0 {
		u.keep("repool-yaml", "controller", "repool.yaml stays until the rest is undone: run setup --undo again then")
	}
	return nil
}
