package dbhost

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// maxConfigFile is how much of a configuration file counts.
const maxConfigFile = 1 << 20

// configID is a digest of what the server in p would read before it opens its
// data, as far as files tell: the configuration with all it includes and names,
// and owner and mode of the directory. A server that refused to start because
// of one of these is worth another try when the digest changes.
func (h *Host) configID(p resync.Place, conf pgdata.Conf) string {
	dir := h.path(p)
	var files []string
	if file, err := h.configFile(p); err == nil {
		files = append(confFiles(file, 0), filepath.Join(filepath.Dir(file), "pg_hba.conf"),
			filepath.Join(filepath.Dir(file), "pg_ident.conf"))
	}
	files = append(files, filepath.Join(dir, "postgresql.auto.conf"), filepath.Join(dir, recoveryConf))
	for _, name := range fileSettings {
		if v, ok := conf.Get(name); ok && v != "" {
			if !filepath.IsAbs(v) {
				v = filepath.Join(dir, v)
			}
			files = append(files, v)
		}
	}
	sum := sha256.New()
	if st, err := os.Stat(dir); err == nil {
		fmt.Fprintf(sum, "directory %o %d\n", st.Mode(), owner(st))
	}
	slices.Sort(files)
	for _, f := range slices.Compact(files) {
		addFile(sum, f)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// addFile adds a file's content, or that it cannot be read, and its mode.
func addFile(to io.Writer, path string) {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		fmt.Fprintf(to, "%q no file\n", path)
		return
	}
	fmt.Fprintf(to, "%q %o %d %d\n", path, st.Mode(), owner(st), st.Size())
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = io.Copy(to, io.LimitReader(f, maxConfigFile)) // what cannot be read has no content
}

// confFiles lists a configuration file and what it includes, as far as they can
// be read.
func confFiles(file string, depth int) []string {
	files := []string{file}
	b, err := os.ReadFile(file)
	if err != nil || depth > maxIncludes {
		return files
	}
	conf, err := pgdata.ParseConf(string(b))
	if err != nil {
		return files
	}
	for _, s := range conf {
		more, err := included(file, s)
		if err != nil {
			continue
		}
		for _, f := range more {
			files = append(files, confFiles(f, depth+1)...)
		}
	}
	return files
}

// configID is that of the settings read last.
func (c *settingsCache) configID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// owner is the number of a file's owner.
func owner(info os.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return 0
}

// fileThere says whether path is there, whatever it is.
func fileThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
