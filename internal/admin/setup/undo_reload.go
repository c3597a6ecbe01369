package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
	"github.com/repool/repool/pcp"
)

// reloadBefore has Pgpool-II run with the restored files, unless its health check could not log in with them: it would
// detach every node. A setting whose line is gone keeps its value through a reload, so each is set for that reload to
// what it was.
func (u *undoer) reloadBefore(ctx context.Context, _ *Item) error {
	if err := u.checksWithout(ctx); err != nil {
		return err
	}
	conf, err := u.facts.Pool.PCP.Config()
	if err != nil {
		return err
	}
	running, err := runningSettings(ctx, conf)
	if err != nil {
		return fmt.Errorf("%w; restart Pgpool-II by hand, and run setup --undo --no-reload", err)
	}
	file, err := pgpoolconf.Load(u.facts.Pool.PgpoolConf)
	if err != nil {
		return err
	}
	entries := u.entries("reload")
	edit, want := file.Edit(), map[string]string{}
	for _, e := range entries { // the oldest has the last word
		for name, value := range e.Running {
			want[name] = value
		}
	}
	for name, value := range want {
		if _, set := file.Lookup(name); set || running[name] == value {
			delete(want, name)
			continue
		}
		if err := edit.Set(name, value); err != nil {
			return err
		}
	}
	for _, name := range check.HookNames {
		if have, set := file.Lookup(name); set {
			want[name] = have.Value
		}
	}
	edits := edit.Edits()
	for _, e := range edits {
		if err := pgdata.ReplaceFile(e.Path, []byte(e.After)); err != nil {
			return err
		}
	}
	err = u.reloadTo(ctx, conf, want)
	for _, e := range edits {
		err = errors.Join(err, pgdata.ReplaceFile(e.Path, []byte(e.Before)))
	}
	if err != nil {
		return err
	}
	return u.drop(entries)
}

// checksWithout is checksWork for the files from before, which may have had no health check.
func (u *undoer) checksWithout(ctx context.Context) error {
	f, err := check.Gather(ctx, check.Options{Loaded: u.o.Loaded, Program: u.o.Program, Timeout: u.o.Timeout})
	if err != nil {
		return err
	}
	for _, b := range f.Pool.Pgpool.Backends {
		for i := range f.Nodes {
			n := &f.Nodes[i]
			if int(n.Conf.ID) == b.ID && b.HealthCheck.Period > 0 && n.HealthCheck.Tried && n.HealthCheck.Err != "" &&
				!n.SQL.Refused {
				return fmt.Errorf("Pgpool-II was not reloaded, because it would detach nodes: %s cannot log in to %s: "+
					"%s", n.HealthCheck.User, n.Subject(), n.HealthCheck.Err)
			}
		}
	}
	return nil
}

// reloadTo reloads Pgpool-II and waits until it runs with these settings.
func (u *undoer) reloadTo(ctx context.Context, conf pcp.Config, want map[string]string) error {
	if err := pcp.With(ctx, conf, func(c *pcp.Conn) error { return c.Reload(ctx, pcp.ScopeLocal) }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		var pending []string
		running, err := runningSettings(ctx, conf)
		for name, value := range want {
			if have, known := running[name]; known && have != value {
				pending = append(pending, name)
			}
		}
		if err == nil && len(pending) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			slices.Sort(pending)
			return errors.Join(fmt.Errorf("Pgpool-II still runs with other values of %s after the reload: restart it, "+
				"and run setup --undo --no-reload", strings.Join(pending, ", ")), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
