package pcp

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
)

// contractPool is what the contract runs against: a pool without watchdog whose
// one node is the primary, attached, with health and streaming checks each second.
type contractPool struct {
	tcp, unix Config
	nodePort  int
}

// contract is what this package relies on in a Pgpool-II 4.3. It runs against a
// real one, and against the fake, which it keeps honest. It stops the pool.
func contract(t *testing.T, p contractPool) {
	t.Run("login", func(t *testing.T) { contractLogin(t, p) })
	t.Run("questions", func(t *testing.T) { contractQuestions(t, p) })
	t.Run("refusals", func(t *testing.T) { contractRefusals(t, p) })
	t.Run("detach and attach", func(t *testing.T) { contractCycle(t, p) })
	t.Run("settings", func(t *testing.T) { contractSettings(t, p) })
	t.Run("stop", func(t *testing.T) { contractStop(t, p) })
}

// ask is With for one answer.
func ask[T any](t *testing.T, cfg Config, f func(*Conn, context.Context) (T, error)) T {
	t.Helper()
	var answer T
	err := With(t.Context(), cfg, func(c *Conn) (err error) { answer, err = f(c, t.Context()); return err })
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func tell(t *testing.T, cfg Config, f func(*Conn) error) {
	t.Helper()
	if err := With(t.Context(), cfg, f); err != nil {
		t.Fatal(err)
	}
}

// until asks again and again, on a new connection each time as one should, for
// at most half a minute, since build machines can be slow.
func until(t *testing.T, what string, ok func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !ok(ctx) {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func contractLogin(t *testing.T, p contractPool) {
	hashed := p.tcp
	hashed.Password, hashed.PasswordHash = "", md5Hex([]byte(p.tcp.Password))
	for name, cfg := range map[string]Config{"tcp": p.tcp, "unix socket": p.unix, "hash of pcp.conf": hashed} {
		if n := ask(t, cfg, (*Conn).NodeCount); n != 1 {
			t.Errorf("%s: %d nodes", name, n)
		}
	}
	wrong, unknown, twice := p.tcp, p.unix, p.tcp
	wrong.Password, unknown.User = "guess", "nobody"
	twice.Password, twice.PasswordHash = "", md5Hex([]byte(hashed.PasswordHash))
	for name, cfg := range map[string]Config{"wrong password": wrong, "unknown user": unknown, "wrong hash": twice} {
		_, err := Dial(t.Context(), cfg)
		var server *ServerError
		if !errors.Is(err, ErrAuth) || !errors.As(err, &server) || !server.Fatal() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func contractQuestions(t *testing.T, p contractPool) {
	tell(t, p.tcp, func(c *Conn) error {
		n, err := c.NodeInfo(t.Context(), 0)
		if err != nil {
			return err
		}
		if n.ID != 0 || n.Host != "127.0.0.1" || n.Port != p.nodePort || !n.Attached() || n.Quarantine {
			t.Errorf("node info: %+v", n)
		}
		if n.Role != RolePrimary || n.PgRole != "primary" || n.PgStatus != "up" || n.Weight != 1 || n.DelayUnknown {
			t.Errorf("node info: %+v", n)
		}
		if age := time.Since(n.LastStatusChange); age < -time.Minute || age > 10*time.Minute {
			t.Errorf("status changed at %v", n.LastStatusChange)
		}
		all, err := c.Nodes(t.Context())
		if err != nil || len(all) != 1 || all[0].Port != n.Port || all[0].Role != n.Role {
			t.Errorf("all nodes: %+v, %v", all, err)
		}
		h, err := c.HealthStats(t.Context(), 0)
		if err != nil || !h.Attached() || h.Role != "primary" || h.Port != p.nodePort || h.Total < 1 || h.Success < 1 {
			t.Errorf("health stats: %+v, %v", h, err)
		}
		if since := h.LastCheck.Sub(n.LastStatusChange); since < -time.Minute || since > time.Hour {
			t.Errorf("last health check at %v, last change at %v", h.LastCheck, n.LastStatusChange)
		}
		return nil
	})
	tell(t, p.unix, func(c *Conn) error {
		pids, err := c.ProcessIDs(t.Context())
		if err != nil || len(pids) != 2 {
			t.Fatalf("processes: %v, %v", pids, err)
		}
		all, err := c.Processes(t.Context())
		if err != nil || len(all) != 2 || all[0].PID != pids[0] || all[0].Started.IsZero() || all[0].Connected {
			t.Errorf("process info: %+v, %v", all, err)
		}
		one, err := c.Process(t.Context(), pids[1])
		if err != nil || len(one) != 1 || one[0].PID != pids[1] || one[0].Status == "" {
			t.Errorf("process info of %d: %+v, %v", pids[1], one, err)
		}
		return err
	})
	settings := map[string]string{}
	for _, s := range ask(t, p.tcp, (*Conn).PoolStatus) {
		settings[s.Name] = s.Value
	}
	if settings["pcp_port"] != strconv.Itoa(p.tcp.Port) || settings["backend_port0"] != strconv.Itoa(p.nodePort) ||
		settings["use_watchdog"] != "0" {
		t.Errorf("pool status: %v", settings)
	}
}

// contractRefusals asks all of it on one connection: an ERROR ends a command, a
// FATAL ends the connection.
func contractRefusals(t *testing.T, p contractPool) {
	tell(t, p.tcp, func(c *Conn) error {
		ctx := t.Context()
		_, infoErr := c.NodeInfo(ctx, 9)
		_, healthErr := c.HealthStats(ctx, 9)
		_, processErr := c.Process(ctx, 1)
		_, watchdogErr := c.Watchdog(ctx)
		for name, err := range map[string]error{
			"info of an unknown node":    infoErr,
			"stats of an unknown node":   healthErr,
			"info of an unknown process": processErr,
			"watchdog info without one":  watchdogErr,
			"attach of an unknown node":  c.AttachNode(ctx, 200),
			"promote of an unknown node": c.PromoteNode(ctx, 7, PromoteOptions{Switchover: true}),
			"recovery of the primary":    c.RecoverNode(ctx, 0),
			"unknown parameter":          c.SetParameter(ctx, "work_mem", "1"),
		} {
			var server *ServerError
			if !errors.As(err, &server) || server.Fatal() || server.Code == "" ||
				strings.Contains(err.Error(), "no longer usable") {
				t.Errorf("%s: %v", name, err)
			}
			if errors.Is(err, ErrWatchdogOff) != (name == "watchdog info without one") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n, err := c.NodeCount(ctx); n != 1 || err != nil {
			t.Errorf("afterwards: %d, %v", n, err)
		}
		return nil
	})
	for name, f := range map[string]func(context.Context, *Conn) error{
		"a command that 4.3 does not know": func(ctx context.Context, c *Conn) error { return c.RotateLog(ctx, ScopeLocal) },
		"promote of the primary": func(ctx context.Context, c *Conn) error {
			return c.PromoteNode(ctx, 0,
				PromoteOptions{})
		},
	} {
		tell(t, p.unix, func(c *Conn) error {
			var server *ServerError
			if err := f(t.Context(), c); !errors.As(err, &server) || !server.Fatal() {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := c.NodeCount(t.Context()); err == nil {
				t.Errorf("%s: the connection is still used", name)
			}
			return nil
		})
	}
}

func contractCycle(t *testing.T, p contractPool) {
	before := ask(t, p.tcp, func(c *Conn, ctx context.Context) (NodeInfo, error) { return c.NodeInfo(ctx, 0) })
	status := func(ctx context.Context) (n NodeInfo) {
		_ = With(ctx, p.tcp, func(c *Conn) (err error) { n, err = c.NodeInfo(ctx, 0); return err })
		return n
	}
	tell(t, p.tcp, func(c *Conn) error { return c.DetachNode(t.Context(), 0) })
	until(t, "node is detached", func(ctx context.Context) bool { return status(ctx).Status == StatusDown })

	down := status(t.Context())
	if down.Attached() || down.Quarantine || down.LastStatusChange.Before(before.LastStatusChange) ||
		down.PgRole != "primary" {
		t.Errorf("detached: %+v", down)
	}
	h := ask(t, p.tcp, func(c *Conn, ctx context.Context) (HealthStats, error) { return c.HealthStats(ctx, 0) })
	if h.Status != "down" || h.Attached() {
		t.Errorf("detached: %+v", h)
	}

	tell(t, p.unix, func(c *Conn) error { return c.AttachNode(t.Context(), 0) })
	until(t, "node is attached and the primary again", func(ctx context.Context) bool {
		n := status(ctx)
		return n.Attached() && n.Role == RolePrimary
	})
	// Of a node that is attached already Pgpool-II says the same.
	tell(t, p.tcp, func(c *Conn) error { return c.AttachNode(t.Context(), 0) })
	if n := status(t.Context()); n.Status != StatusWaiting || n.LastStatusChange.Before(down.LastStatusChange) {
		t.Errorf("attached: %+v", n)
	}
}

// contractSettings makes the pool talk: notices come before and after replies.
func contractSettings(t *testing.T, p contractPool) {
	tell(t, p.tcp, func(c *Conn) error { return c.Reload(t.Context(), ScopeLocal) })
	tell(t, p.tcp, func(c *Conn) error {
		if err := c.SetParameter(t.Context(), "client_min_messages", "debug5"); err != nil {
			return err
		}
		for range 3 {
			if _, err := c.NodeCount(t.Context()); err != nil {
				return err
			}
			if _, err := c.Nodes(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
}

func contractStop(t *testing.T, p contractPool) {
	tell(t, p.tcp, func(c *Conn) error { return c.Stop(t.Context(), StopFast, ScopeLocal) })
	until(t, "nobody listens any more", func(ctx context.Context) bool {
		return With(ctx, p.tcp, func(*Conn) error { return nil }) != nil
	})
}
