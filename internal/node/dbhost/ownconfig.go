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

// ownPatterns are files at the top of a data directory that are the node's
// own: a rewind or base backup brings those of another node.
var ownPatterns = []string{"*.conf", "*.crt", "*.key", "*.pem", "*.crl",
	"recovery_1st_stage*", "recovery_2nd_stage*", "pgpool_remote_start"}

// debianPatterns: in Debian's layout the rest is outside the data directory.
var debianPatterns = []string{"postgresql.auto.conf", "server.crt", "server.key",
	"recovery_1st_stage*", "recovery_2nd_stage*", "pgpool_remote_start"}

// fileSettings name files that the server reads besides postgresql.conf.
var fileSettings = []string{"hba_file", "ident_file", "ssl_ca_file", "ssl_cert_file", "ssl_crl_file",
	"ssl_crl_dir", "ssl_dh_params_file", "ssl_key_file", "krb_server_keyfile"}

// recoveryConf is of releases before 12; a later server refuses to start with
// it. A node's own is kept with its configuration, and not put back.
const recoveryConf = "recovery.conf"

// savedDir is where the node's own configuration is kept.
func (h *Host) savedDir() string { return filepath.Join(h.workDir, "config") }

// savedConfig says whether there is a copy.
func (h *Host) savedConfig() bool {
	_, err := os.Stat(h.savedDir())
	return err == nil
}

// SaveConfig keeps a copy of the node's own configuration files; the whole set
// is replaced at once. From InRepair it keeps an older copy: what is there may
// have been overwritten by a rewind. A place without configuration changes
// nothing.
func (h *Host) SaveConfig(from resync.Place) error {
	if err := h.finishSwap(); err != nil {
		return err
	}
	if from != resync.Home && h.savedConfig() {
		return nil
	}
	names, err := h.ownFiles(from)
	if err != nil {
		return fmt.Errorf("save the node's configuration: %w", err)
	}
	l, err := h.layout()
	if err != nil {
		return err
	}
	if l.config == "" && !slices.Contains(names, "postgresql.conf") || len(names) == 0 {
		return nil
	}
	tmp := h.savedDir() + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("save the node's configuration: %w", err)
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return fmt.Errorf("save the node's configuration: %w", err)
	}
	saving := treeCopy{file: copyFile}
	for _, n := range names {
		if err := saving.copy(filepath.Join(h.path(from), n), filepath.Join(tmp, n), n); err != nil {
			return fmt.Errorf("save the node's configuration: %w", err)
		}
	}
	if err := syncTree(tmp); err != nil {
		return err
	}
	return h.swapSaved(tmp)
}

// swapSaved puts tmp in the place of the saved set. Where the kernel can, the
// two are exchanged in one step.
func (h *Host) swapSaved(tmp string) error {
	dir := h.savedDir()
	err := unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		if err := pgdata.SyncDir(h.workDir); err != nil {
			return err
		}
		return os.RemoveAll(tmp)
	case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("save the node's configuration: %w", err)
	}
	if err := unix.Rename(dir, dir+".old"); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("save the node's configuration: %w", err)
	}
	if err := unix.Rename(tmp, dir); err != nil {
		return fmt.Errorf("save the node's configuration: %w", err)
	}
	if err := pgdata.SyncDir(h.workDir); err != nil {
		return err
	}
	return os.RemoveAll(dir + ".old")
}

// finishSwap brings back the older set when a swap without exchange was cut
// short between its two renames.
func (h *Host) finishSwap() error {
	dir := h.savedDir()
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := unix.Rename(dir+".old", dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("bring back the saved configuration: %w", err)
	}
	return nil
}

// ownFiles lists the node's own files in p by their relative paths: those of
// the patterns, and those that the configuration names inside the directory.
func (h *Host) ownFiles(p resync.Place) ([]string, error) {
	dir := h.path(p)
	l, err := h.layout()
	if err != nil {
		return nil, err
	}
	patterns := ownPatterns
	if l.config != "" {
		patterns = debianPatterns
	}
	found := map[string]bool{}
	for _, pat := range patterns {
		files, err := filepath.Glob(filepath.Join(dir, pat))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			found[filepath.Base(f)] = true
		}
	}
	if l.config == "" {
		for _, n := range namedInConf(dir) {
			found[n] = true
		}
	}
	var names []string
	for n := range found {
		info, err := os.Lstat(filepath.Join(dir, n))
		if err == nil && (info.Mode().IsRegular() || info.IsDir() || info.Mode()&fs.ModeSymlink != 0) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

// namedInConf lists what the configuration in dir names inside dir: the files that it includes, those of fileSettings,
// and of what is in a folder of the node's own the whole folder, because what else is in there belongs to it (the
// client's key beside the server's certificate). In PostgreSQL's own folders only the file itself is the node's.
func namedInConf(dir string) []string {
	var names []string
	add := func(path string) {
		rel, err := filepath.Rel(dir, path)
		if err != nil || !filepath.IsLocal(rel) || rel == "." {
			return
		}
		top, _, _ := strings.Cut(rel, "/")
		if info, err := os.Lstat(filepath.Join(dir, top)); err == nil && !pgdata.ServerName(top, info) {
			rel = top
		}
		names = append(names, rel)
	}
	seen := map[string]bool{}
	var read func(file string)
	read = func(file string) {
		b, err := os.ReadFile(file)
		if err != nil || seen[file] {
			return
		}
		seen[file] = true
		conf, err := pgdata.ParseConf(string(b))
		if err != nil {
			return
		}
		for _, s := range conf {
			switch {
			case strings.HasPrefix(s.Name, "include"):
				add(against(filepath.Dir(file), s.Value))
				files, err := included(file, s)
				for _, f := range files {
					if err == nil {
						read(f)
					}
				}
			case slices.Contains(fileSettings, s.Name):
				add(against(dir, s.Value))
			}
		}
	}
	read(filepath.Join(dir, "postgresql.conf"))
	read(filepath.Join(dir, "postgresql.auto.conf"))
	return names
}

// against is path, from dir if it is relative.
func against(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// RestoreConfig writes the saved configuration into p, and puts back what else the node has of its own. A folder of
// the configuration becomes exactly what was saved: a leftover file in conf.d of another node would count.
// Without a saved copy the files in p stay, with the node's own port set.
func (h *Host) RestoreConfig(p resync.Place) error {
	if err := h.restoreConfig(p); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(h.path(p), recoveryConf))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("restore the node's configuration: %w", err)
	}
	return pgdata.SyncDir(h.path(p))
}

func (h *Host) restoreConfig(p resync.Place) error {
	if err := h.finishSwap(); err != nil {
		return err
	}
	if err := h.restoreOwn(p); err != nil {
		return fmt.Errorf("put back the node's own files: %w", err)
	}
	if !h.savedConfig() {
		return h.adaptConfig(p)
	}
	names, err := h.savedNames()
	if err != nil {
		return fmt.Errorf("restore the node's configuration: %w", err)
	}
	dir, restoring := h.path(p), treeCopy{file: copyFile, link: h.linkText(p)}
	for _, n := range names {
		if n == recoveryConf {
			continue
		}
		src, dst := filepath.Join(h.savedDir(), n), filepath.Join(dir, n)
		if sameTree(src, dst, n, restoring.link) {
			continue // put back with its owner
		}
		if err := os.RemoveAll(dst); err != nil {
			return fmt.Errorf("restore the node's configuration: %w", err)
		}
		if err := restoring.copy(src, dst, n); err != nil {
			return fmt.Errorf("restore the node's configuration: %w", err)
		}
		if err := syncTree(dst); err != nil {
			return err
		}
		if err := pgdata.SyncDir(filepath.Dir(dst)); err != nil {
			return err
		}
	}
	return pgdata.SyncDir(dir)
}

// savedNames lists what is in the saved set: names at the top, and in folders that are PostgreSQL's the files
// themselves, since the rest of such a folder is not what was saved.
func (h *Host) savedNames() ([]string, error) {
	var names []string
	dir := h.savedDir()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		top, _, _ := strings.Cut(rel, "/")
		if d.IsDir() && pgdata.ServerName(top, info) {
			return nil
		}
		names = append(names, rel)
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	return names, err
}

// adaptConfig makes another node's configuration in p fit this node as far as
// it must: the port, and nothing that names the other node's directory.
func (h *Host) adaptConfig(p resync.Place) error {
	l, err := h.layout()
	if err != nil {
		return err
	}
	dir := h.path(p)
	_, text, err := autoConf(dir)
	if err != nil {
		return err
	}
	set, remove := map[string]string{}, []string{}
	if l.config != "" {
		remove = append(remove, "port") // the file outside knows the node's own
	} else {
		base, err := baseConf(filepath.Join(dir, "postgresql.conf"))
		if err != nil {
			return fail(codes.ConfigMissing, "put the node's own postgresql.conf there, or set config_file in repool.yaml",
				"no configuration of the node was saved, and none came with the copy: %w", err)
		}
		for _, name := range []string{"data_directory", "external_pid_file"} {
			if v, ok := base.Get(name); ok && v != "" && (name != "data_directory" || filepath.Clean(v) != h.home) {
				return fail(codes.ConfigMissing, "put the node's own postgresql.conf there",
					"no configuration of the node was saved, and the primary's sets %s = %s", name, v)
			}
		}
		if h.o.Port != 0 {
			set["port"] = strconv.Itoa(h.o.Port)
		}
	}
	if len(set) == 0 && len(remove) == 0 {
		return nil
	}
	return pgdata.ReplaceFile(filepath.Join(dir, "postgresql.auto.conf"), []byte(pgdata.SetConf(text, set, remove)))
}
