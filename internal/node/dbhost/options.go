package dbhost

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/node/resync"
)

// Options say which node a Host is for and how to reach its programs. All of
// it comes from the agent's own configuration.
type Options struct {
	Node    topology.NodeID
	DataDir string
	// ConfigFile is postgresql.conf where it is outside the data directory.
	// Empty: found in Debian's configuration tree, or in the data directory.
	ConfigFile string
	BinDir     string // empty: where package layout finds them
	WorkDir    string // empty: <data directory>.repool
	VaultDir   string // empty: <work directory>/vault
	// Database reads facts and is pg_rewind's role on the upstream;
	// Replication is the role of standbys and of base backups.
	Database    postgres.Login
	Replication postgres.Login
	Port        int    // of this node's server
	Host        string // for local connections; empty: the server's socket
	// Env is added to the environment of every program.
	Env     map[string]string
	MaxRate string // of a base backup, as pg_basebackup -r takes it; empty: none
	// Compression of a base backup on its way, one of postgres.Compressions; empty: none.
	Compression string
	Headroom    uint64 // bytes to keep free on the data directory's file system
	// Custom gives the operator's resync command with its placeholders expanded;
	// nil: there is none.
	Custom func(topology.RunRequest) string
	// ReadOnly: for Inspect and the vault's reports alone; New makes nothing.
	ReadOnly bool
	Log      *slog.Logger
}

// Host is one node's data directory, server and programs on this machine.
type Host struct {
	o        Options
	home     string // real path of the data directory
	workDir  string
	log      *slog.Logger
	children *journal.Children

	kept keptCache
	// emptying has room for one that empties the trash.
	emptying chan struct{}

	sizes sizeCache
	hot   settingsCache
	busy  busyCount
	conns postgres.Keeper
	place layoutCache

	started startedCache
	// firstPages and checkpoints spare reading the same WAL at each look.
	firstPages  pgdata.FirstPages
	checkpoints *checkpointSearches
	wg          sync.WaitGroup
	// cut is asked before each change that is made of several; true ends there. Nil but in tests.
	cut func() bool
	// isMount says whether a folder is a mount point: pgdata.IsMountPoint but in tests.
	isMount func(dir string) (bool, error)
}

var _ resync.Host = (*Host)(nil)

// New looks at nothing of the server yet: the data directory may be missing.
// It makes the work directory, which must be on the data directory's file system.
func New(o Options) (*Host, error) {
	if o.DataDir == "" || !filepath.IsAbs(o.DataDir) {
		return nil, fmt.Errorf("open node %s: the data directory must be an absolute path, got %q", o.Node, o.DataDir)
	}
	home, err := realPath(o.DataDir)
	if err != nil {
		return nil, fmt.Errorf("open node %s: %w", o.Node, err)
	}
	h := &Host{o: o, home: home, workDir: o.WorkDir, log: o.Log, isMount: pgdata.IsMountPoint,
		checkpoints: newCheckpointSearches(), emptying: make(chan struct{}, 1)}
	if h.workDir == "" {
		h.workDir = home + ".repool"
	}
	if h.o.VaultDir == "" {
		h.o.VaultDir = filepath.Join(h.workDir, "vault")
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.log = h.log.With("node", int(o.Node))
	if o.ReadOnly {
		h.children = journal.OpenChildrenReadOnly(h.workDir)
	} else if h.children, err = journal.OpenChildren(h.workDir); err != nil {
		return nil, fmt.Errorf("open node %s: %w", o.Node, err)
	} else if err := h.settle(); err != nil {
		h.log.Warn("what lies outside the data directory cannot be put in order", "err", err)
	}
	return h, nil
}

// Close waits for background work of inspections. A search of the WAL is ended.
func (h *Host) Close() {
	h.checkpoints.close()
	h.conns.Close()
	h.wg.Wait()
}

// WorkDir is the folder with everything of ours about this node.
func (h *Host) WorkDir() string { return h.workDir }

// DataDir is the real path of the data directory, symlinks resolved.
func (h *Host) DataDir() string { return h.home }

// path is where a place is.
func (h *Host) path(p resync.Place) string {
	switch p {
	case resync.Home:
		return h.home
	case resync.InRepair, resync.New, resync.Old:
		return filepath.Join(h.placesDir(), string(p))
	}
	return ""
}

// placeOfData is where the node's data is: Home, or InRepair during a repair.
func (h *Host) placeOfData() (resync.Place, error) {
	for _, p := range []resync.Place{resync.Home, resync.InRepair} {
		there, err := h.Exists(p)
		if err != nil || there {
			return p, err
		}
	}
	return resync.Home, nil
}

// major is the server's major version, by the data directory if there is one,
// else by the copy that a base backup just made.
func (h *Host) major() (int, error) {
	var first error
	for _, p := range []resync.Place{resync.Home, resync.InRepair, resync.New, resync.Old} {
		v, err := pgdata.MajorVersion(h.path(p))
		if err == nil {
			return v, nil
		}
		if first == nil || errors.Is(first, fs.ErrNotExist) {
			first = err
		}
	}
	return 0, first
}

// realPath resolves a data directory that is a symlink, also one that points
// to a directory which has been moved away for a repair.
func realPath(path string) (string, error) {
	for range 40 {
		target, err := os.Readlink(path)
		if err != nil {
			break // no symlink (or nothing there)
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("find the data directory's parent folder: %w", err)
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}
