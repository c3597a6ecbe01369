package hook

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/repool/repool/internal/config"
)

// hookShims are the names of older script sets for Pgpool-II's hooks, and
// dataShims those that must lie in a primary's data directory, each with the
// repool command behind it.
var (
	hookShims = [][2]string{
		{"failover.sh", "failover"}, {"follow_primary.sh", "follow-primary"}, {"resync.sh", "resync"},
	}
	dataShims = [][2]string{
		{"recovery_1st_stage.sh", "recovery-1st-stage"}, {"recovery_1st_stage", "recovery-1st-stage"},
		{"recovery_2nd_stage.sh", "recovery-2nd-stage"}, {"recovery_2nd_stage", "recovery-2nd-stage"},
		{"pgpool_remote_start", "remote-start"},
	}
)

// IsDataShim says whether a script of that name in a data directory would be
// repool's, once the shims of online recovery are installed.
func IsDataShim(name string) bool {
	return slices.ContainsFunc(dataShims, func(s [2]string) bool { return s[0] == name })
}

// Shim is one small script that stands in for an older one.
type Shim struct {
	Name string
	// DataDir: it belongs in the data directories, not beside pgpool.conf.
	DataDir bool
	Text    string
}

// Shims gives the text of every script, for a repool at that path. An empty
// configPath leaves the choice of repool.yaml to repool.
func Shims(repoolPath, configPath string) []Shim {
	var out []Shim
	for i, list := range [][][2]string{hookShims, dataShims} {
		for _, s := range list {
			out = append(out, Shim{Name: s[0], DataDir: i == 1, Text: shimText(s[1], repoolPath, configPath)})
		}
	}
	return out
}

// shimText has "hook" right after the program, by which it knows early that
// Pgpool-II has started it, and two dashes before the arguments, since a node
// that Pgpool-II does not know is "-1".
func shimText(command, repoolPath, configPath string) string {
	opts := ""
	if configPath != "" {
		opts = "--config " + shellQuote(configPath) + " "
	}
	return fmt.Sprintf("#!/bin/sh\n# %s: made by repool setup; see repool hook %s --help.\nexec %s hook %s %s-- \"$@\"\n",
		config.ShimMark, command, shellQuote(repoolPath), command, opts)
}

// shellQuote makes s one word for a POSIX shell.
func shellQuote(s string) string {
	plain := strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%", r)
	}) < 0
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// beforeRepool and a time end the name under which a script is kept that a shim replaced.
const beforeRepool = ".before-repool-"

// Change is what InstallShims did, or would have to do, to one file.
type Change struct {
	Path string `json:"path"`
	// Backup is where the file that stood there before is kept; empty: none did.
	Backup string `json:"backup,omitempty"`
}

// PlanShims lists the files that InstallShims would write.
func PlanShims(dirHooks, dirsData []string, repoolPath, configPath string) ([]Change, error) {
	return shims(dirHooks, dirsData, repoolPath, configPath, false)
}

// InstallShims writes the scripts: Pgpool-II's into dirHooks, those of online
// recovery into dirsData. A script that is in place is left alone; a file with
// other content is kept beside the new one. New files get the owner of their
// directory, since a server must be able to run them.
func InstallShims(dirHooks, dirsData []string, repoolPath, configPath string) ([]Change, error) {
	return shims(dirHooks, dirsData, repoolPath, configPath, true)
}

func shims(dirHooks, dirsData []string, repoolPath, configPath string, install bool) ([]Change, error) {
	if !filepath.IsAbs(repoolPath) || configPath != "" && !filepath.IsAbs(configPath) {
		return nil, fmt.Errorf("install hooks: %q and %q must be absolute paths, since Pgpool-II runs them from anywhere",
			repoolPath, configPath)
	}
	var done []Change
	for _, s := range Shims(repoolPath, configPath) {
		dirs := dirHooks
		if s.DataDir {
			dirs = dirsData
		}
		for _, dir := range dirs {
			c, changed, err := s.put(dir, install)
			if err != nil {
				return done, fmt.Errorf("install hook %s: %w", filepath.Join(dir, s.Name), err)
			}
			if changed {
				done = append(done, c)
			}
		}
	}
	return done, nil
}

// put brings one script into place; changed is false where it is there already.
func (s Shim) put(dir string, install bool) (c Change, changed bool, err error) {
	c.Path = filepath.Join(dir, s.Name)
	info, err := os.Stat(c.Path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return c, false, errors.New("not a regular file")
	case err == nil:
		old, rerr := os.ReadFile(c.Path)
		if rerr != nil {
			return c, false, rerr
		}
		if bytes.Equal(old, []byte(s.Text)) && info.Mode().Perm()&0o111 == 0o111 {
			return c, false, nil
		}
		if !bytes.Contains(old, []byte(config.ShimMark)) {
			c.Backup = c.Path + beforeRepool + time.Now().UTC().Format("20060102T150405")
		}
	case !errors.Is(err, os.ErrNotExist):
		return c, false, err
	}
	if !install {
		return c, true, nil
	}
	if c.Backup != "" {
		if err := os.Link(c.Path, c.Backup); err != nil {
			return c, false, fmt.Errorf("keep the old one: %w", err)
		}
	}
	return c, true, s.write(c.Path)
}

// write replaces the file in one step, with mode 0755 and its directory's owner.
func (s Shim) write(path string) error {
	return writeFile(path, []byte(s.Text), true, func(from, to string) error {
		if err := os.Chmod(from, 0o755); err != nil {
			return err
		}
		if err := ownLike(from, filepath.Dir(to)); err != nil {
			return err
		}
		return os.Rename(from, to)
	})
}
