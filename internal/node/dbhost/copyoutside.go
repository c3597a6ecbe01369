package dbhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// planned is a folder outside the data directory that a copy of a source needs.
type planned struct {
	outside
	location string // of the tablespace on the source's host
	size     uint64
}

// plan says where a copy of src has its WAL and tablespaces, by the links of this node; a tablespace that it has no
// link of gets the path that it has on the source's host. It refuses what could not be swapped. rec is the links with
// those that were missing.
func (h *Host) plan(rec linksRecord, src source) ([]planned, linksRecord, error) {
	size := map[string]sourceSpace{}
	links := map[string]string{}
	for rel, text := range rec.Links {
		links[rel] = text
	}
	for _, s := range src.spaces {
		rel := filepath.Join(spaceRel, fmt.Sprint(s.oid))
		if links[rel] == "" {
			links[rel] = s.location
		}
		size[rel] = s
	}
	rec = linksRecord{Links: links, Version: fmt.Sprintf("PG_%d_%d", src.version/10000, src.catalog)}
	all, err := h.outsidesOf(rec)
	if err != nil {
		return nil, rec, err
	}
	var out []planned
	used := map[string]bool{}
	for _, o := range all {
		s, copied := size[o.rel]
		switch {
		case o.rel == walRel:
			err = h.checkWALLink(o)
		case !copied:
			continue // the source has no such tablespace any more
		case used[o.target]:
			err = o.refuse("two tablespaces would be in %s", o.target)
		default:
			err = h.checkSpaceDir(o)
		}
		if err != nil {
			return nil, rec, err
		}
		used[o.target] = true
		out = append(out, planned{o, s.location, s.size})
	}
	return out, rec, nil
}

// checkSpaceDir refuses a tablespace's folder that cannot take a second copy beside what is there.
func (h *Host) checkSpaceDir(o outside) error {
	if rel, err := filepath.Rel(h.home, o.target); err == nil && filepath.IsLocal(rel) {
		return o.refuse("tablespace %s is within the data directory, at %s", filepath.Base(o.rel), o.target)
	}
	dir := o.target
	for !exists(dir) {
		dir = filepath.Dir(dir)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return o.refuse("tablespace %s cannot be copied to %s: %s: %w", filepath.Base(o.rel), o.target, dir, err)
	}
	if _, owned := h.owner(o); !owned && exists(o.live()) {
		return o.refuse("%s is there, and no data directory of this node leads to it", o.live())
	}
	return nil
}

// makeOutside prepares the folders that a copy of src needs outside New, and gives pg_basebackup's arguments for them.
func (h *Host) makeOutside(ctx context.Context, src source) ([]string, error) {
	rec, err := h.currentLinks()
	if err != nil {
		return nil, err
	}
	all, rec, err := h.plan(rec, src)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if home, err := h.Exists(resync.Home); err != nil || !home {
		if err := h.putHomeLinks(rec); err != nil {
			return nil, err
		}
	}
	// An earlier copy in the trash leads to folders of the names that are made here.
	if err := h.EmptyTrash(ctx, 0); err != nil {
		return nil, err
	}
	var args []string
	for _, o := range all {
		dir := o.named(nameOfNew) // of a copy that was never finished, if it is there
		if err := os.RemoveAll(dir); err != nil {
			return nil, fmt.Errorf("remove an unfinished copy: %w", err)
		}
		if err := os.MkdirAll(o.beside(), 0o700); err != nil {
			return nil, o.refuse("make room beside %s: %w", o.target, err)
		}
		if o.rel == walRel {
			args = append(args, "--waldir="+dir)
			continue
		}
		args = append(args, "--tablespace-mapping="+mapped(o.location)+"="+mapped(dir))
	}
	return args, nil
}

// mapped escapes a path for --tablespace-mapping.
func mapped(path string) string { return strings.ReplaceAll(path, "=", `\=`) }

// SpaceForCopy says how much room a base backup of up needs on each file system but the data directory's own, by the
// node's links, and refuses what could not be swapped.
func (h *Host) SpaceForCopy(ctx context.Context, up topology.Upstream) ([]resync.Space, error) {
	src, err := h.askBeforeCopy(ctx, up)
	if err != nil {
		return nil, err
	}
	rec, err := h.currentLinks()
	if err != nil {
		return nil, err
	}
	all, _, err := h.plan(rec, src)
	if err != nil {
		return nil, err
	}
	own, err := deviceOf(h.fileSystem())
	if err != nil {
		return nil, err
	}
	var out []resync.Space
	at := map[uint64]int{}
	for _, o := range all {
		dev, err := deviceOf(o.target)
		if err != nil {
			return nil, err
		}
		if dev == own {
			continue
		}
		if o.rel == walRel {
			if o.size, err = h.walSize(); err != nil {
				return nil, err
			}
		}
		if _, known := at[dev]; !known {
			free, err := freeBytes(nearest(o.target))
			if err != nil {
				return nil, err
			}
			at[dev] = len(out)
			out = append(out, resync.Space{Path: o.target, Free: free})
		}
		s := &out[at[dev]]
		s.Need += o.size
		if o.rel != walRel {
			s.OfData += o.size
		}
	}
	return out, nil
}

// walSize is what the node's WAL takes now: a new copy's grows to as much.
func (h *Host) walSize() (uint64, error) {
	p, err := h.placeOfData()
	if err != nil {
		return 0, err
	}
	n, err := pgdata.WALSize(h.path(p))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return n, err
}

// nearest is path, or the nearest folder above it that exists.
func nearest(path string) string {
	for !exists(path) {
		path = filepath.Dir(path)
	}
	return path
}

func deviceOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(nearest(path), &st); err != nil {
		return 0, fmt.Errorf("find the file system of %s: %w", path, err)
	}
	return uint64(st.Dev), nil //nolint:unconvert // an int32 on some systems
}

// refuseBesides refuses a rewind while a tablespace has folders of kept copies, which pg_rewind would remove.
func (h *Host) refuseBesides() error {
	all, err := h.outsides()
	if err != nil {
		return err
	}
	for _, o := range all {
		if _, kept := o.name(h.path(resync.Old)); o.version != "" && kept {
			return fmt.Errorf("rewind: an earlier copy is kept in %s, where pg_rewind would remove it", o.beside())
		}
	}
	return nil
}
