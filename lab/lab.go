package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Lab is one pool on this machine. Its methods may be called from several
// goroutines, and from several processes that opened the same directory.
type Lab struct {
	state
	opts Options

	mu       sync.Mutex
	children map[string]*child
	stops    []func()
	kept     map[int]*keptConn // by node

	delayMu sync.Mutex
	delays  map[string]*relay // by host
}

// state is lab.json: all that another process needs to work with the lab.
type state struct {
	Dir       string   `json:"dir"`
	Sockets   string   `json:"sockets"`
	BinDir    string   `json:"bin_dir"`
	PgpoolBin string   `json:"pgpool_bin"`
	Major     int      `json:"major"`
	Owner     owner    `json:"owner"`
	Nodes     []Node   `json:"nodes"`
	Pgpools   []Pgpool `json:"pgpools"`
	WebAddr   string   `json:"web_addr,omitempty"`
	// Net begins the names of the lab's network namespaces; empty: it has none.
	Net       string            `json:"net,omitempty"`
	Passwords map[string]string `json:"passwords"`
	Options   Options           `json:"options"`
}

// Node is one PostgreSQL server of the lab.
type Node struct {
	ID   int    `json:"id"`
	Name string `json:"name"` // also its application_name and, in the Debian layout, its cluster name
	Host string `json:"host"`
	Port int    `json:"port"`
	// Home holds everything of this node; the data directory is one below it,
	// so that a sibling beside it is on the same file system.
	Home    string `json:"home"`
	DataDir string `json:"data_dir"`
	// ConfigDir is where postgresql.conf and pg_hba.conf are: the data
	// directory itself in the plain layout.
	ConfigDir string `json:"config_dir"`
	LogFile   string `json:"log_file"`
}

// ConfigFile is the node's postgresql.conf.
func (n Node) ConfigFile() string { return filepath.Join(n.ConfigDir, "postgresql.conf") }

// WorkDir is where repool keeps the node's journal and vault, and its data
// directory while that is under repair.
func (n Node) WorkDir() string { return n.DataDir + ".repool" }

// Slot is the name of the replication slot that the node uses on its upstream.
func (n Node) Slot() string { return "repool_" + n.Name }

// Pgpool is one Pgpool-II of the lab.
type Pgpool struct {
	ID      int    `json:"id"`
	Host    string `json:"host"`
	Port    int    `json:"port"`
	PCPPort int    `json:"pcp_port"`
	// WDPort and HeartbeatPort are used by a watchdog only.
	WDPort        int    `json:"wd_port"`
	HeartbeatPort int    `json:"heartbeat_port"`
	Dir           string `json:"dir"`
	Conf          string `json:"conf"`
	LogFile       string `json:"log_file"`
	// RepoolConf is the repool.yaml of the controller beside it.
	RepoolConf string `json:"repool_conf"`
}

// Up makes a lab and returns when every node is attached and streaming. On an
// error nothing is left behind, unless Options.Keep is set.
func Up(ctx context.Context, o Options) (*Lab, error) {
	if err := o.fill(); err != nil {
		return nil, fmt.Errorf("lab options: %w", err)
	}
	l, err := prepare(o)
	if err != nil {
		return nil, err
	}
	l.adoptOrphans()
	if err := l.build(ctx); err != nil {
		err = fmt.Errorf("bring the lab up: %w", err)
		return nil, errors.Join(err, l.Down(context.WithoutCancel(ctx)))
	}
	return l, nil
}

// prepare makes the directory, finds ports and saves lab.json.
func prepare(o Options) (*Lab, error) {
	l := &Lab{opts: o, children: map[string]*child{}}
	var err error
	if l.Owner, err = findOwner(); err != nil {
		return nil, err
	}
	if l.BinDir = o.BinDir; l.BinDir == "" {
		if l.BinDir, err = findBinDir(); err != nil {
			return nil, err
		}
	}
	if l.Major, err = majorVersion(l.BinDir); err != nil {
		return nil, err
	}
	if l.PgpoolBin, err = findPgpool(); err != nil {
		return nil, err
	}
	if err := l.makeDir(); err != nil {
		return nil, err
	}
	err = errors.Join(l.layOut(), l.nameNetwork())
	if err == nil {
		err = l.save()
	}
	if err == nil {
		err = l.makeNetwork()
	}
	if err != nil {
		return nil, errors.Join(err, l.Down(context.Background()))
	}
	return l, nil
}

// makeDir makes the root, and a short place for unix sockets.
func (l *Lab) makeDir() error {
	dir := l.opts.Dir
	if dir == "" {
		made, err := os.MkdirTemp("", "repool-")
		if err != nil {
			return fmt.Errorf("make the lab's directory: %w", err)
		}
		dir = made
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("make the lab's directory: %w", err)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("the lab's directory %s is not empty: choose another, or take down the lab in it", dir)
	}
	if err := l.Owner.mkdir(dir); err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // /proc shows real paths
		return fmt.Errorf("find the lab's directory: %w", err)
	}
	l.Dir, l.Sockets = dir, filepath.Join(dir, "s")
	if len(l.Sockets) > 70 { // the kernel's limit for a socket's path is 107 bytes
		if l.Sockets, err = os.MkdirTemp("/tmp", "repool-s-"); err != nil {
			return fmt.Errorf("make a short directory for sockets: %w", err)
		}
	}
	for _, d := range []string{l.Sockets, l.path("run"), l.path("log"), l.path("controller")} {
		if err := l.Owner.mkdir(d); err != nil {
			return err
		}
	}
	if err := os.Chmod(l.Dir, 0o700); err != nil {
		return fmt.Errorf("make the lab's directory private: %w", err)
	}
	return l.Owner.canEnter(l.Dir)
}

// Open finds the lab in dir again. It does not matter whether it runs.
func Open(dir string) (*Lab, error) {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	b, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	if err != nil {
		return nil, fmt.Errorf("open the lab in %s: %w", dir, err)
	}
	l := &Lab{children: map[string]*child{}}
	if err := json.Unmarshal(b, &l.state); err != nil {
		return nil, fmt.Errorf("read %s/lab.json: %w", dir, err)
	}
	if l.Dir != dir {
		return nil, fmt.Errorf("open the lab in %s: its lab.json is of a lab in %s", dir, l.Dir)
	}
	l.opts = l.state.Options
	return l, l.opts.fill()
}

func (l *Lab) save() error {
	l.state.Options = l.opts
	b, err := json.MarshalIndent(l.state, "", "  ")
	if err != nil {
		return fmt.Errorf("save the lab's state: %w", err)
	}
	return l.Owner.write(l.path("lab.json"), string(b)+"\n", 0o600)
}

// SetEnv adds to the environment of repool processes started from now on; an
// empty value takes the variable away.
func (l *Lab) SetEnv(key, value string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	env := map[string]string{}
	for k, v := range l.opts.Env {
		env[k] = v
	}
	if env[key] = value; value == "" {
		delete(env, key)
	}
	l.opts.Env = env
	return l.save()
}

// RepoolConf is the path of the repool.yaml beside the first Pgpool-II.
func (l *Lab) RepoolConf() string { return l.Pgpools[0].RepoolConf }

// RepoolBin is the lab's own copy of the repool binary.
func (l *Lab) RepoolBin() string { return l.path("bin", "repool") }

func (l *Lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.Dir}, parts...)...)
}

func (l *Lab) logf(format string, args ...any) {
	fmt.Fprintf(l.opts.Log, "lab: "+strings.TrimSuffix(format, "\n")+"\n", args...)
}
