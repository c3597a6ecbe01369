package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/lab"
)

// lostRows is how many commits the acts lose on purpose.
const lostRows = 25

// nothingLost is act 1: the primary dies when the standbys have everything.
func (s *show) nothingLost(ctx context.Context, a *Act) error {
	p, err := s.lab.WaitPrimary(ctx)
	if err != nil {
		return err
	}
	// The client holds its breath for a moment, so that nothing is on the way.
	resume, err := s.pauseClient(ctx, p)
	if err != nil {
		return err
	}
	fault := s.begin(a, p, "the primary is killed; the standbys have everything", topology.MethodAdopt)
	err = s.lab.KillNode(ctx, p)
	resume()
	if err != nil {
		return err
	}
	s.tell.say(time.Now(), "kill -9 of node %d, the primary, and all its processes", p)
	return s.heal(ctx, a, fault)
}

// commitsLost is act 2: the primary dies with commits that no standby has.
func (s *show) commitsLost(ctx context.Context, a *Act) error {
	p, err := s.lab.WaitPrimary(ctx)
	if err != nil {
		return err
	}
	if err := s.commit(ctx, p, s.lab.Diverge); err != nil {
		return err
	}
	fault := s.begin(a, p, "the primary is killed with commits no standby has", topology.MethodRewind)
	if err := s.lab.KillNode(ctx, p); err != nil {
		return err
	}
	s.tell.say(time.Now(), "kill -9 of node %d, the primary, after %d commits that reached no standby", p, lostRows)
	return s.healWithLoss(ctx, a, fault)
}

// standbyKilled is act 3.
func (s *show) standbyKilled(ctx context.Context, a *Act) error {
	n, err := s.aStandby(ctx)
	if err != nil {
		return err
	}
	fault := s.begin(a, n, "a standby is killed", topology.MethodStart)
	if err := s.lab.KillNode(ctx, n); err != nil {
		return err
	}
	s.tell.say(time.Now(), "kill -9 of node %d, a standby, and all its processes", n)
	return s.heal(ctx, a, fault)
}

// dataDestroyed is act 4.
func (s *show) dataDestroyed(ctx context.Context, a *Act) error {
	n, err := s.aStandby(ctx)
	if err != nil {
		return err
	}
	fault := s.begin(a, n, "a standby's data directory is destroyed", topology.MethodBaseBackup)
	if err := s.lab.DestroyData(ctx, n); err != nil {
		return err
	}
	s.tell.say(time.Now(), "the data directory of node %d is removed, under its running server", n)
	return s.heal(ctx, a, fault)
}

// secondPrimary is act 5: a person starts the dead primary by hand.
func (s *show) secondPrimary(ctx context.Context, a *Act) error {
	p, err := s.lab.WaitPrimary(ctx)
	if err != nil {
		return err
	}
	fault := s.begin(a, p, "the old primary is started by hand as a second primary", topology.MethodRewind)
	node := topology.NodeID(p)
	if err := s.ctl.Hold(ctx, control.HoldRequest{Node: node, Who: "demo",
		Why: "someone looks at the crashed node by hand", Until: time.Now().Add(actDeadline)}); err != nil {
		return err
	}
	if err := s.lab.KillNode(ctx, p); err != nil {
		return err
	}
	s.tell.say(time.Now(), "kill -9 of node %d, the primary, which someone has put on hold", p)
	if _, err := s.lab.WaitNewPrimary(ctx, p); err != nil {
		return err
	}
	if err := s.events(ctx, a, fault); err != nil {
		return err
	}
	if err := s.lab.StartNode(ctx, p); err != nil {
		return err
	}
	s.tell.say(time.Now(), "that person starts node %d as it was: two primaries now", p)
	if err := s.commit(ctx, p, s.lab.CommitRows); err != nil {
		return err
	}
	s.tell.say(time.Now(), "%d commits on the wrong primary; then the hold is released", lostRows)
	if err := s.ctl.Release(ctx, node, "demo"); err != nil {
		return err
	}
	return s.heal(ctx, a, fault)
}

// partition is act 6: the primary's host loses its network, with a client on the
// wrong side; nobody can reach it to stop its server.
func (s *show) partition(ctx context.Context, a *Act) error {
	p, err := s.lab.WaitPrimary(ctx)
	if err != nil {
		return err
	}
	fault := s.begin(a, p, "the primary's host is cut off, and goes on taking commits", topology.MethodRewind)
	if err := s.lab.Part(ctx, s.lab.NodeHost(p), ""); err != nil {
		return err
	}
	s.tell.say(time.Now(), "nothing gets to or from the host of node %d, the primary", p)
	if _, err := s.lab.WaitNewPrimary(ctx, p); err != nil {
		return err
	}
	if err := s.events(ctx, a, fault); err != nil {
		return err
	}
	if err := s.commit(ctx, p, s.lab.CommitRows); err != nil {
		return err
	}
	s.tell.say(time.Now(), "%d commits by a client on the wrong side; then the network heals", lostRows)
	if err := s.lab.HealNetwork(ctx); err != nil {
		return err
	}
	return s.healWithLoss(ctx, a, fault)
}

// begin opens an act at the moment of its fault, and returns that moment.
func (s *show) begin(a *Act, node int, title string, method topology.Method) time.Time {
	fault := time.Now()
	a.Node, a.Title, a.Expected = node, title, string(method)
	s.tell.title(a, fault)
	s.writer.ResetGap()
	return fault
}

// commit makes commits directly on a node, which no other node will have.
func (s *show) commit(ctx context.Context, node int, how func(context.Context, int, int) ([]lab.Row, error)) error {
	rows, err := how(ctx, node, lostRows)
	s.lost = append(s.lost, rows...)
	return err
}

// healWithLoss is heal for an act that loses commits: the vault must list them.
func (s *show) healWithLoss(ctx context.Context, a *Act, fault time.Time) error {
	if err := s.heal(ctx, a, fault); err != nil {
		return err
	}
	if a.LostCommits < lostRows {
		a.Healed, a.Note = false, fmt.Sprintf("the vault lists %d lost commits, at least %d were lost", a.LostCommits,
			lostRows)
	}
	return nil
}

// pauseClient stops the client until resume is called, and waits until every
// standby has flushed all that node p has written.
func (s *show) pauseClient(ctx context.Context, p int) (resume func(), err error) {
	resume = s.writer.Pause()
	err = lab.WaitFor(ctx, "the standbys to have everything", func(ctx context.Context) error {
		level, err := s.lab.Value(ctx, p,
			`SELECT count(*) = 2 AND bool_and(flush_lsn = pg_current_wal_insert_lsn()) FROM pg_stat_replication`)
		if err == nil && level != "true" {
			err = errors.New("WAL is still on its way")
		}
		return err
	})
	if err != nil {
		resume()
		return nil, err
	}
	return resume, nil
}

// aStandby is the highest node that is not the primary.
func (s *show) aStandby(ctx context.Context) (int, error) {
	p, err := s.lab.WaitPrimary(ctx)
	if err != nil {
		return 0, err
	}
	for i := len(s.lab.Nodes) - 1; i >= 0; i-- {
		if i != p {
			return i, nil
		}
	}
	return 0, errors.New("the pool has no standby")
}
