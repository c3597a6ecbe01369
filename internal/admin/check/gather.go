package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
	"github.com/repool/repool/internal/show/control"
)

// Options say what to gather from.
type Options struct {
	// Loaded is repool.yaml, or the defaults.
	Loaded *config.Loaded
	// Inspect asks a node's agent in another process; nil: such nodes are judged by
	// SQL alone.
	Inspect func(ctx context.Context, n config.NodeConf) (topology.Inspection, error)
	// Program is the path of repool in remedies; empty: that of this program.
	Program string
	// Timeout bounds each query; zero: 5 s.
	Timeout time.Duration
}

// Gather collects all facts in parallel. Only an unreadable pgpool.conf is an
// error; any other failure is a fact.
func Gather(ctx context.Context, o Options) (*Facts, error) {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	pool, err := o.Loaded.ResolveForHook()
	if err != nil {
		return nil, err
	}
	f := &Facts{Taken: time.Now(), Pool: pool, Nodes: make([]NodeFacts, len(pool.Nodes)), Program: o.Program}
	if f.Program == "" {
		if f.Program, err = ownProgram(); err != nil {
			return nil, err
		}
	}
	if _, err := o.Loaded.Resolve(); err != nil {
		f.ConfigErr = err.Error()
	}
	if f.File, err = pgpoolconf.Load(pool.PgpoolConf); err != nil {
		return nil, err
	}
	f.Pgpool.Version = installedVersion(ctx, o.Timeout)
	pool.Pgpool, _ = f.File.Pool(f.Pgpool.Version) // a check of its own names wrong values
	g := gatherer{o: o, pool: pool, file: f.File}
	var wg sync.WaitGroup
	each := func(get func(context.Context)) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, o.Timeout)
			defer cancel()
			get(ctx)
		})
	}
	for i, conf := range pool.Nodes {
		n := &f.Nodes[i]
		n.Conf = conf
		each(func(ctx context.Context) { n.SQL = g.sql(ctx, conf); g.hba(ctx, n) })
		each(func(ctx context.Context) { n.Replication = g.replication(ctx, conf) })
		each(func(ctx context.Context) { n.HealthCheck = g.pgpoolUser(ctx, conf, "health_check") })
		each(func(ctx context.Context) { n.SRCheck = g.pgpoolUser(ctx, conf, "sr_check") })
		each(func(ctx context.Context) { n.Addresses = addresses(ctx, conf.Host) })
		each(func(ctx context.Context) { n.Local, n.LocalErr = g.local(ctx, conf) })
	}
	each(func(ctx context.Context) { g.pgpool(ctx, &f.Pgpool) })
	each(func(ctx context.Context) { f.Controller = controller(ctx, pool.Controller.Socket) })
	wg.Wait()
	g.hooks(ctx, &f.Pgpool)
	f.Files = g.files()
	if text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_retries2"); err == nil {
		f.TCPRetries, _ = strconv.Atoi(strings.TrimSpace(string(text))) // zero: unknown
	}
	return f, nil
}

// ownProgram is where this program is, whatever its name.
func ownProgram() (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("find this program's own path: %w", err)
	}
	return path, nil
}

// gatherer holds what all queries need.
type gatherer struct {
	o    Options
	pool *config.Pool
	file *pgpoolconf.File
}

// addresses looks up where connections from a host come from.
func addresses(ctx context.Context, host string) []netip.Addr {
	if host == "" || strings.HasPrefix(host, "/") {
		return nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found
}

func controller(ctx context.Context, socket string) ControllerFacts {
	c := ControllerFacts{Socket: socket}
	st, err := control.NewClient(socket).Status(ctx)
	switch {
	case err == nil:
		c.Running, c.Acting, c.Why = true, st.Acting, st.Why
	case errors.Is(err, control.ErrNotRunning):
		c.Why = "nothing answers on " + socket
	default:
		c.Why = err.Error()
	}
	return c
}
