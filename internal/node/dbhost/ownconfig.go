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

// debianPatterns: in Debian's layout the rest lies outside the data directory.
var debianPatterns = []string{"postgresql.auto.conf", "server.crt", "server.key",
	"recovery_1st_stage*", "recovery_2nd_stage*", "pgpool_remote_start"}

// fileSettings name files that the server reads besides postgresql.conf.
var fileSettings = []string{"hba_file", "ident_file", "ssl_ca_file", "ssl_cert_file", "ssl_crl_file",
	"ssl_crl_dir", "ssl_dh_params_file", "ssl_key_file", "krb_server_keyfile"}

// savedDir is where the node's own configuration is kept.
func (h *Host) savedDir() string { return filepath.Join(h.workDir, "config") }

// savedConfig says whether there is a copy.
func (h *Host) savedConfig() bool {
	_, err := os.Stat(h.savedDir())
	return err == nil
}

// SaveConfig keeps a copy of the node's own configuration files; the whole set
// is replaced at once. From InRepair it keeps an older copy: what lies there may
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
	for _, n := range names {
		if err := copyTree(filepath.Join(h.path(from), n), filepath.Join(tmp, n)); err != nil {
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
		if st, err := os.Stat(filepath.Join(dir, n)); err == nil && (st.Mode().IsRegular() || st.IsDir()) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

// namedInConf lists files and folders inside dir that postgresql.conf
// includes or names. One level is enough: what an included file includes is
// found when it lies in an included folder.
func namedInConf(dir string) []string {
	b, err := os.ReadFile(filepath.Join(dir, "postgresql.conf"))
	if err != nil {
		return nil
	}
	conf, err := pgdata.ParseConf(string(b))
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range conf {
		if !strings.HasPrefix(s.Name, "include") && !slices.Contains(fileSettings, s.Name) {
			continue
		}
		rel := s.Value
		if filepath.IsAbs(rel) {
			if rel, err = filepath.Rel(dir, rel); err != nil {
				continue
			}
		}
		rel = filepath.Clean(rel)
		if filepath.IsLocal(rel) && rel != "." {
			names = append(names, rel)
		}
	}
	return names
}

// RestoreConfig writes the saved configuration into p. A folder of it becomes
// exactly what was saved: a stray file in conf.d of another node would count.
// Without a saved copy the files in p stay, with the node's own port set.
func (h *Host) RestoreConfig(p resync.Place) error {
	if err := h.finishSwap(); err != nil {
		return err
	}
	if !h.savedConfig() {
		return h.adaptConfig(p)
	}
	dir := h.path(p)
	entries, err := os.ReadDir(h.savedDir())
	if err != nil {
		return fmt.Errorf("restore the node's configuration: %w", err)
	}
	for _, e := range entries {
		dst := filepath.Join(dir, e.Name())
		if err := os.RemoveAll(dst); err != nil {
			return fmt.Errorf("restore the node's configuration: %w", err)
		}
		if err := copyTree(filepath.Join(h.savedDir(), e.Name()), dst); err != nil {
			return fmt.Errorf("restore the node's configuration: %w", err)
		}
		if err := syncTree(dst); err != nil {
			return err
		}
	}
	return pgdata.SyncDir(dir)
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
