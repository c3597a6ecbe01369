package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
)

// S11: a diverged node that somebody made a standby and attached by hand: it
// is up, readable and wrong, and never streams (hazards 6 and 7). It is
// detached and resynced, and once repool has attached it, nothing wrong is to
// be read on it (P1). First an old primary. Then a standby that was a second
// primary on the same timeline for a while: that one does stream, into its own
// old WAL, for as long as the primary has not come to the place.
func TestS11DivergedNodeAttachedByHand(t *testing.T) {
	p := up(t, lab.Options{})
	old := p.primary()
	lost, err := p.Diverge(p.ctx, old, 10)
	p.must(err)
	p.must(p.KillNode(p.ctx, old))
	p.hold(old)
	fresh, err := p.WaitNewPrimary(p.ctx, old)
	p.must(err)
	p.wrongStandby(old, fresh)
	run := p.detachedAndHealed(old, lost, topology.MethodRewind)
	p.lostInVault(run, lost)

	n := p.standbys()[1]
	p.hold(n)
	p.must(p.StopNode(p.ctx, n, lab.Fast))
	p.must(os.Remove(filepath.Join(p.Nodes[n].DataDir, "standby.signal")))
	p.must(p.StartNode(p.ctx, n))
	lost, err = p.CommitRows(p.ctx, n, 30)
	p.must(err)
	p.must(p.StopNode(p.ctx, n, lab.Fast))
	p.wrongStandby(n, p.primary())
	p.detachedAndHealed(n, lost, topology.MethodBaseBackup)
	p.equal()
}

// wrongStandby starts a stopped node as a standby of another, whatever data it
// holds, and attaches it, as a person who means well would.
func (p *pool) wrongStandby(node, upstream int) {
	p.t.Helper()
	n, u := p.Nodes[node], p.Nodes[upstream]
	conninfo := fmt.Sprintf("primary_conninfo = 'host=%s port=%d user=repl application_name=%s passfile=%s'\n",
		u.Host, u.Port, n.Name, filepath.Join(p.Dir, ".pgpass"))
	out, err := p.Command(p.ctx, "/bin/sh", "-c", `printf '%s' "$2" >> "$1/postgresql.auto.conf" && touch "$1/standby.signal"`,
		"sh", n.DataDir, conninfo).CombinedOutput()
	if err != nil {
		p.t.Fatalf("make node %d a standby: %v\n%s", node, err, out)
	}
	p.must(p.StartNode(p.ctx, node))
	p.must(p.Attach(p.ctx, node))
	p.must(p.WaitAttached(p.ctx, node))
}

// detachedAndHealed releases a wrong node, and asserts that it is detached,
// resynced, and attached only when the wrong rows are gone from it.
func (p *pool) detachedAndHealed(node int, wrong []lab.Row, method topology.Method) topology.RunState {
	p.t.Helper()
	if missing, err := p.Missing(p.ctx, node, wrong); err != nil || len(missing) > 0 {
		p.t.Fatalf("node %d was to show all wrong rows, and lacks %d: %v", node, len(missing), err)
	}
	since := time.Now()
	p.release(node)
	p.must(p.WaitDetached(p.ctx, node))
	stop := p.watchReads(node, wrong)
	p.whole(fmt.Sprintf("node %d attached by hand", node), since)
	p.must(stop())
	p.must(p.happened(p.ctx, node, since, "detach", plan.CodeAttachedDiverged))
	return p.healedBy(node, since, method)
}

// watchReads looks again and again whether a node shows any of these rows while
// Pgpool-II routes to it. The function it returns ends that and tells.
func (p *pool) watchReads(node int, wrong []lab.Row) (stop func() error) {
	ctx, cancel := context.WithCancel(p.ctx)
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-tick.C:
			}
			if p.detachedStill(node) == nil {
				continue
			}
			missing, err := p.Missing(ctx, node, wrong)
			if err == nil && len(missing) < len(wrong) {
				done <- errors.New("wrong rows were to be read on an attached node")
				return
			}
		}
	}()
	return func() error { cancel(); return <-done }
}
