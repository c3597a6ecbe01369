package scenarios

import (
	"fmt"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
)

// S16: twenty failovers in a row under load with a synchronous standby: every
// acknowledged commit is there at the end.
func TestS16TwentyFailoversLoseNothing(t *testing.T) {
	p := up(t, lab.Options{SyncStandbys: "ANY 1 (*)"})
	w := p.StartWriter(lab.WriterOptions{Clients: 2})
	for i := range 20 {
		p.must(w.WaitAcked(p.ctx, 10))
		old := p.primary()
		since := time.Now()
		p.must(p.KillNode(p.ctx, old))
		_, err := p.WaitNewPrimary(p.ctx, old)
		p.must(err)
		p.whole(fmt.Sprintf("failover %d", i+1), since)
	}
	p.must(w.WaitAcked(p.ctx, 10))
	w.Stop()
	missing, err := p.Missing(p.ctx, p.primary(), w.Acked())
	p.must(err)
	if len(missing) != 0 {
		t.Errorf("%d of %d acknowledged rows are missing, the first: %+v", len(missing), w.Count(), missing[0])
	}
	p.equal()
}
