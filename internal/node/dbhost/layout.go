package dbhost

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/repool/repool/internal/codes"
	installed "github.com/repool/repool/internal/layout"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// layout says where a node's configuration is and what starts its server.
type layout struct {
	// config is postgresql.conf outside the data directory; empty in the plain
	// layout, where it is inside.
	config string
	// version, cluster and root name the cluster for pg_ctlcluster; empty when
	// the configuration is not in Debian's tree.
	version, cluster, root string
}

// debian says whether pg_ctlcluster manages the node.
func (l layout) debian() bool { return l.cluster != "" }

// debianRoot is where Debian keeps the configuration of its clusters.
const debianRoot = "/etc/postgresql"

// pgCtlCluster is Debian's program for one cluster.
const pgCtlCluster = "/usr/bin/pg_ctlcluster"

// confRoot is Debian's configuration tree, or what PG_CLUSTER_CONF_ROOT says.
func (h *Host) confRoot() string {
	if r := h.o.Env["PG_CLUSTER_CONF_ROOT"]; r != "" {
		return r
	}
	if r := os.Getenv("PG_CLUSTER_CONF_ROOT"); r != "" {
		return r
	}
	return debianRoot
}

// layoutFor is how long a layout that was found is believed: going through every
// cluster's configuration once a second would be most of an idle agent's work.
const layoutFor = 10 * time.Second

// layoutCache is the layout found last.
type layoutCache struct {
	mu    sync.Mutex
	found layout
	until time.Time
}

// layout finds the node's layout. It is looked up again after a while, since a
// data directory may come and go.
func (h *Host) layout() (layout, error) {
	if h.o.ConfigFile != "" {
		return h.debianCluster(h.o.ConfigFile), nil
	}
	h.place.mu.Lock()
	defer h.place.mu.Unlock()
	if time.Now().Before(h.place.until) {
		return h.place.found, nil
	}
	l, err := h.findLayout()
	if err == nil {
		h.place.found, h.place.until = l, time.Now().Add(layoutFor)
	}
	return l, err
}

func (h *Host) findLayout() (layout, error) {
	files, err := filepath.Glob(filepath.Join(h.confRoot(), "*", "*", "postgresql.conf"))
	if err != nil {
		return layout{}, fmt.Errorf("look for the cluster in %s: %w", h.confRoot(), err)
	}
	for _, f := range files {
		if h.isOurs(f) {
			return h.debianCluster(f), nil
		}
	}
	return layout{}, nil
}

// isOurs says whether that postgresql.conf names our data directory.
func (h *Host) isOurs(file string) bool {
	b, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	conf, err := pgdata.ParseConf(string(b))
	if err != nil {
		return false
	}
	dir, ok := conf.Get("data_directory")
	if !ok {
		return false
	}
	real, err := realPath(dir)
	return err == nil && real == h.home
}

var debianVersion = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// debianCluster reads version and cluster name from <root>/<version>/<cluster>/postgresql.conf.
func (h *Host) debianCluster(file string) layout {
	l := layout{config: file}
	dir := filepath.Dir(file)
	version := filepath.Base(filepath.Dir(dir))
	if _, err := os.Stat(pgCtlCluster); err != nil || !debianVersion.MatchString(version) ||
		filepath.Base(file) != "postgresql.conf" {
		return l
	}
	l.version, l.cluster, l.root = version, filepath.Base(dir), filepath.Dir(filepath.Dir(dir))
	return l
}

// configFile is the node's postgresql.conf when its data is in p.
func (h *Host) configFile(p resync.Place) (string, error) {
	l, err := h.layout()
	if err != nil {
		return "", err
	}
	if l.config != "" {
		return l.config, nil
	}
	return filepath.Join(h.path(p), "postgresql.conf"), nil
}

// binDir is where PostgreSQL's programs of the node's major version are.
func (h *Host) binDir() (string, error) {
	if h.o.BinDir != "" {
		return h.o.BinDir, nil
	}
	major, err := h.major()
	if err != nil {
		l, lerr := h.layout()
		if lerr != nil || l.version == "" {
			return onlyBinDir(err)
		}
		if major, lerr = strconv.Atoi(l.version); lerr != nil {
			return onlyBinDir(err)
		}
	}
	dir := installed.Here.PostgresBin(major)
	if dir == "" {
		return "", fail(codes.Internal, "set bin_directory of the node in repool.yaml",
			"find PostgreSQL %d's programs: they are in no known place", major)
	}
	return dir, nil
}

// onlyBinDir is the guess for a node of which nothing is left; it is only
// sound when one version is installed.
func onlyBinDir(cause error) (string, error) {
	all := installed.Here.Postgres()
	if len(all) != 1 {
		return "", fail(codes.Internal, "set bin_directory of the node in repool.yaml",
			"find PostgreSQL's programs: the data directory tells no version, and %d versions are installed: %w",
			len(all), cause)
	}
	return all[0].Bin, nil
}
