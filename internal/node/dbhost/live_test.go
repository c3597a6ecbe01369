package dbhost

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// Hazard 1 (of those that decide): a crashed primary that lost nothing is
// adopted without crash recovery and without a rewind.
func TestCrashedPrimaryThatLostNothingIsAdopted(t *testing.T) {
	t.Parallel()
	old, standby := pair(t, setup{})
	old.exec("CREATE TABLE t (n int)", "INSERT INTO t SELECT generate_series(1, 1000)")
	standby.caughtUp(old)
	if f := old.crash(); !f.WasRunning || f.Mode != "immediate" {
		t.Errorf("stopped with %+v, want an immediate stop", f)
	}
	standby.promote(false)
	p := probe(t, old, standby)
	if p.Beyond || !p.Shared || p.Open || p.CommonTLI != 1 || p.Last == nil || p.Last.End != p.Limit {
		t.Fatalf("probe of a node that lost nothing: %+v", p)
	}
	rec, err := standby.RecordEnding(t.Context(), p.Last.End)
	if err != nil || rec != *p.Last {
		t.Fatalf("the primary has %+v (%v) before the switch point, the node %+v", rec, err, *p.Last)
	}
	old.standbyOf(standby)
	old.start()
	old.waitStreaming(standby)
	old.caughtUp(standby)
	if got := old.query("SELECT count(*)::text FROM t"); got != "1000" {
		t.Errorf("%s rows after the adoption", got)
	}
}

// Hazards 2, 3, 8, 9, 10: isolated recovery adds no WAL, the rewind after it
// works, and what comes home is a standby with its own configuration.
func TestRewindOfACrashedDivergedPrimary(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]setup{"plain": {}, "debian": {debian: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rewindCrashedDiverged(t, s)
		})
	}
}

func rewindCrashedDiverged(t *testing.T, s setup) {
	const lost = 7
	old, primary := diverged(t, lost, false, s)
	ctx := t.Context()
	p := probe(t, old, primary)
	if !p.Beyond || p.CommonTLI != 1 || p.LastCheckpoint == 0 || p.End <= p.Limit {
		t.Fatalf("probe of a diverged node: %+v", p)
	}
	if err := old.SaveConfig(resync.Home); err != nil {
		t.Fatal(err)
	}
	req := topology.RunRequest{ID: "r1", Upstream: primary.upstream(), Divergence: p.Limit, DivergenceTLI: p.CommonTLI}
	entry, err := old.Vault(ctx, req, resync.Home, nil)
	if err != nil || !entry.Complete || entry.Commits != lost {
		t.Fatalf("vault: %+v, %v; want %d commits", entry, err, lost)
	}
	old.move(resync.Home, resync.InRepair)
	if err := old.RefillWAL(resync.InRepair, entry); err != nil {
		t.Fatal(err)
	}
	if err := old.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	c := old.control(resync.InRepair)
	if !c.ShutDownInRecover || c.MinRecoveryPoint != p.End {
		t.Errorf("after the isolated recovery: %q, recovered to %s, WAL ended at %s", c.State, c.MinRecoveryPoint, p.End)
	}
	if primary.control(resync.Home).Timeline == 1 {
		needed, err := old.Rewind(ctx, primary.upstream(), nil)
		if primary.control(resync.Home).Timeline == 1 && (err != nil || needed) {
			t.Errorf("before the checkpoint of the promotion: needed %t, %v: this hazard has gone?", needed, err)
		}
	}
	primary.exec("CHECKPOINT")
	var seen, total uint64
	needed, err := old.Rewind(ctx, primary.upstream(), func(d, n uint64) { seen, total = d, n })
	if err != nil || !needed {
		t.Fatalf("rewind: needed %t, %v", needed, err)
	}
	if seen == 0 || seen != total {
		t.Errorf("progress ended at %d of %d", seen, total)
	}
	if _, err := os.Stat(filepath.Join(old.path(resync.InRepair), "standby.signal")); err == nil {
		t.Error("pg_rewind keeps standby.signal by now: hazard 9 has gone")
	}
	if err := old.RestoreConfig(resync.InRepair); err != nil {
		t.Fatal(err)
	}
	if err := old.WriteStandby(resync.InRepair, primary.upstream(), old.slot(), old.slot()); err != nil {
		t.Fatal(err)
	}
	old.move(resync.InRepair, resync.Home)
	old.start()
	old.waitStreaming(primary)
	if got := old.query("SELECT count(*)::text FROM kept"); got != "1" {
		t.Errorf("%s rows after the rewind, want the 1 that both had", got)
	}
	if got := old.query("SHOW port"); got != itoa(old.port) {
		t.Errorf("port %s, want the node's own %d", got, old.port)
	}
}

// A standby promoted by hand and killed before its first checkpoint has a
// minimum recovery point, yet pages beyond it may be on disk: the isolated
// recovery must replay past it to the end.
func TestSettleReplaysAllOfAPromotedNodesWAL(t *testing.T) {
	t.Parallel()
	primary, n := pair(t, setup{})
	primary.crash()
	checkpointer, err := strconv.Atoi(n.query("SELECT pid::text FROM pg_stat_activity WHERE backend_type = " +
		"'checkpointer'"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(checkpointer, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	n.promote(false)
	n.exec("CREATE TABLE t (n int)", "INSERT INTO t SELECT generate_series(1, 1000)")
	if f := n.crash(); f.Mode != "kill" {
		t.Errorf("a server with a frozen process was stopped by %q", f.Mode)
	}
	n.settles(2)
}

func TestSettleOfACrashedStandby(t *testing.T) {
	t.Parallel()
	primary, n := pair(t, setup{})
	primary.exec("CREATE TABLE t (n int)", "INSERT INTO t SELECT generate_series(1, 1000)")
	n.caughtUp(primary)
	n.crash()
	n.settles(1)
	n.move(resync.InRepair, resync.Home)
	n.start()
	n.waitStreaming(primary)
}

// settles runs the isolated recovery of a crashed node and checks its end.
func (n *node) settles(tli topology.TimelineID) {
	n.t.Helper()
	all, err := n.ownWAL(n.t.Context(), n.dir)
	if err != nil || all.tli != tli {
		n.t.Fatalf("%+v, %v", all, err)
	}
	n.move(resync.Home, resync.InRepair)
	for range 2 { // a second time there is nothing to do
		if err := n.Settle(n.t.Context()); err != nil {
			n.t.Fatal(err)
		}
	}
	if c := n.control(resync.InRepair); !c.ShutDownInRecover || c.MinRecoveryPoint != all.end || c.MinRecoveryTLI != tli {
		n.t.Errorf("settled at %s on timeline %d (%s), want %s on %d", c.MinRecoveryPoint, c.MinRecoveryTLI, c.State,
			all.end, tli)
	}
	n.want(topology.ServerStopped)
}

// Hazard 4: whatever kills pg_rewind, nothing startable is at Home, and a
// later agent kills what is left running.
func TestInterruptedRewindLeavesNothingToStart(t *testing.T) {
	t.Parallel()
	old, primary := diverged(t, 2, true, setup{})
	old.move(resync.Home, resync.InRepair)
	if err := old.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := old.Rewind(ctx, primary.upstream(), func(done, _ uint64) {
		if done > 0 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("killed rewind: %v", err)
	}
	if there, err := old.Exists(resync.Home); err != nil || there {
		t.Errorf("Home exists: %t, %v", there, err)
	}
	if err := old.StartServer(t.Context()); err == nil {
		t.Error("a server could be started")
	}
	in, err := old.Inspect(t.Context())
	if err != nil || in.Err != "" || in.Dir != topology.DirInRepair || in.Server != topology.ServerStopped {
		t.Errorf("inspection: %+v, %v", in, err)
	}
}

func TestBaseBackupTakesTheOldCopysPlace(t *testing.T) {
	t.Parallel()
	old, primary := diverged(t, 1, true, setup{})
	ctx := t.Context()
	if err := old.SaveConfig(resync.Home); err != nil {
		t.Fatal(err)
	}
	old.move(resync.Home, resync.InRepair)
	var total uint64
	if err := old.BaseBackup(ctx, primary.upstream(), old.slot(), func(_, n uint64) { total = n }); err != nil {
		t.Fatal(err)
	}
	if total == 0 {
		t.Error("no progress was shown")
	}
	if err := old.VerifyBackup(ctx); err != nil {
		t.Fatal(err)
	}
	if err := old.RestoreConfig(resync.New); err != nil {
		t.Fatal(err)
	}
	if err := old.WriteStandby(resync.New, primary.upstream(), old.slot(), old.slot()); err != nil {
		t.Fatal(err)
	}
	old.move(resync.New, resync.Home)
	old.start()
	old.waitStreaming(primary)
	if err := old.Remove(resync.InRepair); err != nil {
		t.Fatal(err)
	}
	if err := old.Remove(resync.Home); err == nil {
		t.Error("Home could be removed")
	}
}

func TestDamagedBaseBackupIsFound(t *testing.T) {
	t.Parallel()
	primary, standby := pair(t, setup{})
	if err := standby.BaseBackup(t.Context(), primary.upstream(), "", nil); err != nil {
		t.Fatal(err)
	}
	appendFile(t, filepath.Join(standby.path(resync.New), "global", "pg_filenode.map"), "x")
	wantCode(t, standby.VerifyBackup(t.Context()), codes.VerifyFailed, "pg_filenode.map")
}

func TestBaseBackupWithoutASavedConfigurationGetsTheNodesPort(t *testing.T) {
	t.Parallel()
	primary, standby := pair(t, setup{})
	if _, err := standby.StopServer(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(standby.dir); err != nil {
		t.Fatal(err)
	}
	if err := standby.BaseBackup(t.Context(), primary.upstream(), standby.slot(), nil); err != nil {
		t.Fatal(err)
	}
	if err := standby.RestoreConfig(resync.New); err != nil {
		t.Fatal(err)
	}
	if err := standby.WriteStandby(resync.New, primary.upstream(), standby.slot(), standby.slot()); err != nil {
		t.Fatal(err)
	}
	standby.move(resync.New, resync.Home)
	standby.start()
	if got := standby.query("SHOW port"); got != itoa(standby.port) {
		t.Errorf("port %s, want the node's own %d", got, standby.port)
	}
}

func TestUnreachablePrimaryIsSaidToBeLost(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	up := topology.Upstream{Host: "127.0.0.1", Port: freePort(t)}
	wantCode(t, n.BaseBackup(t.Context(), up, "", nil), codes.UpstreamLost)
	n.move(resync.Home, resync.InRepair)
	_, err := n.Rewind(t.Context(), up, nil)
	wantCode(t, err, codes.UpstreamLost)
	var e *resync.Error
	if !errors.As(err, &e) || !e.Untouched {
		t.Errorf("%v: want the proof that nothing was changed", err)
	}
}

// A question over the connection kept from the last one must not fail because
// the server was restarted in between.
func TestStreamAfterARestart(t *testing.T) {
	t.Parallel()
	_, standby := pair(t, setup{})
	if _, err := standby.Stream(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := standby.StopServer(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	standby.start()
	if f, err := standby.Stream(t.Context()); err != nil || !f.InRecovery {
		t.Errorf("after a restart: %+v, %v", f, err)
	}
}

func TestFollowByReload(t *testing.T) {
	t.Parallel()
	primary, standby := pair(t, setup{})
	pm, _, err := pgdata.PostmasterAlive(standby.dir)
	if err != nil {
		t.Fatal(err)
	}
	appendFile(t, filepath.Join(standby.dir, "postgresql.auto.conf"),
		"recovery_target_time = '2001-01-01'\nprimary_conninfo = 'host=nowhere port=1 sslcert=/c user=x password=y'\n")
	standby.standbyOf(primary)
	if err := standby.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	standby.waitStreaming(primary)
	auto := readFile(t, filepath.Join(standby.dir, "postgresql.auto.conf"))
	if strings.Contains(auto, "recovery_target_time =") || strings.Contains(auto, "nowhere") ||
		strings.Contains(auto, "password") || !strings.Contains(auto, "sslcert") {
		t.Errorf("settings after writing:\n%s", auto)
	}
	if now, alive, err := pgdata.PostmasterAlive(standby.dir); err != nil || !alive || now.PID != pm.PID {
		t.Errorf("postmaster %d became %d (%v)", pm.PID, now.PID, err)
	}
}
