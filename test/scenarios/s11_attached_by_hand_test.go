package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// S11: a diverged node that somebody made a standby and attached by hand: it
// is up, readable and wrong, and never streams (hazards 6 and 7). It is
// detached and resynced, and once repool has attached it, nothing wrong is to
// be read on it (P1). First an old primary. Then a standby that was a second
// primary on the same timeline for a while: that one does stream, into its own
// old WAL, for as long as the primary has not come to the place.
func TestS11DivergedNodeAttachedByHand(t *testing.T) {
	p := up(t, lab.Options{})
	old := p.Primary()
	lost, err := p.Diverge(p.Ctx, old, 10)
	p.Must(err)
	p.Must(p.KillNode(p.Ctx, old))
	p.Hold(old)
	fresh, err := p.WaitNewPrimary(p.Ctx, old)
	p.Must(err)
	p.wrongStandby(old, fresh)
	run := p.detachedAndHealed(old, lost, topology.MethodRewind)
	p.lostInVault(run, lost)

	n := p.Standbys()[1]
	p.Hold(n)
	p.Must(p.StopNode(p.Ctx, n, lab.Fast))
	p.detached(n) // by Pgpool-II itself, and not only after the attach by hand
	p.Must(os.Remove(filepath.Join(p.Nodes[n].DataDir, "standby.signal")))
	p.Must(p.StartNode(p.Ctx, n))
	lost, err = p.CommitRows(p.Ctx, n, 30)
	p.Must(err)
	p.Must(p.StopNode(p.Ctx, n, lab.Fast))
	p.wrongStandby(n, p.Primary())
	p.detachedAndHealed(n, lost, topology.MethodBaseBackup)
	p.Equal()
}

// wrongStandby starts a stopped node as a standby of another, whatever data it
// holds, and attaches it, as a person who means well would.
func (p *pool) wrongStandby(node, upstream int) {
	p.T.Helper()
	n, u := p.Nodes[node], p.Nodes[upstream]
	conninfo := fmt.Sprintf("primary_conninfo = 'host=%s port=%d user=repl application_name=%s passfile=%s'\n",
		u.Host, u.Port, n.Name, filepath.Join(p.Dir, ".pgpass"))
	out, err := p.Command(p.Ctx, "/bin/sh", "-c",
		`printf '%s' "$2" >> "$1/postgresql.auto.conf" && touch "$1/standby.signal"`,
		"sh", n.DataDir, conninfo).CombinedOutput()
	if err != nil {
		p.T.Fatalf("make node %d a standby: %v\n%s", node, err, out)
	}
	p.Must(p.StartNode(p.Ctx, node))
	p.Must(p.Attach(p.Ctx, node))
	p.Must(p.WaitAttached(p.Ctx, node))
}

// detachedAndHealed releases a wrong node, and asserts that it is detached,
// resynced, and attached only when the wrong rows are gone from it.
func (p *pool) detachedAndHealed(node int, wrong []lab.Row, method topology.Method) topology.RunState {
	p.T.Helper()
	if missing, err := p.Missing(p.Ctx, node, wrong); err != nil || len(missing) > 0 {
		p.T.Fatalf("node %d was to show all wrong rows, and lacks %d: %v", node, len(missing), err)
	}
	since := time.Now()
	p.Release(node)
	p.Must(p.WaitDetached(p.Ctx, node))
	stop := p.watchReads(node, wrong)
	p.Whole(fmt.Sprintf("node %d attached by hand", node), since)
	p.Must(stop())
	p.Must(p.happened(p.Ctx, node, since, "detach", codes.AttachedDiverged))
	return p.HealedBy(node, since, method)
}

// watchReads looks again and again whether a node shows any of these rows while
// Pgpool-II routes to it. The function it returns ends that and tells.
func (p *pool) watchReads(node int, wrong []lab.Row) (stop func() error) {
	ctx, cancel := context.WithCancel(p.Ctx)
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
