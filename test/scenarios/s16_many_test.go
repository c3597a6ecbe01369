package scenarios

import (
	"fmt"
	"testing"
	"time"

	"github.com/repool/repool/lab"
)

// S16: twenty failovers in a row under load with a synchronous standby: every
// acknowledged commit is there at the end.
func TestS16TwentyFailoversLoseNothing(t *testing.T) {
	p := up(t, lab.Options{SyncStandbys: "ANY 1 (*)"})
	w := p.StartWriter(lab.WriterOptions{Clients: 2})
	for i := range 20 {
		p.Must(w.WaitAcked(p.Ctx, 10))
		old := p.Primary()
		since := time.Now()
		p.Must(p.KillNode(p.Ctx, old))
		_, err := p.WaitNewPrimary(p.Ctx, old)
		p.Must(err)
		p.Whole(fmt.Sprintf("failover %d", i+1), since)
	}
	p.Must(w.WaitAcked(p.Ctx, 10))
	w.Stop()
	missing, err := p.Missing(p.Ctx, p.Primary(), w.Acked())
	p.Must(err)
	if len(missing) != 0 {
		t.Errorf("%d of %d acknowledged rows are missing, the first: %+v", len(missing), w.Count(), missing[0])
	}
	p.Equal()
}
