package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// build makes and starts everything that layOut decided on. Standbys are
// copies of the primary's directory made before its first start, which is much
// quicker than a base backup each.
func (l *Lab) build(ctx context.Context) error {
	start := time.Now()
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"write password files", l.writePassfiles},
		{"copy repool", l.copyRepool},
		{"make the agents' directory of programs", l.makeHolds},
		{"make keys and certificates", l.makeTrust},
		{"make the nodes' homes", l.makeHomes},
		{"make the primary's data directory", l.makePrimary},
		{"make the primary's site", func(ctx context.Context) error { return l.siteData(ctx, l.Nodes[0]) }},
		{"make the standbys' data directories", l.copyStandbys},
		{"write the nodes' configuration", l.configureNodes},
		{"start the primary", func(ctx context.Context) error { return l.startServer(ctx, 0) }},
		{"make slots", l.makeSlots},
		{"start the standbys", l.startStandbys},
		{"start Pgpool-II", l.startPgpools},
		{"start repool", l.startRepool},
		{"see all attached and streaming", func(ctx context.Context) error { return l.WaitHealthy(ctx) }},
		{"start what runs beside the nodes", l.startBeside},
	}
	for _, s := range steps {
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		l.logf("%5.2fs %s", time.Since(start).Seconds(), s.name)
	}
	return nil
}

func (l *Lab) writePassfiles(context.Context) error {
	var pg string
	for _, role := range []string{"postgres", "repool", "repl", "pgpool", "app"} {
		pg += "*:*:*:" + role + ":" + l.Passwords[role] + "\n"
	}
	if err := l.Owner.write(l.path(".pgpass"), pg, 0o600); err != nil {
		return err
	}
	return l.Owner.write(l.path(".pcppass"), "*:*:repool:"+l.Passwords["pcp"]+"\n", 0o600)
}

// copyRepool copies the binary, since the lab's user may not be able to reach
// where it was built, and so that a new build does not change a running lab.
func (l *Lab) copyRepool(context.Context) error {
	if l.opts.Repool == "" {
		return nil
	}
	b, err := os.ReadFile(l.opts.Repool)
	if err != nil {
		return fmt.Errorf("read the repool binary (make build): %w", err)
	}
	if err := l.Owner.mkdir(l.path("bin")); err != nil {
		return err
	}
	return l.Owner.write(l.RepoolBin(), string(b), 0o755)
}

// makeHomes makes the directory of each node, with a file system of its own if the options ask for it.
func (l *Lab) makeHomes(context.Context) error {
	for _, n := range l.Nodes {
		if err := l.Owner.mkdir(n.Home); err != nil {
			return err
		}
		if l.opts.DiskMB > 0 {
			how := fmt.Sprintf("size=%dm,uid=%d,gid=%d,mode=0700", l.opts.DiskMB, l.Owner.UID, l.Owner.GID)
			if err := unix.Mount("repool-lab", n.Home, "tmpfs", 0, how); err != nil {
				return fmt.Errorf("mount a small file system on %s: %w", n.Home, err)
			}
		}
		if err := l.Owner.mkdir(filepath.Dir(n.LogFile)); err != nil {
			return err
		}
		for _, s := range l.sites() {
			if s.home == nil {
				continue
			}
			if err := s.home(l, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// makePrimary makes the primary's data directory with roles and tables in it, from a template if there is one.
func (l *Lab) makePrimary(ctx context.Context) error {
	if l.opts.Templates != nil {
		return l.opts.Templates.fill(ctx, l, l.makeCluster)
	}
	return l.makeCluster(ctx)
}

func (l *Lab) makeCluster(ctx context.Context) error {
	args := []string{"-D", l.Nodes[0].DataDir, "--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust", "-U", "postgres"}
	for _, s := range l.sites() {
		args = append(args, s.initdb...)
	}
	switch {
	case l.opts.Checksums:
		args = append(args, "--data-checksums")
	case l.Major >= 18:
		args = append(args, "--no-data-checksums")
	}
	if _, err := l.run(ctx, "initdb", args...); err != nil {
		return err
	}
	if err := l.writeNodeConfig(l.Nodes[0]); err != nil {
		return err
	}
	return l.makeRoles(ctx)
}

// makeRoles works in single-user mode, under the final settings: no server
// start is needed, and the control file then has them for the standbys.
func (l *Lab) makeRoles(ctx context.Context) error {
	if err := l.single(ctx, "postgres", l.roleStatements()); err != nil {
		return err
	}
	if err := l.single(ctx, "app", appStatements); err != nil {
		return err
	}
	if l.opts.Recovery {
		return l.single(ctx, "template1", []string{"CREATE EXTENSION pgpool_recovery"})
	}
	return nil
}

func (l *Lab) copyStandbys(ctx context.Context) error {
	g, group := errgroup.WithContext(ctx)
	for _, n := range l.Nodes[1:] {
		g.Go(func() error {
			if err := l.copyDir(group, l.Nodes[0].DataDir, n.DataDir); err != nil {
				return err
			}
			return l.siteData(group, n)
		})
	}
	return g.Wait()
}

func (l *Lab) configureNodes(context.Context) error {
	for _, n := range l.Nodes {
		if err := l.writeNodeConfig(n); err != nil {
			return err
		}
		for _, name := range sortedKeys(l.opts.RecoveryScripts) {
			if err := l.Owner.write(filepath.Join(n.DataDir, name), l.opts.RecoveryScripts[name], 0o700); err != nil {
				return err
			}
		}
		if n.ID == 0 {
			continue
		}
		if err := l.writeStandbySettings(n, l.Nodes[0]); err != nil {
			return err
		}
	}
	return nil
}

// makeSlots comes before the standbys' start: one that finds its slot missing
// asks again only after five seconds.
func (l *Lab) makeSlots(ctx context.Context) error {
	if l.opts.NoSlots {
		return nil
	}
	for _, n := range l.Nodes[1:] {
		if err := l.Exec(ctx, 0, "SELECT pg_create_physical_replication_slot($1, true)", n.Slot()); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) startStandbys(ctx context.Context) error {
	g, group := errgroup.WithContext(ctx)
	for _, n := range l.Nodes[1:] {
		g.Go(func() error { return l.startServer(group, n.ID) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return l.WaitStreaming(ctx)
}

func (l *Lab) startPgpools(ctx context.Context) error {
	for _, p := range l.Pgpools {
		if err := l.writePgpool(p); err != nil {
			return err
		}
	}
	g, group := errgroup.WithContext(ctx)
	for _, p := range l.Pgpools {
		g.Go(func() error { return l.StartPgpool(group, p.ID) })
	}
	return g.Wait()
}

func (l *Lab) startRepool(ctx context.Context) error {
	if l.opts.Repool == "" {
		return nil
	}
	for _, p := range l.Pgpools {
		if err := l.writeRepoolConfig(p); err != nil {
			return err
		}
	}
	if l.opts.Hosts {
		for _, n := range l.Nodes {
			if err := errors.Join(l.writeAgentConfig(n), l.StartSSHD(ctx, n.ID)); err != nil {
				return err
			}
		}
	}
	if !l.opts.Controller {
		return nil
	}
	if l.opts.Agents != AgentsInProcess {
		for _, n := range l.Nodes {
			if err := l.StartAgent(ctx, n.ID); err != nil {
				return err
			}
		}
	}
	for _, p := range l.Pgpools {
		if err := l.StartController(ctx, p.ID); err != nil {
			return err
		}
	}
	return nil
}

// startServer starts a node by pg_ctl in either layout, with the options that
// pg_ctlcluster would give: pg_ctlcluster itself takes two seconds for it.
func (l *Lab) startServer(ctx context.Context, i int) error {
	n := l.Nodes[i]
	args := []string{"start", "-s", "-w", "-t", "60", "-D", n.DataDir, "-l", l.startLog(n)}
	if options := l.startOptions(n); options != "" {
		args = append(args, "-o", options)
	}
	l.waitNoZombie(i)
	if err := l.runLogged(ctx, nodeHost(i), l.startLog(n), "pg_ctl", args...); err != nil {
		said, _ := os.ReadFile(n.LogFile)
		return fmt.Errorf("start node %d: %w\n%s", i, err, lastLines(string(said), 10))
	}
	return nil
}

// startLog gets what a server says before its own log is open.
func (l *Lab) startLog(n Node) string { return filepath.Join(filepath.Dir(n.LogFile), "start.log") }
