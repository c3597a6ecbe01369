package lab

import (
	"context"
	"syscall"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// limited gives a context that ends before the test would be tedious.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// TestFaultsDoWhatTheySay breaks one lab again and again, and repairs it each time
// by hand.
func TestFaultsDoWhatTheySay(t *testing.T) {
	t.Parallel()
	l := up(t, Options{})
	ctx := limited(t)

	w := l.StartWriter(WriterOptions{})
	must(t, w.WaitAcked(ctx, 20))
	w.Stop()
	for _, r := range w.Acked() {
		if r.Node != 0 || r.ID == 0 || r.XID == 0 {
			t.Fatalf("acknowledged row %+v: want one committed on node 0", r)
		}
	}

	t.Run("frozen, a server is there and does not answer", func(t *testing.T) {
		must(t, l.Freeze(ctx, 2))
		must(t, l.WaitDetached(ctx, 2))
		if s := l.Status(ctx)[2]; !s.Running || s.Answers {
			t.Errorf("frozen node: running %v, answers %v", s.Running, s.Answers)
		}
		must(t, l.Thaw(ctx, 2))
		must(t, l.WaitStreaming(ctx))
		must(t, l.Attach(ctx, 2))
		must(t, l.WaitHealthy(ctx))
	})
	t.Run("killed, nothing of a server is left, and it starts again", func(t *testing.T) {
		before := l.Postmaster(1)
		must(t, l.KillNode(ctx, 1))
		if left := l.nodeProcs(1); len(left) > 0 || l.Postmaster(1) != 0 {
			t.Errorf("%d processes left", len(left))
		}
		must(t, l.WaitDetached(ctx, 1))
		must(t, l.StartNode(ctx, 1))
		if after := l.Postmaster(1); after == before || after == 0 {
			t.Errorf("postmaster %d before, %d after", before, after)
		}
		must(t, l.WaitStreaming(ctx))
		must(t, l.Attach(ctx, 1))
		must(t, l.WaitHealthy(ctx))
	})
	t.Run("a supervisor starts what was stopped", func(t *testing.T) {
		stop := l.Supervise(2)
		must(t, l.StopNode(ctx, 2, Fast))
		must(t, WaitFor(ctx, "the server", func(ctx context.Context) error { return l.Exec(ctx, 2, "SELECT 1") }))
		stop()
	})
	t.Run("recycled, the old segment is gone", func(t *testing.T) {
		must(t, l.WaitStreaming(ctx))
		must(t, l.RecycleWAL(ctx, 0))
	})
	t.Run("Pgpool-II killed with its status file", func(t *testing.T) {
		must(t, l.KillPgpool(ctx, 0, true))
		must(t, l.StartPgpool(ctx, 0))
		must(t, l.WaitHealthy(ctx))
	})
	t.Run("rows of a diverged primary are on no other node", func(t *testing.T) {
		lost, err := l.Diverge(ctx, 0, 5)
		must(t, err)
		must(t, l.KillNode(ctx, 0))
		must(t, l.PromoteByHand(ctx, 1))
		for _, i := range []int{1, 2} {
			missing, err := l.Missing(ctx, i, lost)
			must(t, err)
			if len(missing) != 5 {
				t.Errorf("node %d misses %d rows of 5", i, len(missing))
			}
			if missing, err = l.Missing(ctx, i, w.Acked()); err != nil || len(missing) != 0 {
				t.Errorf("node %d misses %d acknowledged rows: %v", i, len(missing), err)
			}
		}
	})
	t.Run("destroyed and cut off from power", func(t *testing.T) {
		must(t, l.DestroyData(ctx, 2))
		must(t, l.PowerCut(ctx))
		if left := labProcs(l.Dir); len(left) > 0 {
			t.Errorf("%d processes left", len(left))
		}
		if exists(l.Nodes[2].DataDir) {
			t.Error("the data directory is still there")
		}
	})
}

func TestDebianLayoutByItsOwnTools(t *testing.T) {
	t.Parallel()
	l := up(t, Options{Layout: LayoutDebian, Standbys: 1, Checksums: true, NoSlots: true, SyncStandbys: "ANY 1 (*)"})
	ctx := limited(t)
	must(t, l.StopNode(ctx, 1, Fast))
	must(t, l.StartNode(ctx, 1))
	must(t, l.WaitStreaming(ctx))
	for _, setting := range []string{"data_checksums", "synchronous_standby_names"} {
		v, err := l.Value(ctx, 0, "SELECT setting FROM pg_settings WHERE name = $1", setting)
		must(t, err)
		t.Logf("%s = %s", setting, v)
		if v == "off" || v == "" {
			t.Errorf("%s is %q", setting, v)
		}
	}
}

func TestCopiesCompareRowByRow(t *testing.T) {
	t.Parallel()
	l := up(t, Options{Standbys: 1})
	ctx := limited(t)
	_, err := l.CommitRows(ctx, 0, 50)
	must(t, err)
	c, err := l.CompareCopies(ctx)
	must(t, err)
	if !c.Match || len(c.Tables) != 1 || c.Tables[0].Rows != 50 {
		t.Errorf("equal copies: %+v", c)
	}
	diffs, err := l.rowDifferences(ctx, "app.ledger", 0, 1)
	must(t, err)
	if len(diffs) != 0 {
		t.Errorf("equal copies differ in %v", diffs)
	}
	must(t, l.FreezeWalsenders(ctx, 0))
	must(t, l.Exec(ctx, 0, "SELECT 1"))
	_, err = l.CommitRows(ctx, 0, 2)
	must(t, err)
	got, err := l.compareTable(ctx, "app.ledger", 0)
	must(t, err)
	if got.Match || len(got.Differences) != 2 {
		t.Errorf("copies that differ in two rows: %+v", got)
	}
}

func TestSmallDiskFills(t *testing.T) {
	t.Parallel()
	o := Options{Standbys: -1, DiskMB: 200}
	if me, err := findOwner(); err != nil || !me.Switch {
		if _, err := Up(t.Context(), o); err == nil {
			t.Error("mounting without root: want an error")
		}
		return
	}
	l := up(t, o)
	ctx := limited(t)
	must(t, l.FillDisk(ctx, 0, 1<<20))
	err := l.Exec(ctx, 0, "CREATE TABLE big AS SELECT repeat('x', 500) FROM generate_series(1, 20000)")
	if err == nil {
		t.Error("a full disk took 10 MB")
	}
	must(t, l.FreeDisk(ctx, 0))
	must(t, WaitFor(ctx, "the server to work again", func(ctx context.Context) error {
		return l.Exec(ctx, 0, "CREATE TABLE small AS SELECT 1 AS one")
	}))
}

func TestSignalReachesOnlyThisLab(t *testing.T) {
	l := &Lab{state: state{Dir: t.TempDir()}}
	if n := l.Signal(syscall.SIGKILL, "postgres"); n != 0 {
		t.Errorf("an empty lab's signal reached %d processes", n)
	}
}
