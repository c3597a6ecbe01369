package setup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/layout"
	"github.com/repool/repool/pcp"
)

// reloadPgpool adds the last item if Pgpool-II must reread something.
func (m *maker) reloadPgpool() {
	m.handled["reload-pending"] = m.reload
	if !m.reload {
		return
	}
	if m.o.NoReload {
		m.manual("reload", pgpoolSubject, "reload Pgpool-II: pcp_reload_config -w, or systemctl reload %s",
			layout.Here.Pgpool().PgpoolService)
		return
	}
	m.add(Item{ID: "reload", Subject: pgpoolSubject, What: "reload Pgpool-II", do: m.doReload})
	if m.facts.Pool.Pgpool.UseWatchdog {
		m.manual("reload", pgpoolSubject, "make the same changes beside every other member of the watchdog cluster "+
			"(repool setup --apply there)")
	}
}

// doReload asks over PCP, and waits until the new settings are in effect.
func (m *maker) doReload(ctx context.Context, i *Item) error {
	if err := m.checksWork(ctx); err != nil {
		return err
	}
	conf, err := m.facts.Pool.PCP.Config()
	if err != nil {
		return err
	}
	if err := m.noteRunning(ctx, i.ID, conf); err != nil {
		return err
	}
	if err := pcp.With(ctx, conf, func(c *pcp.Conn) error { return c.Reload(ctx, pcp.ScopeLocal) }); err != nil {
		return fmt.Errorf("%w; reload it by hand: systemctl reload %s", err, layout.Here.Pgpool().PgpoolService)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		pending, err := m.reloadPending(ctx, conf)
		if err == nil && !pending {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(errors.New("Pgpool-II does not run with the new settings after the reload (its log says why)"),
				err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// noteRunning records what Pgpool-II runs with, for Undo: a reload does not bring a default back when the line that
// set something is gone (seen on 4.3).
func (m *maker) noteRunning(ctx context.Context, id string, conf pcp.Config) error {
	running, err := runningSettings(ctx, conf)
	if err != nil {
		return err
	}
	e := &entry{ID: id, Running: map[string]string{}}
	for _, s := range m.settings {
		if value, known := running[s[0]]; known && !strings.Contains(s[0], "password") {
			e.Running[s[0]] = value
		}
	}
	return m.record.add(e)
}

// runningSettings are Pgpool-II's settings in effect, by name.
func runningSettings(ctx context.Context, conf pcp.Config) (map[string]string, error) {
	out := map[string]string{}
	err := pcp.With(ctx, conf, func(c *pcp.Conn) error {
		all, err := c.PoolStatus(ctx)
		for _, s := range all {
			out[s.Name] = s.Value
		}
		return err
	})
	return out, err
}

func (m *maker) reloadPending(ctx context.Context, conf pcp.Config) (pending bool, err error) {
	err = pcp.With(ctx, conf, func(c *pcp.Conn) error {
		running, err := c.PoolStatus(ctx)
		for _, s := range running {
			for _, want := range m.settings {
				if s.Name == want[0] && strings.HasSuffix(s.Name, "_command") && s.Value != want[1] {
					pending = true
				}
			}
		}
		return err
	})
	return pending, err
}

// checksWork waits until Pgpool-II's checks can log in to every node that answers
// with the new settings. Otherwise Pgpool-II would detach every node as soon as it
// is reloaded.
func (m *maker) checksWork(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for {
		f, err := check.Gather(ctx, check.Options{Loaded: m.o.Loaded, Program: m.o.Program, Timeout: m.o.Timeout})
		if err == nil {
			if err = checksFail(f); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("Pgpool-II was not reloaded, because it would detach nodes: %w", err)
		case <-time.After(300 * time.Millisecond): // a standby has to replay the new role
		}
	}
}

func checksFail(f *check.Facts) error {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		for _, l := range []check.LoginResult{n.HealthCheck, n.SRCheck} {
			if l.Failed() && !n.SQL.Refused {
				return fmt.Errorf("%s cannot log in to %s: %s", l.User, n.Subject(), l.Err)
			}
		}
	}
	return nil
}
