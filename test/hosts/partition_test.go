package hosts

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/topology"
)

// The old primary is on the wrong side of a partition, with a client that goes on
// writing there: nobody can fence it, which is written down; when the network
// heals it is stopped, its commits are in the vault, and it comes back.
func TestPartitionWithTheOldPrimary(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS})
	old := p.primary()
	since := time.Now()
	p.must(p.CutCable(p.ctx, p.NodeHost(old)))
	p.newPrimary(old)
	lost, err := p.CommitRows(p.ctx, old, 20)
	p.must(err)
	p.wait("the hook to write down that it could not fence", func(context.Context) error {
		if !strings.Contains(p.hooks(), "not fenced") {
			return errors.New("it does not say so")
		}
		return nil
	})
	p.must(p.MendCable(p.ctx, p.NodeHost(old)))
	p.whole("the partition has healed", since)
	p.healedBy(old, since, topology.MethodRewind)
	p.vaulted(old, lost)
	p.equal()
}

// What the old primary sends is lost, and what is sent to it arrives: to the
// others it is as dead as with no network, and the same happens.
func TestLossInOneDirection(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH})
	old := p.primary()
	since := time.Now()
	p.must(p.Lose(p.ctx, p.NodeHost(old), ""))
	p.newPrimary(old)
	lost, err := p.CommitRows(p.ctx, old, 5)
	p.must(err)
	p.must(p.HealNetwork(p.ctx))
	p.whole("all arrives again", since)
	p.vaulted(old, lost)
	p.equal()
}

// diverged kills the primary with rows that nobody else has, and waits until the
// others have gone on without it.
func (p *pool) diverged(rows int) (old int, lost []lab.Row) {
	p.t.Helper()
	old = p.primary()
	lost, err := p.Diverge(p.ctx, old, rows)
	p.must(err)
	p.must(p.KillNode(p.ctx, old))
	p.newPrimary(old)
	return old, lost
}

// atStep waits until the node's run is at that step.
func (p *pool) atStep(node int, step string) {
	p.t.Helper()
	p.wait("a run at "+step, func(ctx context.Context) error {
		st, err := p.ctl.Status(ctx)
		if err != nil {
			return err
		}
		for _, n := range st.Snapshot.Nodes {
			if int(n.ID) == node && n.Agent.Run != nil && n.Agent.Run.Step() == step && !n.Agent.Run.Outcome.Ended() {
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
	p.must(p.bulk(60))
	p.must(p.SlowLink(p.ctx, p.NodeHost(p.primary()), "100mbit"))
	since := time.Now()
	old, lost := p.diverged(10)
	p.must(p.SlowLink(p.ctx, p.NodeHost(p.primary()), "100mbit"))
	p.atStep(old, "rewind")
	p.must(p.Part(p.ctx, p.NodeHost(old), ""))
	p.code(old, "agent-unreachable")
	p.neverPrimary(old)
	p.must(p.HealNetwork(p.ctx))
	p.whole("partition during a rewind", since)
	p.vaulted(old, lost)
	p.equal()
}

// The same in the middle of a base backup, between the node and its source only:
// the copy fails and starts over, and what was there before is kept meanwhile.
func TestPartitionDuringBaseBackup(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH, NoWALLogHints: true, RepoolConfig: "policy: {max_attempts: 50, backoff_max: 5s, max_rate: 8MB}\n"})
	p.must(p.bulk(60))
	since := time.Now()
	old, lost := p.diverged(10)
	now := p.primary()
	p.atStep(old, "copy")
	p.must(p.Part(p.ctx, p.NodeHost(old), p.NodeHost(now)))
	p.keptAside(old)
	p.neverPrimary(old)
	p.must(p.HealNetwork(p.ctx))
	p.whole("partition during a base backup", since)
	p.healedBy(old, since, topology.MethodBaseBackup)
	p.vaulted(old, lost)
	p.equal()
}

// The controller's host is cut off from one node only, a standby: the others see
// it, and its clients do; nothing is done to it but what Pgpool-II does.
func TestControllerCutOffFromOneNode(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS})
	one := p.standby()
	before := p.Postmaster(one)
	since := time.Now()
	p.must(p.Part(p.ctx, p.NodeHost(one), p.PgpoolHost(0)))
	p.code(one, "agent-unreachable")
	if pr := p.primary(); pr == one {
		t.Errorf("node %d became the primary", one)
	}
	for _, s := range p.Lab.Status(p.ctx) {
		if s.ID == one && !s.Streaming {
			t.Errorf("node %d does not stream any more", one)
		}
	}
	p.must(p.HealNetwork(p.ctx))
	p.whole("the controller sees the node again", since)
	if after := p.Postmaster(one); after != before || before == 0 {
		t.Errorf("the server was restarted: process %d, then %d", before, after)
	}
	for _, r := range p.runs(one, since) {
		if r.Method.Destructive() {
			t.Errorf("node %d was overwritten: %+v", one, r)
		}
	}
	p.equal()
}

// The source's host loses its power in the middle of a base backup: nothing is
// closed, and the copy ends all the same; another standby becomes the source.
func TestSourceVanishesDuringBaseBackup(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsTLS, NoWALLogHints: true, RepoolConfig: "policy: {max_attempts: 50, backoff_max: 5s, max_rate: 4MB}\n"})
	p.must(p.bulk(60))
	since := time.Now()
	old, lost := p.diverged(10)
	source := p.primary()
	p.atStep(old, "copy")
	p.must(p.PowerOff(p.ctx, p.NodeHost(source)))
	p.newPrimary(source)
	p.keptAside(old)
	p.must(p.PowerOnNode(p.ctx, source, true)) // set to start at boot: a second primary, for a moment
	p.whole("the source's power was lost", since)
	p.vaulted(old, lost)
	p.equal()
}
