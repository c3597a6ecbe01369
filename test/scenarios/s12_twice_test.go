package scenarios

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/topology"
)

// S12: Pgpool-II may call failover_command again for a node already handled
// (seen on Pgpool-II 4.3.5), and several Pgpool-IIs may call it at once: one promotion
// comes of it, and every call ends well.
func TestS12FailoverCommandTwice(t *testing.T) {
	p := up(t, lab.Options{})
	w := p.StartWriter(lab.WriterOptions{})
	p.must(w.WaitAcked(p.ctx, 10))
	old := p.primary()
	before := p.timeline(old)
	args := p.failoverArgs(old, p.standbys()[0], old)

	since := time.Now()
	p.must(p.KillNode(p.ctx, old))
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(func() { p.hook("failover", args...) })
	}
	fresh, err := p.WaitNewPrimary(p.ctx, old)
	p.must(err)
	calls.Wait()
	p.hook("failover", args...)
	p.must(w.WaitAcked(p.ctx, 10))
	p.whole("failover_command five times", since)
	p.hook("failover", args...)
	if got := p.primary(); got != fresh {
		t.Errorf("node %d is the primary after another call, and node %d was", got, fresh)
	}
	if got := p.timeline(fresh); got != before+1 {
		t.Errorf("timeline %s after one failure, it was %s: promoted more than once", got, before)
	}
	w.Stop()
	p.equal()
}

// failoverArgs is what Pgpool-II passes to failover_command as the lab writes
// it: %d "%h" %p "%D" %m "%H" %M %P "%r" "%R" "%N" "%S".
func (p *pool) failoverArgs(failed, newMain, oldPrimary int) []string {
	f, m, o := p.Nodes[failed], p.Nodes[newMain], p.Nodes[oldPrimary]
	num := strconv.Itoa
	return []string{num(f.ID), f.Host, num(f.Port), f.DataDir, num(m.ID), m.Host, num(o.ID), num(o.ID),
		num(m.Port), m.DataDir, o.Host, num(o.Port)}
}

// hook calls a hook of repool as Pgpool-II would.
func (p *pool) hook(name string, args ...string) {
	p.t.Helper()
	cmd := p.Command(p.ctx, p.RepoolBin(), append([]string{"hook", name, "--config", p.RepoolConf()}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Errorf("hook %s %v: %v\n%s", name, args, err, out)
	}
}

// timeline is the one that a node writes to or streams.
func (p *pool) timeline(node int) topology.TimelineID {
	p.t.Helper()
	var tli topology.TimelineID
	p.wait(fmt.Sprintf("node %d to tell its timeline", node), func(ctx context.Context) error {
		s := p.Lab.Status(ctx)[node]
		if !s.Answers {
			return fmt.Errorf("no answer: %s", s.Error)
		}
		tli = s.Timeline
		return nil
	})
	return tli
}
