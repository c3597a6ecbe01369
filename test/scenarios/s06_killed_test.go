package scenarios

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/test/testpool"
)

// S6 (hazards 6 to 9, P4): whatever works on a node is killed -9 in mid-work,
// and from that moment an external process starts the node's server as soon as it
// can, as a service manager does. The node never accepts writes, nothing that
// it alone held is lost, and it ends attached; only what fails again and again
// is parked until a person releases it.

// externalStarter starts the node's server whenever there is one to start, until
// the function it returns is called. The guard lets it accept no writes.
func (p *pool) externalStarter(g *guard, node int) (stop func()) {
	g.MustNotWrite(node, true)
	end := p.Supervise(node)
	return func() { end(); g.MustNotWrite(node, false) }
}

// crashAt restarts the node's agent so that it kills itself at the point.
func (p *pool) crashAt(node int, point string) {
	p.T.Helper()
	p.Must(p.SetEnv(resync.CrashEnv, point))
	p.Must(p.StopAgent(p.Ctx, node))
	// It may have killed itself before it was seen to listen.
	if err := p.StartAgent(p.Ctx, node); !errors.Is(err, lab.ErrKilled) {
		p.Must(err)
	}
	p.Must(p.SetEnv(resync.CrashEnv, ""))
}

// crashed waits until the node's agent has killed itself.
func (p *pool) crashed(node int, point string) {
	p.T.Helper()
	p.Wait(fmt.Sprintf("the agent of node %d to come to %s", node, point), func(anyContext) error {
		if p.AgentRuns(node) {
			return errors.New("it lives")
		}
		return nil
	})
}

// S6: the agent of a diverged old primary dies in the rewind.
func TestS06AgentKilledDuringRewind(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSeparate, Repool: testpool.CrashBinary(t)})
	g := p.guarded()
	for _, blow := range []struct {
		point string
		heals topology.Method
	}{
		{"rewind:move-away:effect", topology.MethodRewind},
		{"rewind:settle:intent", topology.MethodRewind},
		{"rewind:rewind:marked", topology.MethodBaseBackup},
		{"rewind:rewind:progress", topology.MethodBaseBackup},
		{"rewind:write-standby:effect", topology.MethodAdopt}, // rewound already, and on the line
		{"rewind:move-home:effect", topology.MethodStart},
	} {
		old := p.Primary()
		lost, err := p.Diverge(p.Ctx, old, 5)
		p.Must(err)
		p.crashAt(old, blow.point)
		since := time.Now()
		p.Must(p.KillNode(p.Ctx, old))
		p.crashed(old, blow.point)
		release := p.externalStarter(g, old)
		p.Must(p.StartAgent(p.Ctx, old))
		p.Whole(blow.point, since)
		release()
		if blow.heals != topology.MethodStart { // the external process may have been first
			p.HealedBy(old, since, blow.heals)
		}
		p.Vaulted(old, lost)
	}
	p.Equal()
}

// S6: the agent dies while the old primary is copied again.
func TestS06AgentKilledDuringBaseBackup(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSeparate, NoWALLogHints: true, Layout: lab.LayoutDebian,
		Repool: testpool.CrashBinary(t)})
	g := p.guarded()
	for _, point := range []string{
		"base-backup:copy:progress",
		"base-backup:move-home:intent",
		"base-backup:move-home:effect",
		"base-backup:retire:effect",
	} {
		old := p.Primary()
		lost, err := p.Diverge(p.Ctx, old, 5)
		p.Must(err)
		p.crashAt(old, point)
		since := time.Now()
		p.Must(p.KillNode(p.Ctx, old))
		p.crashed(old, point)
		release := p.externalStarter(g, old)
		p.Must(p.StartAgent(p.Ctx, old))
		p.Whole(point, since)
		release()
		p.Vaulted(old, lost)
	}
	p.Equal()
}

// S6: the controller dies while the node's agent, in a process of its own, is
// at work. The run goes on without it up to the step that needs clearance; the
// next controller clears it, and one run is all there is.
func TestS06ControllerKilledAgentsLive(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSeparate})
	g := p.guarded()
	for _, early := range []bool{true, false} {
		old := p.Primary()
		lost, err := p.Diverge(p.Ctx, old, 5)
		p.Must(err)
		since := time.Now()
		var resume func()
		if early { // before the clearance
			resume = p.Catch(0, "postgres: ", "checkpointer")()
			p.Must(p.KillNode(p.Ctx, old))
			p.Wait("the rewind to wait for the checkpoint", func(ctx context.Context) error {
				return p.awaitsCheckpoint(ctx, old, since)
			})
		} else { // after it
			caught := p.Catch(testpool.Copying, p.RewindOf(old)...)
			p.Must(p.KillNode(p.Ctx, old))
			resume = caught()
		}
		// Pgpool-II answers no question in the moment after an attach, and what cannot ask it cancels the run.
		p.Wait("all other nodes to be attached", func(ctx context.Context) error {
			for _, s := range p.Lab.Status(ctx) {
				if s.ID != old && !s.Attached {
					return fmt.Errorf("node %d is %s", s.ID, s.Pool)
				}
			}
			return nil
		})
		p.Must(p.KillController(p.Ctx, 0))
		if early { // the old primary's directory is still in its place, where anybody could start it
			resume()
			p.Wait("the directory to be in repair", func(anyContext) error {
				if there(p.Nodes[old].DataDir) {
					return errors.New("it is at home")
				}
				return nil
			})
		}
		release := p.externalStarter(g, old)
		resume()
		if !early {
			p.Wait("the run to end without a controller", func(ctx context.Context) error {
				if s := p.Lab.Status(ctx)[old]; !s.Streaming {
					return errors.New("the node does not stream")
				}
				return nil
			})
		}
		p.Must(p.StartController(p.Ctx, 0))
		p.Whole("controller killed", since)
		release()
		p.onlyRun(old, since, topology.MethodRewind)
		p.Vaulted(old, lost)
	}
	p.Equal()
}

// onlyRun asserts, by the node's own journal, that one run was made and that
// it ended well.
func (p *pool) onlyRun(node int, since time.Time, m topology.Method) {
	p.T.Helper()
	runs := p.Journal(node, since)
	if len(runs) != 1 || runs[0].Method != m || runs[0].Outcome != topology.RunDone {
		p.T.Errorf("runs of node %d: %+v, want one %s that ended well", node, runs, m)
	}
}

// S6: pg_rewind and pg_basebackup are killed, then the controller with its
// agents in it while they are at work, then pg_basebackup again and again.
func TestS06ProgramsKilled(t *testing.T) {
	p := up(t, lab.Options{RepoolConfig: "policy: {max_attempts: 3, backoff_base: 1s, max_rate: 8MB}\n"})
	g := p.guarded()
	for _, whole := range []bool{false, true} {
		old := p.Primary()
		lost, err := p.Diverge(p.Ctx, old, 5)
		p.Must(err)
		since := time.Now()
		rewinding := p.Catch(testpool.Copying, p.RewindOf(old)...)
		copying := p.Catch(0, p.BackupOf(old)...) // a half-rewound directory can only be replaced
		p.Must(p.KillNode(p.Ctx, old))
		rewinding()
		release := p.externalStarter(g, old)
		p.killed(whole, p.RewindOf(old))
		copying()
		p.killed(whole, p.BackupOf(old))
		p.Whole("pg_rewind and pg_basebackup killed", since)
		release()
		p.HealedBy(old, since, topology.MethodBaseBackup)
		p.Vaulted(old, lost)
	}

	n := p.Standbys()[0]
	since := time.Now()
	p.Wipe(n)
	release := p.externalStarter(g, n)
	p.Wait("the node to be parked", func(ctx context.Context) error {
		p.Signal(syscall.SIGKILL, p.BackupOf(n)...)
		st, err := p.Ctl.Status(ctx)
		if err != nil {
			return err
		}
		for _, d := range st.Decisions {
			if int(d.Node) == n && d.Code == codes.CopyFailed && d.Severity == codes.Refused {
				return nil
			}
		}
		return errors.New("it is not")
	})
	parked := time.Now()
	p.Wait("three more passes", func(anyContext) error { return p.passes(parked, 3) })
	p.NoRuns(n, parked)
	if err := p.detachedStill(n); err != nil {
		t.Error(err)
	}
	p.Release(n)
	p.Whole("released", since)
	release()
	p.Equal()
}

// killed kills a stopped program, or the controller with its agents, whose
// next life has to deal with the program that the last one left.
func (p *pool) killed(controller bool, program []string) {
	p.T.Helper()
	if controller {
		p.Must(p.KillController(p.Ctx, 0))
		p.Must(p.StartController(p.Ctx, 0))
		return
	}
	if p.Signal(syscall.SIGKILL, program...) == 0 {
		p.T.Errorf("%v has ended before it could be killed", program)
	}
}
