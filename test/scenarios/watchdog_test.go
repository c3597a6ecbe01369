package scenarios

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/pcp"
)

// Two Pgpool-IIs with a watchdog, a controller beside each, one agent per node
// for both. Only the controller beside the leader acts; when the leader is
// killed in the middle of a resync, the other one takes over: the run is the
// agent's and goes on, and its end and the attach are the other one's.
func TestWatchdogOnlyTheLeaderActs(t *testing.T) {
	p := up(t, lab.Options{Watchdog: 2, Agents: lab.AgentsSeparate, RepoolConfig: "policy: {max_rate: 4MB}\n"})
	second := control.NewClient(p.ControllerSocket(1))
	p.Wait("the second controller to see that it only looks", func(ctx context.Context) error {
		st, err := second.Status(ctx)
		if err == nil && (st.Acting || len(st.Decisions) == 0) {
			err = fmt.Errorf("acting: %v, %d decisions", st.Acting, len(st.Decisions))
		}
		return err
	})
	n := p.Standbys()[0]
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, n))
	p.Whole("beside the leader", since)
	p.HealedBy(n, since, topology.MethodStart)
	st, err := second.Status(p.Ctx)
	p.Must(err)
	for _, d := range st.Decisions {
		if d.Code != codes.NotLeader {
			t.Errorf("the controller that only looks has code %s for node %d", d.Code, d.Node)
		}
	}
	if ran := eventsOf(p, second, "run"); ran != 0 {
		t.Errorf("the controller that only looks has %d events of runs", ran)
	}

	p.Wipe(n)
	p.during(n, "copy")
	p.Must(p.KillPgpool(p.Ctx, 0, false))
	p.Must(p.KillController(p.Ctx, 0))
	p.Wait("the other side to have healed the node", func(ctx context.Context) error {
		return p.healedSeenBy(ctx,
			second, 1)
	})
	if n := eventsOf(p, second, "attach"); n == 0 {
		t.Error("the controller that took over has attached nothing")
	}
	p.Must(p.StartPgpool(p.Ctx, 0))
	p.Must(p.StartController(p.Ctx, 0))
	p.Wait("the first controller to look on", func(ctx context.Context) error {
		st, err := p.Ctl.Status(ctx)
		if err == nil && (st.Acting || len(st.Decisions) == 0) {
			err = fmt.Errorf("acting: %v: %s", st.Acting, st.Why)
		}
		return err
	})
	p.Equal()
}

// A hold is given to the member that only looks on; a second one, by a detach, to the
// leader. Then the leader is killed with its controller, and the held nodes go down: the
// new leader leaves them alone, and after a release at the other end heals them.
func TestWatchdogHoldsOutliveTheLeader(t *testing.T) {
	p := up(t, lab.Options{Watchdog: 2, Agents: lab.AgentsSeparate})
	second := control.NewClient(p.ControllerSocket(1))
	p.Wait("the second controller to see that it only looks", func(ctx context.Context) error {
		st, err := second.Status(ctx)
		if err == nil && (st.Acting || len(st.Decisions) == 0) {
			err = fmt.Errorf("acting: %v, %d decisions", st.Acting, len(st.Decisions))
		}
		return err
	})
	byHold, byDetach := p.Standbys()[0], p.Standbys()[1]
	p.Must(second.Hold(p.Ctx, control.HoldRequest{Node: topology.NodeID(byHold), Who: "test", Why: "new disk"}))
	p.Must(p.Ctl.Detach(p.Ctx, control.NodeRequest{Node: topology.NodeID(byDetach), Who: "test", Why: "new disk"}))
	p.Code(byHold, codes.OnHold)
	p.Code(byDetach, codes.OnHold)

	p.Must(p.KillPgpool(p.Ctx, 0, false))
	p.Must(p.KillController(p.Ctx, 0))
	p.Must(p.KillNode(p.Ctx, byHold))
	since := uint64(0)
	p.Wait("the other side to lead, and to leave the nodes alone", func(ctx context.Context) error {
		st, err := second.Status(ctx)
		if err != nil {
			return err
		}
		if !st.Acting {
			return fmt.Errorf("it does not act: %s", st.Why)
		}
		for _, d := range st.Decisions {
			if held := int(d.Node) == byHold || int(d.Node) == byDetach; held && d.Code != codes.OnHold {
				t.Errorf("node %d has %s: %s", d.Node, d.Code, d.Reason)
			}
		}
		if since == 0 {
			since = st.Pass
		}
		if st.Pass < since+5 {
			return fmt.Errorf("%d passes so far", st.Pass-since)
		}
		return nil
	})
	if ran := eventsOf(p, second, "run") + eventsOf(p, second, "attach"); ran != 0 {
		t.Errorf("%d runs and attaches of nodes on hold", ran)
	}
	p.Must(p.StartPgpool(p.Ctx, 0))
	p.Must(p.StartController(p.Ctx, 0))
	p.Wait("the first controller to look on", func(ctx context.Context) error {
		st, err := p.Ctl.Status(ctx)
		if err == nil && (st.Acting || len(st.Decisions) == 0) {
			err = fmt.Errorf("acting: %v: %s", st.Acting, st.Why)
		}
		return err
	})
	p.Release(byHold)
	p.Release(byDetach)
	p.Wait("the leader to have healed what was released", func(ctx context.Context) error {
		return p.healedSeenBy(ctx, second, 1)
	})
	p.Equal()
}

// eventsOf counts a controller's events of one kind.
func eventsOf(p *pool, c *control.Client, kind string) int {
	p.T.Helper()
	events, err := c.History(p.Ctx, event.Filter{Kind: kind, Limit: 500})
	p.Must(err)
	return len(events)
}

// healedSeenBy says what is missing until one controller holds every node for
// well, and Pgpool-II i routes to all of them.
func (p *pool) healedSeenBy(ctx context.Context, c *control.Client, i int) error {
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if !st.Acting {
		return fmt.Errorf("it does not act: %s", st.Why)
	}
	for _, d := range st.Decisions {
		if d.Severity != codes.OK {
			return fmt.Errorf("node %d: %s: %s", d.Node, d.Code, d.Reason)
		}
	}
	nodes, err := p.PoolNodes(ctx, i)
	if err != nil {
		return err
	}
	primary := false
	for _, n := range nodes {
		if !n.Attached() {
			return fmt.Errorf("node %d is %s", n.ID, n.Status)
		}
		primary = primary || n.Role == pcp.RolePrimary
	}
	if !primary {
		return errors.New("Pgpool-II knows no primary")
	}
	return nil
}
