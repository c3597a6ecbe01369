package scenarios

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/lab"
)

// S3: a healthy node that was detached is attached again; on hold it is left
// alone until released (an administrator's detach cannot be told from a
// failure by status alone; seen on Pgpool-II 4.3.5).
func TestS03DetachedThoughHealthy(t *testing.T) {
	p := up(t, lab.Options{})
	n := p.Standbys()[0]

	since := time.Now()
	p.Must(p.Detach(p.Ctx, n))
	p.Wait("the node to be detached and attached again", func(ctx anyContext) error {
		return p.happened(ctx, n, since, "attach", codes.Ready)
	})
	p.Whole("detached by hand", since)
	p.NoRuns(n, since)

	p.Hold(n)
	p.Must(p.Detach(p.Ctx, n))
	p.detached(n)
	p.Code(n, codes.OnHold)
	held := time.Now()
	p.Wait("three more passes", func(anyContext) error { return p.passes(held, 3) })
	if err := p.detachedStill(n); err != nil {
		t.Error(err)
	}
	if err := p.happened(p.Ctx, n, held, "attach", codes.Ready); err == nil {
		t.Error("the attach of a node on hold was asked for")
	}
	since = time.Now()
	p.Release(n)
	p.Whole("released", since)
	p.NoRuns(n, since)
}
