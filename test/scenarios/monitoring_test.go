package scenarios

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// TestMonitoringThroughFailover: Debian's Prometheus, the shipped rules and the
// shipped dashboard see a failover with lost commits and a slow base backup, a
// node that is parked, a hold, and the loss of Pgpool-II and of the controller.
// What concerns these fires, and in the end nothing does; every panel has shown
// something; those who are to be told were told.
func TestMonitoringThroughFailover(t *testing.T) {
	told := newTold(t)
	p := up(t, lab.Options{Web: true, NoWALLogHints: true,
		RepoolConfig: "policy: {max_rate: 8MB, max_attempts: 2, backoff_base: 1s}\n" + told.config})
	began := time.Now()
	prom := startPrometheus(t, p.WebAddr)
	p.Wait("the first scrapes", prom.quiet)

	old := p.Primary()
	lost, err := p.Diverge(p.Ctx, old, 25)
	p.Must(err)
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	p.Whole("the old primary", since)
	run := p.HealedBy(old, since, topology.MethodBaseBackup)
	p.lostInVault(run, lost)

	p.parkAndRelease(prom)
	p.Hold(old)
	p.fires(prom, "RepoolHoldForgotten")
	p.Release(old)
	p.Must(p.StopPgpool(p.Ctx, 0))
	p.fires(prom, "RepoolPgpoolUnreachable", "RepoolNobodyActs")
	p.Must(p.StartPgpool(p.Ctx, 0))
	p.Must(p.StopController(p.Ctx, 0))
	p.fires(prom, "RepoolControllerDown")
	p.Must(p.StartController(p.Ctx, 0))
	p.Whole("everything", time.Now())

	p.Wait("every alert to clear", prom.quiet)
	fired, err := prom.fired(p.Ctx)
	p.Must(err)
	t.Logf("fired: %v", fired)
	for _, name := range alertsOfAFailover {
		if !slices.Contains(fired, name) {
			t.Errorf("%s has not fired", name)
		}
	}
	p.rulesAnswer(prom)
	p.panelsHaveShown(prom, began)
	told.check(t, run)
}

// fires waits until all these alerts fire.
func (p *pool) fires(prom *promServer, names ...string) {
	p.T.Helper()
	p.Wait(fmt.Sprintf("%v to fire", names), func(ctx context.Context) error {
		now, err := prom.firing(ctx)
		for _, name := range names {
			if err == nil && !slices.Contains(now, name) {
				err = fmt.Errorf("%v fire", now)
			}
		}
		return err
	})
}

// parkAndRelease has every base backup of a standby killed until it is parked.
func (p *pool) parkAndRelease(prom *promServer) {
	p.T.Helper()
	n := p.Standbys()[0]
	since := time.Now()
	p.Wipe(n)
	p.Wait("the node to be parked, and the alert", func(ctx context.Context) error {
		p.Signal(syscall.SIGKILL, p.BackupOf(n)...)
		now, err := prom.firing(ctx)
		if err == nil && !slices.Contains(now, "RepoolNodeParked") {
			err = errors.New("it is not")
		}
		return err
	})
	p.Release(n)
	p.Whole("released", since)
}

// rulesAnswer asks for what each rule asks for: none is refused.
func (p *pool) rulesAnswer(prom *promServer) {
	p.T.Helper()
	var file struct {
		Groups []struct {
			Rules []struct{ Record, Alert, Expr string }
		}
	}
	p.Must(yaml.Unmarshal([]byte(hurried(p.T)), &file))
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if _, err := prom.now(p.Ctx, r.Expr); err != nil {
				p.T.Errorf("%s%s: %v", r.Record, r.Alert, err)
			}
		}
	}
}

// panelsHaveShown evaluates each query of the shipped dashboard over the whole
// time: it must have had a value.
func (p *pool) panelsHaveShown(prom *promServer, began time.Time) {
	p.T.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	b, err := os.ReadFile("../../packaging/grafana/repool.json")
	p.Must(err)
	p.Must(json.Unmarshal(b, &board))
	queries := 0
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			queries++
			expr := strings.NewReplacer("$job", "repool", "$instance", p.WebAddr, "$node", "1", "$__range", "10m",
				"$__rate_interval", "10s").Replace(target.Expr)
			got, err := prom.since(p.Ctx, began, expr)
			if err != nil || len(got) == 0 {
				p.T.Errorf("panel %q: %s: %d series, %v", panel.Title, expr, len(got), err)
			}
		}
	}
	if queries < 30 {
		p.T.Errorf("%d queries in the dashboard", queries)
	}
}

// told is everybody who is to be told: a webhook, a command and a collector.
type told struct {
	config  string
	hook    *recorder
	traces  *recorder
	written string // by the command
}

func newTold(t *testing.T) *told {
	t.Helper()
	dir := sharedDir(t)
	w := &told{hook: record(t), traces: record(t), written: filepath.Join(dir, "events")}
	secret := filepath.Join(dir, "secret")
	privateFile(t, secret, webhookSecret)
	w.config = fmt.Sprintf("notify: {on_event: \"cat >> %s\", webhook: {url: '%s', secret_file: %s}}\ntracing: "+
		"{endpoint: '%s'}\nlog: {format: json}\n",
		w.written, w.hook.url, secret, w.traces.url)
	return w
}

func (w *told) check(t *testing.T, run topology.RunState) {
	t.Helper()
	var kinds []string
	for _, r := range w.hook.all() {
		var e struct {
			Event string
			Run   string
			Vault *topology.VaultEntry
		}
		if err := json.Unmarshal(r.body, &e); err != nil {
			t.Errorf("webhook: %v: %s", err, r.body)
		}
		if !signedRight(r) {
			t.Errorf("webhook: wrong signature: %v", r.header)
		}
		if e.Event == "lost-commits-vaulted" && (e.Run != run.ID || e.Vault == nil || e.Vault.Commits != run.Vault.Commits) {
			t.Errorf("webhook: %s, want run %s with %d commits", r.body, run.ID, run.Vault.Commits)
		}
		kinds = append(kinds, e.Event)
	}
	for _, want := range []string{"redundancy-lost", "redundancy-restored", "lost-commits-vaulted", "node-parked"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("told: %v, want %s", kinds, want)
		}
	}
	written, err := os.ReadFile(w.written)
	if n := bytes.Count(written, []byte("\n")); err != nil || n != len(kinds) {
		t.Errorf("on_event was run %d times, %v; the webhook heard %d", n, err, len(kinds))
	}
	found := slices.ContainsFunc(w.traces.all(), func(r request) bool {
		return bytes.Contains(r.body, []byte(run.ID)) && bytes.Contains(r.body, []byte("resync base-backup"))
	})
	if !found {
		t.Errorf("no trace of run %s", run.ID)
	}
}
