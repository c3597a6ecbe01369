package scenarios

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// S12: Pgpool-II may call failover_command again for a node already handled
// (seen on Pgpool-II 4.3.5), and several Pgpool-IIs may call it at once: one promotion
// comes of it, and every call ends well.
func TestS12FailoverCommandTwice(t *testing.T) {
	p := up(t, lab.Options{})
	w := p.StartWriter(lab.WriterOptions{})
	p.Must(w.WaitAcked(p.Ctx, 10))
	old := p.Primary()
	before := p.timeline(old)
	args := p.failoverArgs(old, p.Standbys()[0], old)

	since := time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(func() { p.hook("failover", args...) })
	}
	fresh, err := p.WaitNewPrimary(p.Ctx, old)
	p.Must(err)
	calls.Wait()
	p.hook("failover", args...)
	p.Must(w.WaitAcked(p.Ctx, 10))
	p.Whole("failover_command five times", since)
	p.hook("failover", args...)
	if got := p.Primary(); got != fresh {
		t.Errorf("node %d is the primary after another call, and node %d was", got, fresh)
	}
	if got := p.timeline(fresh); got != before+1 {
		t.Errorf("timeline %s after one failure, it was %s: promoted more than once", got, before)
	}
	w.Stop()
	p.Equal()
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
	p.T.Helper()
	cmd := p.Command(p.Ctx, p.RepoolBin(), append([]string{"hook", name, "--config", p.RepoolConf()}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.T.Errorf("hook %s %v: %v\n%s", name, args, err, out)
	}
}

// timeline is the one that a node writes to or streams.
func (p *pool) timeline(node int) topology.TimelineID {
	p.T.Helper()
	var tli topology.TimelineID
	p.Wait(fmt.Sprintf("node %d to tell its timeline", node), func(ctx context.Context) error {
		s := p.Lab.Status(ctx)[node]
		if !s.Answers {
			return fmt.Errorf("no answer: %s", s.Error)
		}
		tli = s.Timeline
		return nil
	})
	return tli
}
