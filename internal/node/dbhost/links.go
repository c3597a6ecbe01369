package dbhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// A link in the data directory may be relative to it, or lead into it by its full path; both are wrong while the
// directory is in the work directory. Such links are rewritten before it leaves Home, to something that holds in both
// places, and get their text back when a directory is back in its place. The texts are on disk first.

// linksFile keeps the texts that links have at Home, by their paths in the data directory.
func (h *Host) linksFile() string { return filepath.Join(h.workDir, "links.json") }

// linksRecord is the content of that file.
type linksRecord struct {
	Links map[string]string `json:"links"`
	// Version is the folder that the database has in each tablespace, such as PG_15_202209061
	// (TABLESPACE_VERSION_DIRECTORY in src/include/common/relpath.h).
	Version string `json:"version,omitempty"`
}

// homeLinks reads the texts; none is no error.
func (h *Host) homeLinks() (linksRecord, error) {
	rec := linksRecord{Links: map[string]string{}}
	b, err := os.ReadFile(h.linksFile())
	if errors.Is(err, fs.ErrNotExist) {
		return rec, nil
	}
	if err != nil {
		return rec, fmt.Errorf("read the texts of links: %w", err)
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		return rec, fmt.Errorf("read the texts of links in %s: %w", h.linksFile(), err)
	}
	return rec, nil
}

func (h *Host) putHomeLinks(rec linksRecord) error {
	b, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the texts of links: %w", err)
	}
	return pgdata.ReplaceFile(h.linksFile(), b)
}

// currentLinks are those of the directory at Home, or what is kept of them while there is none.
func (h *Host) currentLinks() (linksRecord, error) {
	rec, err := h.homeLinks()
	if err != nil {
		return rec, err
	}
	if home, err := h.Exists(resync.Home); err != nil || !home {
		return rec, err
	}
	if c, err := pgdata.ReadControl(h.home); err == nil {
		major, err := pgdata.MajorVersion(h.home)
		if err != nil {
			return rec, err
		}
		rec.Version = fmt.Sprintf("PG_%d_%d", major, c.CatalogVersion)
	}
	rec.Links, err = h.readLinks(h.home)
	return rec, err
}

// linkText is what links say in p.
func (h *Host) linkText(p resync.Place) func(rel, text string) string {
	return func(rel, text string) string {
		if p == resync.Home {
			return text
		}
		return h.awayText(rel, text)
	}
}

// awayText is what a link at rel must say to mean, from wherever the directory is, what text means at Home.
func (h *Host) awayText(rel, text string) string {
	target := against(filepath.Dir(filepath.Join(h.home, rel)), text)
	inside, err := filepath.Rel(h.home, target)
	switch within := err == nil && filepath.IsLocal(inside); {
	case within && filepath.IsAbs(text):
		if r, err := filepath.Rel(filepath.Dir(rel), inside); err == nil {
			return r
		}
	case !within && !filepath.IsAbs(text):
		return target
	}
	return text
}

// leaveHome rewrites the links at Home that would not hold elsewhere, and keeps the text of every link that is not
// deep in the node's own folders.
func (h *Host) leaveHome() error {
	rec, err := h.currentLinks()
	if err != nil || len(rec.Links) == 0 && !exists(h.linksFile()) {
		return err
	}
	if err := h.putHomeLinks(rec); err != nil {
		return err
	}
	return h.rewriteLinks(rec.Links, h.awayText)
}

// comeHome gives the links at Home the texts that they had there before, if they still mean the same.
func (h *Host) comeHome() error {
	rec, err := h.homeLinks()
	if err != nil {
		return err
	}
	links := rec.Links
	for rel, text := range links {
		if now, err := os.Readlink(filepath.Join(h.home, rel)); err != nil || now != h.awayText(rel, text) {
			delete(links, rel)
		}
	}
	return h.rewriteLinks(links, func(_, text string) string { return text })
}

// rewriteLinks makes links at Home say what say makes of their texts.
func (h *Host) rewriteLinks(links map[string]string, say func(rel, text string) string) error {
	for rel, text := range links {
		if err := relink(filepath.Join(h.home, rel), say(rel, text)); err != nil {
			return err
		}
	}
	return nil
}

// relink replaces a link by one with another text, in one step; with the same it does nothing.
func relink(path, text string) error {
	now, err := os.Readlink(path)
	if err == nil && now == text {
		return nil
	}
	tmp := path + ".repool"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rewrite a link: %w", err)
	}
	if err := os.Symlink(text, tmp); err != nil {
		return fmt.Errorf("rewrite a link: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(fmt.Errorf("rewrite a link: %w", err), os.Remove(tmp))
	}
	return pgdata.SyncDir(filepath.Dir(path))
}

// readLinks lists the links of a data directory with their texts: at the top, of tablespaces, and in folders of the
// node's own.
func (h *Host) readLinks(dir string) (map[string]string, error) {
	links := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || path == dir {
			return nil
		}
		if err != nil {
			return fs.SkipDir // an unreadable folder's links stay as they are
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if text, err := os.Readlink(path); err == nil {
			links[rel] = text
			return nil
		}
		info, err := d.Info()
		if err == nil && d.IsDir() && filepath.Dir(rel) == "." && pgdata.ServerName(rel, info) && rel != "pg_tblspc" {
			return fs.SkipDir
		}
		if d.IsDir() && filepath.Dir(rel) == "pg_tblspc" {
			return fs.SkipDir // a tablespace made in place
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the links of the data directory: %w", err)
	}
	return links, nil
}
