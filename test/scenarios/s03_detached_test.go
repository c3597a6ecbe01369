package scenarios

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/plan"
)

// S3: a healthy node that was detached is attached again; on hold it is left
// alone until released (an administrator's detach cannot be told from a
// failure by status alone, pgpool-facts 9.14).
func TestS03DetachedThoughHealthy(t *testing.T) {
	p := up(t, lab.Options{})
	n := p.standbys()[0]

	since := time.Now()
	p.must(p.Detach(p.ctx, n))
	p.whole("detached by hand", since)
	p.noRuns(n, since)

	p.hold(n)
	p.must(p.Detach(p.ctx, n))
	p.code(n, plan.CodeOnHold)
	held := time.Now()
	p.wait("three more passes", func(anyContext) error { return p.passes(held, 3) })
	if err := p.detachedStill(n); err != nil {
		t.Error(err)
	}
	since = time.Now()
	p.release(n)
	p.whole("released", since)
	p.noRuns(n, since)
}
