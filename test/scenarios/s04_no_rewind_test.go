package scenarios

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/topology"
)

// S4, first cause: neither checksums nor wal_log_hints (hazard 15). The
// diverged old primary cannot be rewound: base backup beside it, the vault
// filled first (P3), the old copy there until the new one streams (P5).
func TestS04NoChecksumsNoHintsBaseBackup(t *testing.T) {
	p := up(t, lab.Options{NoWALLogHints: true})
	old := p.primary()
	lost, err := p.Diverge(p.ctx, old, 20)
	p.must(err)
	since := time.Now()
	p.must(p.KillNode(p.ctx, old))
	watch := p.watchPlaces(old)
	p.whole("no way to rewind", since)
	run := p.healedBy(old, since, topology.MethodBaseBackup)
	p.lostInVault(run, lost)
	watch.oldKeptUntilStreaming(t)
	p.equal()
}

// S4, second cause: the WAL that a rewind reads is recycled on the old
// primary (hazard 13), so that its common checkpoint cannot be found.
func TestS04RewindWALRecycledBaseBackup(t *testing.T) {
	p := up(t, lab.Options{WALKeepSize: "0", NoSlots: true, Settings: map[string]string{"max_wal_size": "64MB", "min_wal_size": "32MB"}})
	old := p.primary()
	lost, err := p.Diverge(p.ctx, old, 20)
	p.must(err)
	p.must(p.RecycleWAL(p.ctx, old))
	since := time.Now()
	p.must(p.KillNode(p.ctx, old))
	p.whole("WAL recycled", since)
	run := p.healedBy(old, since, topology.MethodBaseBackup)
	if run.Vault == nil {
		t.Fatalf("nothing was vaulted of %d lost commits", len(lost))
	}
	if run.Vault.Complete {
		t.Errorf("the vault calls itself complete though the WAL of the lost commits is gone: %+v", run.Vault)
	}
	p.equal()
}

// lostInVault asserts that the run's vault lists at least the lost rows.
func (p *pool) lostInVault(run topology.RunState, lost []lab.Row) {
	p.t.Helper()
	if run.Vault == nil {
		p.t.Fatalf("%s of node %d left no vault entry for %d lost commits", run.Method, run.Node, len(lost))
	}
	if !run.Vault.Complete || run.Vault.Commits < len(lost) {
		p.t.Errorf("vault entry %+v, want a complete one with at least %d commits", *run.Vault, len(lost))
	}
	if _, err := os.Stat(run.Vault.Path); err != nil {
		p.t.Errorf("the vault entry is not where it says: %v", err)
	}
}

// places watches a node's home and workshop while it is resynced.
type places struct {
	stop   context.CancelFunc
	done   chan struct{}
	naked  bool // neither home streaming-capable nor an old copy anywhere
	copied bool
}

// watchPlaces begins to sample where the node's copies of data are.
func (p *pool) watchPlaces(node int) *places {
	ctx, cancel := context.WithCancel(p.ctx)
	w := &places{stop: cancel, done: make(chan struct{})}
	dir := p.Nodes[node].DataDir
	there := func(path string) bool { _, err := os.Stat(path + "/PG_VERSION"); return err == nil }
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
			aside, old := there(dir+".repool/aside"), there(dir+".repool/old")
			if there(dir + ".repool/new") {
				w.copied = true
				if !aside && !old && !there(dir) {
					w.naked = true
				}
			}
		}
	}()
	return w
}

func (w *places) oldKeptUntilStreaming(t *testing.T) {
	t.Helper()
	w.stop()
	<-w.done
	if !w.copied {
		t.Error("no base backup was seen being made beside the data directory")
	}
	if w.naked {
		t.Error("while the base backup was made there was no old copy anywhere (P5)")
	}
}

// S5: a rewind asked for right after the promotion, before the new primary's
// checkpoint, must not be taken for "no rewind required" (hazard 2).
func TestS05RewindRightAfterPromotion(t *testing.T) {
	// A checkpoint on the new primary would hide the hazard; a long timeout
	// and much room keep it from making one by itself.
	p := up(t, lab.Options{Settings: map[string]string{"checkpoint_timeout": "30min", "max_wal_size": "4GB"}})
	old := p.primary()
	lost, err := p.Diverge(p.ctx, old, 10)
	p.must(err)
	since := time.Now()
	p.must(p.KillNode(p.ctx, old))
	p.whole("rewound at once", since)
	run := p.healedBy(old, since, topology.MethodRewind)
	p.lostInVault(run, lost)
	p.wait("the lost rows to be gone from the node", func(ctx context.Context) error {
		missing, err := p.Missing(ctx, old, lost)
		if err == nil && len(missing) != len(lost) {
			err = errors.New("the rewound node still shows lost rows")
		}
		return err
	})
	p.equal()
}
