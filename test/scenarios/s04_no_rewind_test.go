package scenarios

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/test/testpool"
)

// S4, first cause: neither checksums nor wal_log_hints (hazard 15). The
// diverged old primary cannot be rewound: base backup beside it, its slot
// reserved before the copy (hazard 37), the vault filled first (P3), the old
// directory there until the new one streams (P5, hazard 47).
func TestS04NoChecksumsNoHintsBaseBackup(t *testing.T) {
	p := up(t, lab.Options{NoWALLogHints: true, Layout: lab.LayoutDebian, RepoolConfig: testpool.SlowCopies})
	old := p.Primary()
	lost, err := p.Diverge(p.Ctx, old, 20)
	p.Must(err)
	since := time.Now()
	watch := p.watchOld(old)
	caught := p.Catch(0, p.BackupOf(old)...)
	p.Must(p.KillNode(p.Ctx, old))
	resume := caught()
	p.slotReserved(old)
	if !there(p.WorkDir(old)+"/repair") || there(p.Nodes[old].DataDir) {
		t.Error("the old directory is not in repair while the new one is copied")
	}
	p.Vaulted(old, lost)
	resume()
	p.Whole("no way to rewind", since)
	run := p.HealedBy(old, since, topology.MethodBaseBackup)
	p.lostInVault(run, lost)
	watch.keptUntilStreaming(t, run)
	if there(p.WorkDir(old) + "/old") {
		t.Error("the old directory is still there, though all that only it held is in the vault")
	}
	p.Equal()
}

// S4, second cause: the WAL that a rewind reads is recycled on the old
// primary (hazard 13), so that its common checkpoint cannot be found. The vault
// cannot be complete then, so the old directory stays for good.
func TestS04RewindWALRecycledBaseBackup(t *testing.T) {
	p := up(t, lab.Options{WALKeepSize: "0", NoSlots: true,
		Settings: map[string]string{"max_wal_size": "64MB", "min_wal_size": "32MB"}})
	old := p.Primary()
	lost, err := p.Diverge(p.Ctx, old, 20)
	p.Must(err)
	p.Must(p.RecycleWAL(p.Ctx, old))
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	watch := p.watchOld(old)
	p.Whole("WAL recycled", since)
	run := p.HealedBy(old, since, topology.MethodBaseBackup)
	watch.keptUntilStreaming(t, run)
	if run.Vault == nil {
		t.Fatalf("nothing was vaulted of %d lost commits", len(lost))
	}
	if run.Vault.Complete || run.Vault.Missing == "" {
		t.Errorf("the vault calls itself complete though the WAL of the lost commits is gone: %+v", run.Vault)
	}
	if !there(p.WorkDir(old) + "/old") {
		t.Error("the vault is incomplete, and the old directory is not kept")
	}
	p.Equal()
}

// lostInVault asserts that the run's vault lists the lost rows.
func (p *pool) lostInVault(run topology.RunState, lost []lab.Row) {
	p.T.Helper()
	if run.Vault == nil {
		p.T.Fatalf("%s of node %d left no vault entry for %d lost commits", run.Method, run.Node, len(lost))
	}
	if !run.Vault.Complete || run.Vault.Commits < len(lost) {
		p.T.Errorf("vault entry %+v, want a complete one with at least %d commits", *run.Vault, len(lost))
	}
	if _, err := os.Stat(run.Vault.Path); err != nil {
		p.T.Errorf("the vault entry is not where it says: %v", err)
	}
	p.Vaulted(int(run.Node), lost)
}

// slotReserved asserts that the node's slot on the primary holds WAL already.
func (p *pool) slotReserved(node int) {
	p.T.Helper()
	got, err := p.Value(p.Ctx, p.Primary(), "SELECT restart_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name = "+
		"$1", p.Nodes[node].Slot())
	if err != nil || got != "true" {
		p.T.Errorf("slot %s on the primary holds WAL: %q, %v", p.Nodes[node].Slot(), got, err)
	}
}

// oldCopy watches whether the replaced directory is somewhere.
type oldCopy struct {
	stop  context.CancelFunc
	done  chan struct{}
	moved time.Time // first seen away from its place
	gone  time.Time // first seen nowhere, after that; zero: it was there to the end
}

// watchOld begins to sample where the old directory of a node is.
func (p *pool) watchOld(node int) *oldCopy {
	ctx, cancel := context.WithCancel(p.Ctx)
	w := &oldCopy{stop: cancel, done: make(chan struct{})}
	at := func(place string) bool { return there(filepath.Join(p.WorkDir(node), place)) }
	go func() {
		defer close(w.done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			switch kept := at("repair") || at("old") || at("repair"); { // it may move in between
			case w.moved.IsZero() && kept:
				w.moved = time.Now()
			case !w.moved.IsZero() && !kept && w.gone.IsZero():
				w.gone = time.Now()
			}
		}
	}()
	return w
}

// keptUntilStreaming asserts P5: the old directory was kept until the run had
// seen the new one stream.
func (w *oldCopy) keptUntilStreaming(t *testing.T, run topology.RunState) {
	t.Helper()
	w.stop()
	<-w.done
	var streamed time.Time
	for _, s := range run.Steps {
		if s.Name == "wait-streaming" && s.Error == "" {
			streamed = s.Ended
		}
	}
	switch {
	case streamed.IsZero():
		t.Errorf("run %s has not waited until the new copy streams: %+v", run.ID, run.Steps)
	case w.moved.IsZero():
		t.Error("the old directory was never moved to the work directory")
	case !w.gone.IsZero() && w.gone.Before(streamed):
		t.Errorf("the old directory was gone at %s, and the new one streamed at %s", w.gone, streamed)
	}
}

// S5: a rewind asked for right after the promotion, before the new primary's
// checkpoint, must not be taken for "no rewind required" (hazard 2). The
// checkpointers are frozen, so that the checkpoint lasts as long as we like.
func TestS05RewindRightAfterPromotion(t *testing.T) {
	p := up(t, lab.Options{})
	old := p.Primary()
	lost, err := p.Diverge(p.Ctx, old, 10)
	p.Must(err)
	resume := p.Catch(0, "postgres: ", "checkpointer")()
	defer resume()
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	p.Wait("the rewind to wait for the checkpoint", func(ctx context.Context) error {
		return p.awaitsCheckpoint(ctx, old, since)
	})
	resume()
	p.Whole("rewound at once", since)
	run := p.HealedBy(old, since, topology.MethodRewind)
	p.lostInVault(run, lost)
	missing, err := p.Missing(p.Ctx, old, lost)
	p.Must(err)
	if len(missing) != len(lost) {
		t.Errorf("the rewound node still shows %d of %d lost rows", len(lost)-len(missing), len(lost))
	}
	p.Equal()
}
