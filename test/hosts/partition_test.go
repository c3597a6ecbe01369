package hosts

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// The old primary is on the wrong side of a partition, with a client that goes on
// writing there: nobody can fence it, which is written down; when the network
// heals it is stopped, its commits are in the vault, and it comes back.
func TestPartitionWithTheOldPrimary(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS})
	old := p.Primary()
	since := time.Now()
	p.Must(p.CutCable(p.Ctx, p.NodeHost(old)))
	p.NewPrimary(old)
	lost, err := p.CommitRows(p.Ctx, old, 20)
	p.Must(err)
	p.Wait("the hook to write down that it could not fence", func(context.Context) error {
		if !strings.Contains(p.hooks(), "not fenced") {
			return errors.New("it does not say so")
		}
		return nil
	})
	p.Must(p.MendCable(p.Ctx, p.NodeHost(old)))
	p.Whole("the partition has healed", since)
	p.HealedBy(old, since, topology.MethodRewind)
	p.Vaulted(old, lost)
	p.Equal()
}

// What the old primary sends is lost, and what is sent to it arrives: to the
// others it is as dead as with no network, and the same happens.
func TestLossInOneDirection(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH})
	old := p.Primary()
	since := time.Now()
	p.Must(p.Lose(p.Ctx, p.NodeHost(old), ""))
	p.NewPrimary(old)
	lost, err := p.CommitRows(p.Ctx, old, 5)
	p.Must(err)
	p.Must(p.HealNetwork(p.Ctx))
	p.Whole("all arrives again", since)
	p.Vaulted(old, lost)
	p.Equal()
}

// diverged kills the primary with rows that nobody else has, and waits until the
// others have gone on without it.
func (p *pool) diverged(rows int) (old int, lost []lab.Row) {
	p.T.Helper()
	old = p.Primary()
	lost, err := p.Diverge(p.Ctx, old, rows)
	p.Must(err)
	p.Must(p.KillNode(p.Ctx, old))
	p.NewPrimary(old)
	return old, lost
}

// atStep waits until the node's run is at that step.
func (p *pool) atStep(node int, step string) {
	p.T.Helper()
	p.Wait("a run at "+step, func(ctx context.Context) error {
		st, err := p.Ctl.Status(ctx)
		if err != nil {
			return err
		}
		for _, n := range st.Snapshot.Nodes {
			if r := n.Agent.Run; int(n.ID) == node && r != nil && r.Step() == step && r.Outcome == topology.RunRunning &&
				r.BytesDone > 0 {
				return nil
			}
		}
		return errors.New("not yet")
	})
}

// The network is cut in the middle of a rewind, between the node and everybody
// else: the rewind fails or goes on, the node is never started half done, and it
// comes back when the network does.
func TestPartitionDuringRewind(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS, RepoolConfig: "policy: {max_attempts: 50, backoff_max: 5s}\n"})
	p.Must(p.bulk(60))
	p.Must(p.SlowLink(p.Ctx, p.NodeHost(p.Primary()), "100mbit"))
	since := time.Now()
	old, lost := p.diverged(10)
	p.Must(p.SlowLink(p.Ctx, p.NodeHost(p.Primary()), "100mbit"))
	p.atStep(old, "rewind")
	p.Must(p.Part(p.Ctx, p.NodeHost(old), ""))
	p.Code(old, "agent-unreachable")
	p.neverPrimary(old)
	p.Must(p.HealNetwork(p.Ctx))
	p.Whole("partition during a rewind", since)
	p.Vaulted(old, lost)
	p.Equal()
}

// The same in the middle of a base backup, between the node and its source only:
// the copy fails and starts over, and what was there before is kept meanwhile.
func TestPartitionDuringBaseBackup(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH, NoWALLogHints: true,
		RepoolConfig: "policy: {max_attempts: 50, backoff_max: 5s, max_rate: 8MB}\n"})
	p.Must(p.bulk(60))
	since := time.Now()
	old, lost := p.diverged(10)
	now := p.Primary()
	p.atStep(old, "copy")
	p.Must(p.Part(p.Ctx, p.NodeHost(old), p.NodeHost(now)))
	p.keptInRepair(old)
	p.neverPrimary(old)
	p.Must(p.HealNetwork(p.Ctx))
	p.Whole("partition during a base backup", since)
	p.HealedBy(old, since, topology.MethodBaseBackup)
	p.Vaulted(old, lost)
	p.Equal()
}

// The controller's host is cut off from one node only, a standby: the others see
// it, and its clients do; nothing is done to it but what Pgpool-II does.
func TestControllerCutOffFromOneNode(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS})
	one := p.standby()
	before := p.Postmaster(one)
	since := time.Now()
	p.Must(p.Part(p.Ctx, p.NodeHost(one), p.PgpoolHost(0)))
	p.Code(one, "agent-unreachable")
	if pr := p.Primary(); pr == one {
		t.Errorf("node %d became the primary", one)
	}
	for _, s := range p.Lab.Status(p.Ctx) {
		if s.ID == one && !s.Streaming {
			t.Errorf("node %d does not stream any more", one)
		}
	}
	p.Must(p.HealNetwork(p.Ctx))
	p.Whole("the controller sees the node again", since)
	if after := p.Postmaster(one); after != before || before == 0 {
		t.Errorf("the server was restarted: process %d, then %d", before, after)
	}
	for _, r := range p.Runs(one, since) {
		if r.Method.Destructive() {
			t.Errorf("node %d was overwritten: %+v", one, r)
		}
	}
	p.Equal()
}

// The source's host loses its power in the middle of a base backup: nothing is
// closed, and the copy ends all the same; another standby becomes the source.
func TestSourceVanishesDuringBaseBackup(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS, NoWALLogHints: true,
		RepoolConfig: "policy: {max_attempts: 50, backoff_max: 5s, max_rate: 4MB}\n"})
	p.Must(p.bulk(60))
	since := time.Now()
	old, lost := p.diverged(10)
	source := p.Primary()
	p.atStep(old, "copy")
	p.Must(p.PowerOff(p.Ctx, p.NodeHost(source)))
	p.NewPrimary(source)
	p.keptInRepair(old)
	p.Must(p.PowerOnNode(p.Ctx, source, true)) // set to start at boot: a second primary, for a moment
	p.Whole("the source's power was lost", since)
	p.Vaulted(old, lost)
	p.Equal()
}
