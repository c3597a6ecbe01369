package dbhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// The WAL and the tablespaces may lie outside the data directory, behind links, often on file systems of their own. Two
// directories that exist side by side (a base backup and what it replaces) cannot both have theirs where the link at
// Home leads. The directory that is moved into place gets that folder; the other's is first renamed to a folder beside
// it, on the same file system, and its link says so.
//
// The order makes each step resumable without a journal: the link is changed first and the folder renamed then. A link
// that leads nowhere therefore says where its folder belongs, and settle finishes the rename.

// walRel is the link of the WAL, spaceRel the folder with those of tablespaces.
const (
	walRel   = "pg_wal"
	spaceRel = "pg_tblspc"
)

// outside is one folder of the database behind a link of the data directory.
type outside struct {
	rel    string // path of the link
	target string // where the link at Home leads: the real path, which may not exist
	// version is the folder in a tablespace that is this database's (PG_15_202209061); empty for the WAL, of which
	// the target itself is renamed.
	version string
}

// live is the folder that Home has.
func (o outside) live() string { return filepath.Join(o.target, o.version) }

// beside is where links of directories lead while another one has the live folder. Beside the WAL, so that no pg_rewind
// goes through it; within a tablespace, whose parent folder may be anybody's, under a name that PostgreSQL's programs
// leave out of every copy.
func (o outside) beside() string {
	if o.version == "" {
		return o.target + ".repool"
	}
	return filepath.Join(o.target, "pgsql_tmp.repool")
}

// named is where a link with that name leads, folder what the live folder is renamed to for it.
func (o outside) named(name string) string  { return filepath.Join(o.beside(), name) }
func (o outside) folder(name string) string { return filepath.Join(o.named(name), o.version) }

// nameOfNew is the name that a base backup is made under, nameOfLost that of WAL whose data directory is lost: it may
// be all that is left of some commits, so it waits for a person. Others have numbers.
const (
	nameOfNew  = "new"
	nameOfLost = "lost"
)

// placesOfData are all whose directories may have a link.
var placesOfData = []resync.Place{resync.Home, resync.InRepair, resync.New, resync.Old}

// outsides lists the folders that directories of this node have outside, by the links at Home.
func (h *Host) outsides() ([]outside, error) {
	rec, err := h.homeLinks()
	if err != nil {
		return nil, err
	}
	return h.outsidesOf(rec)
}

func (h *Host) outsidesOf(rec linksRecord) ([]outside, error) {
	var all []outside
	for rel, text := range rec.Links {
		if rel != walRel && filepath.Dir(rel) != spaceRel {
			continue
		}
		o := outside{rel: rel}
		var err error
		if o.target, err = realPath(against(filepath.Dir(filepath.Join(h.home, rel)), text)); err != nil {
			return nil, fmt.Errorf("find where %s leads: %w", rel, err)
		}
		if rel != walRel {
			if o.version = rec.Version; o.version == "" {
				continue // no copy was ever made beside it
			}
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b outside) int { return strings.Compare(a.rel, b.rel) })
	return all, nil
}

// leads says where the link of the directory dir leads; empty: it has none.
func (o outside) leads(dir string) string {
	path := filepath.Join(dir, o.rel)
	text, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	return against(filepath.Dir(path), text)
}

// name is under which name the directory dir has its folder; ok is false when it has the live one, or none.
func (o outside) name(dir string) (name string, ok bool) {
	leads := o.leads(dir)
	return filepath.Base(leads), leads != "" && filepath.Dir(leads) == o.beside()
}

// owner is the place whose directory has the live folder.
func (h *Host) owner(o outside) (owner resync.Place, ok bool) {
	for _, p := range placesOfData {
		leads := o.leads(h.path(p))
		if leads == "" {
			continue
		}
		if real, err := realPath(leads); err == nil && real == o.target {
			return p, true
		}
	}
	return "", false
}

// settle finishes what a crash cut short.
func (h *Host) settle() error {
	if err := h.settleMoves(); err != nil {
		return err
	}
	all, err := h.outsides()
	if err != nil {
		return err
	}
	for _, o := range all {
		if err := h.settleOne(o); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) settleOne(o outside) error {
	_, owned := h.owner(o)
	live := exists(o.live())
	led := map[string]bool{}
	for _, dir := range h.trashed() {
		if name, ok := o.name(dir); ok {
			led[name] = true
		}
	}
	for _, p := range placesOfData {
		name, ok := o.name(h.path(p))
		if !ok {
			continue
		}
		if led[name] = true; !owned && live && !exists(o.folder(name)) {
			return renameOutside(o.live(), o.folder(name)) // the link was changed, and no more
		}
	}
	if !owned || live {
		return nil
	}
	// The link leads to the live folder, and the folder is still where it was: the only one to which none leads.
	entries, err := os.ReadDir(o.beside())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for the folder of %s: %w", o.rel, err)
	}
	var left []string
	for _, e := range entries {
		if !led[e.Name()] && e.Name() != nameOfLost && exists(o.folder(e.Name())) {
			left = append(left, e.Name())
		}
	}
	if len(left) != 1 {
		return nil // nothing of ours: the server will say that it misses it
	}
	return o.renameLive(left[0])
}

// renameLive makes the folder of that name the live one.
func (o outside) renameLive(name string) error {
	if err := renameOutside(o.folder(name), o.live()); err != nil {
		return err
	}
	o.tidy(name)
	return nil
}

// tidy removes the folders that held the one of that name, as far as they are empty.
func (o outside) tidy(name string) {
	for _, dir := range []string{o.named(name), o.beside()} {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			return // another folder is in it
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// renameOutside renames a folder if it is there and the target is not.
func renameOutside(from, to string) error {
	if exists(to) || !exists(from) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("make room for a folder outside the data directory: %w", err)
	}
	return renameDir(from, to)
}

// giveWay takes the live folder from the directory in p.
func (h *Host) giveWay(p resync.Place, o outside) error {
	name := 1
	for exists(o.named(strconv.Itoa(name))) {
		name++
	}
	to := strconv.Itoa(name)
	if err := os.MkdirAll(o.beside(), 0o700); err != nil {
		return fmt.Errorf("make room for a folder outside the data directory: %w", err)
	}
	return h.each(
		func() error { return relink(filepath.Join(h.path(p), o.rel), o.named(to)) },
		func() error { return renameOutside(o.live(), o.folder(to)) })
}

// errCut is what a test ends a series of changes with.
var errCut = errors.New("cut short")

// each makes changes in order.
func (h *Host) each(changes ...func() error) error {
	for _, c := range changes {
		if h.cut != nil && h.cut() {
			return errCut
		}
		if err := c(); err != nil {
			return err
		}
	}
	return nil
}

// bringOutside gives the directory in p, which is about to be moved into place, the live folders.
func (h *Host) bringOutside(p resync.Place) error {
	all, err := h.outsides()
	if err != nil {
		return err
	}
	for _, o := range all {
		name, ok := o.name(h.path(p))
		if !ok {
			continue
		}
		if q, owned := h.owner(o); owned {
			if err := h.giveWay(q, o); err != nil {
				return err
			}
		}
		if err := h.each(o.free,
			func() error { return relink(filepath.Join(h.path(p), o.rel), o.target) },
			func() error { return o.renameLive(name) }); err != nil {
			return err
		}
	}
	return nil
}

// dropOutside removes the folders of the directory dir, which is being removed.
func (h *Host) dropOutside(dir string) error {
	all, err := h.outsides()
	if err != nil {
		return err
	}
	for _, o := range all {
		name, ok := o.name(dir)
		if !ok {
			continue
		}
		if err := os.RemoveAll(o.named(name)); err != nil {
			return fmt.Errorf("remove a folder outside the data directory: %w", err)
		}
		o.tidy(name)
	}
	return nil
}

// loseOutside takes the live folders from the directory in p, which is about to be removed, unless Home has them.
func (h *Host) loseOutside(p resync.Place) error {
	all, err := h.outsides()
	if err != nil {
		return err
	}
	for _, o := range all {
		if q, owned := h.owner(o); owned && q == p {
			if err := h.giveWay(p, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// free is an error while something is in the live folder's place that no directory of this node has. WAL is put aside:
// this node's link led to it.
func (o outside) free() error {
	entries, err := os.ReadDir(o.live())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) == 0 {
		return os.Remove(o.live())
	}
	if err == nil && o.rel == walRel && !exists(o.named(nameOfLost)) {
		return renameOutside(o.live(), o.named(nameOfLost))
	}
	return errors.Join(o.refuse("%s holds something that is not of any directory of this node", o.live()), err)
}

// refuse is the failure for a folder outside that cannot be swapped.
func (o outside) refuse(format string, args ...any) error {
	if o.version != "" {
		return fail(codes.Tablespaces, "look at "+o.target+" and move away what no server needs", format, args...)
	}
	return fail(codes.WALLink, "look at "+o.target+"; pg_wal must lead to a folder of its own below the mount point, "+
		"in one that the server's user may write in", format, args...)
}

// checkWALLink refuses a WAL folder that cannot be swapped for another one beside it.
func (h *Host) checkWALLink(o outside) error {
	mount, err := pgdata.IsMountPoint(o.target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case mount:
		return o.refuse("pg_wal leads to the mount point %s, which cannot be renamed", o.target)
	}
	if _, owned := h.owner(o); !owned && exists(o.named(nameOfLost)) {
		if entries, err := os.ReadDir(o.target); err == nil && len(entries) > 0 {
			return o.refuse("%s holds WAL of a data directory that is lost, as %s does already", o.target,
				o.named(nameOfLost))
		}
	}
	if rel, err := filepath.Rel(h.home, o.target); err == nil && filepath.IsLocal(rel) {
		return o.refuse("pg_wal leads to %s, within the data directory", o.target)
	}
	if err := unix.Access(filepath.Dir(o.target), unix.W_OK|unix.X_OK); err != nil {
		return o.refuse("the folder of %s cannot be written to: %w", o.target, err)
	}
	return nil
}
