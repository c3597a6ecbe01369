package dbhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// maxIncludes is how deep includes may nest, as in PostgreSQL.
const maxIncludes = 10

// baseConf reads postgresql.conf with everything it includes, in order.
func baseConf(file string) (pgdata.Conf, error) { return readConf(file, 0) }

func readConf(file string, depth int) (pgdata.Conf, error) {
	if depth > maxIncludes {
		return nil, fmt.Errorf("read %s: includes nest too deep", file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	own, err := pgdata.ParseConf(string(b))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	var all pgdata.Conf
	for _, s := range own {
		files, err := included(file, s)
		if err != nil {
			return nil, err
		}
		if files == nil {
			all = append(all, s)
			continue
		}
		for _, f := range files {
			more, err := readConf(f, depth+1)
			if errors.Is(err, fs.ErrNotExist) && s.Name == "include_if_exists" {
				continue
			}
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
	}
	return all, nil
}

// included lists the files an include directive names; nil for a setting.
func included(file string, s pgdata.Setting) ([]string, error) {
	path := s.Value
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(file), path)
	}
	switch s.Name {
	case "include", "include_if_exists":
		return []string{path}, nil
	case "include_dir":
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		files := []string{}
		for _, e := range entries {
			if n := e.Name(); strings.HasSuffix(n, ".conf") && !strings.HasPrefix(n, ".") && !e.IsDir() {
				files = append(files, filepath.Join(path, n))
			}
		}
		sort.Strings(files)
		return files, nil
	}
	return nil, nil
}

// autoConf reads postgresql.auto.conf of a data directory; missing is empty.
func autoConf(dir string) (pgdata.Conf, string, error) {
	path := filepath.Join(dir, "postgresql.auto.conf")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read configuration: %w", err)
	}
	c, err := pgdata.ParseConf(string(b))
	if err != nil {
		return nil, string(b), fmt.Errorf("read %s: %w", path, err)
	}
	return c, string(b), nil
}

// effective is the configuration the server would start with when its data is
// in p, as far as files tell: postgresql.auto.conf comes last and wins.
func (h *Host) effective(p resync.Place) (pgdata.Conf, error) {
	file, err := h.configFile(p)
	if err != nil {
		return nil, err
	}
	base, err := baseConf(file)
	if err != nil {
		return nil, err
	}
	auto, _, err := autoConf(h.path(p))
	return append(base, auto...), err
}

// hotStandbyDefaults are the settings that must not be lower on a standby than
// on its primary, with PostgreSQL's defaults.
var hotStandbyDefaults = map[string]int{
	"max_connections": 100, "max_worker_processes": 8, "max_wal_senders": 10,
	"max_prepared_transactions": 0, "max_locks_per_transaction": 64,
}

func hotStandby(conf pgdata.Conf) map[string]int {
	out := map[string]int{}
	for name, def := range hotStandbyDefaults {
		out[name] = def
		if v, ok := conf.Get(name); ok {
			if n, err := strconv.ParseInt(v, 0, 32); err == nil {
				out[name] = int(n)
			}
		}
	}
	return out
}

// settingsAge is how old the settings shown by Inspect may be.
const settingsAge = 5 * time.Second

// settingsCache keeps the configuration between inspections.
type settingsCache struct {
	mu   sync.Mutex
	at   time.Time
	of   resync.Place
	seen [2]int64 // modification times of the two files themselves
	conf pgdata.Conf
	err  error
	id   string // see configID
}

// settings is effective, read again when postgresql.conf or postgresql.auto.conf
// changed, or the last reading is a few seconds old: what they include may have
// changed as well. A setting made right before a crash must count at once, or
// the node would be started with what keeps it from starting.
func (h *Host) settings(p resync.Place) (pgdata.Conf, error) {
	var seen [2]int64
	base, _ := h.configFile(p) // effective gives the error
	for i, file := range []string{base, filepath.Join(h.path(p), "postgresql.auto.conf")} {
		if st, err := os.Stat(file); err == nil {
			seen[i] = st.ModTime().UnixNano()
		}
	}
	c := &h.hot
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() || c.of != p || c.seen != seen || time.Since(c.at) > settingsAge {
		c.conf, c.err = h.effective(p)
		c.id = h.configID(p, c.conf)
		c.at, c.of, c.seen = time.Now(), p, seen
	}
	return c.conf, c.err
}
