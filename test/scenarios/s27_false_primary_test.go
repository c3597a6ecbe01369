package scenarios

import (
	"context"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/lab"
)

// S27: somebody promotes a standby beside the living primary, and writes to it. Pgpool-II
// finds out by what the other standby streams from, and detaches it. Nobody has to decide:
// the false primary is stopped, what only it has is kept, and it comes back (decision 19).
func TestS27FalsePrimary(t *testing.T) {
	p := up(t, lab.Options{Pgpool: map[string]string{"detach_false_primary": "on"}})
	w := p.StartWriter(lab.WriterOptions{})
	p.Must(w.WaitAcked(p.Ctx, 10))
	primary, wrong := p.Primary(), p.Standbys()[1]
	since := time.Now()
	p.Must(p.PromoteByHand(p.Ctx, wrong))
	p.Must(p.Exec(p.Ctx, wrong, "CREATE TABLE only_here AS SELECT generate_series(1, 100)"))
	p.Wait("Pgpool-II to detach the false primary", func(context.Context) error { return p.detachedStill(wrong) })
	p.Code(wrong, codes.PrimaryContested, codes.SecondPrimary, codes.Diverged, codes.Resyncing)
	p.Whole("the false primary is back", since)
	if got := p.Primary(); got != primary {
		t.Errorf("node %d is the primary, want node %d", got, primary)
	}
	kept := false
	for _, run := range p.Runs(wrong, since) { // a rewind or a copy, whichever costs less
		kept = kept || run.Vault != nil && run.Vault.Commits > 0
	}
	if !kept {
		t.Error("its commits are not in the vault")
	}
	p.Must(w.WaitAcked(p.Ctx, 10))
	w.Stop()
	p.Equal()
}
