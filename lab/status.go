package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/pcp"
)

// NodeStatus is what Pgpool-II and the server itself say of one node now.
type NodeStatus struct {
	ID   int `json:"id"`
	Port int `json:"port"`
	// Pool is "up", "waiting", "down", "unused" or, when Pgpool-II did not
	// answer, "unknown"; PoolRole is its opinion, "primary" or "standby".
	Pool     string `json:"pool"`
	PoolRole string `json:"pool_role"`
	Attached bool   `json:"attached"`
	// Running: a postmaster works in the data directory. Answers: it took a
	// connection.
	Running bool `json:"running"`
	Answers bool `json:"answers"`
	// Primary: the server itself says that it is not in recovery.
	Primary  bool                `json:"primary"`
	Timeline topology.TimelineID `json:"timeline"`
	// LSN is the end of the WAL written (primary) or replayed (standby).
	LSN topology.LSN `json:"lsn"`
	// Streaming: the WAL receiver's state is "streaming", from port Upstream.
	Streaming bool   `json:"streaming"`
	Upstream  int    `json:"upstream_port,omitempty"`
	Error     string `json:"error,omitempty"`
}

// Status looks at all nodes, side by side. What does not answer is not an
// error: it shows in the node's fields.
func (l *Lab) Status(ctx context.Context) []NodeStatus {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var pool []pcp.HealthStats
	var g errgroup.Group
	g.Go(func() error { pool, _ = l.poolView(ctx); return nil }) // no answer is an answer
	out := l.servers(ctx)
	_ = g.Wait() // never an error
	for i, p := range pool {
		out[i].Pool, out[i].PoolRole, out[i].Attached = p.Status, p.Role, p.Attached()
	}
	return out
}

// servers is Status without Pgpool-II.
func (l *Lab) servers(ctx context.Context) []NodeStatus {
	out := make([]NodeStatus, len(l.Nodes))
	var g errgroup.Group
	for i, n := range l.Nodes {
		g.Go(func() error {
			out[i] = NodeStatus{ID: i, Port: n.Port, Pool: "unknown"}
			// The server of a destroyed directory has no postmaster.pid.
			out[i].Running = l.Postmaster(i) != 0 || !exists(n.DataDir) && len(l.nodeProcs(i)) > 0
			if err := l.askServer(ctx, &out[i]); err != nil {
				out[i].Error = err.Error()
			}
			return nil
		})
	}
	_ = g.Wait() // errors are in the fields
	return out
}

// poolView asks Pgpool-II in the cheap way, without having it connect to nodes.
func (l *Lab) poolView(ctx context.Context) ([]pcp.HealthStats, error) {
	if !l.PgpoolRuns(0) {
		return nil, errors.New("ask Pgpool-II: it does not run")
	}
	var out []pcp.HealthStats
	err := pcp.With(ctx, l.PCP(0), func(c *pcp.Conn) error {
		for i := range l.Nodes {
			h, err := c.HealthStats(ctx, i)
			if err != nil {
				return err
			}
			out = append(out, h)
		}
		return nil
	})
	return out, err
}

// PoolNodes is all that Pgpool-II i says of the nodes. It connects to each of
// them to answer: not to be asked often.
func (l *Lab) PoolNodes(ctx context.Context, i int) (nodes []pcp.NodeInfo, err error) {
	if !l.PgpoolRuns(i) {
		return nil, fmt.Errorf("ask Pgpool-II %d: it does not run", i)
	}
	err = pcp.With(ctx, l.PCP(i), func(c *pcp.Conn) error {
		nodes, err = c.Nodes(ctx)
		return err
	})
	return nodes, err
}

const serverState = `SELECT NOT pg_is_in_recovery(),
 CASE WHEN pg_is_in_recovery()
      THEN COALESCE((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))
      ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
 COALESCE(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, '0/0')::text,
 COALESCE((SELECT status FROM pg_stat_wal_receiver), '') = 'streaming',
 COALESCE((SELECT sender_port FROM pg_stat_wal_receiver), 0)`

func (l *Lab) askServer(ctx context.Context, s *NodeStatus) error {
	if !s.Running {
		return errors.New("no server runs")
	}
	return l.look(ctx, s.ID, func(c *pgx.Conn) error {
		var tli int64
		var lsn string
		if err := c.QueryRow(ctx, serverState).Scan(&s.Primary, &tli, &lsn, &s.Streaming, &s.Upstream); err != nil {
			return err
		}
		s.Answers, s.Timeline = true, topology.TimelineID(tli)
		var err error
		s.LSN, err = topology.ParseLSN(lsn)
		return err
	})
}

// PrimaryNode is the node that Pgpool-II holds for the primary and that says
// so itself.
func (l *Lab) PrimaryNode(ctx context.Context) (int, error) {
	for _, s := range l.Status(ctx) {
		if s.Attached && s.PoolRole == "primary" && s.Primary {
			return s.ID, nil
		}
	}
	return -1, errors.New("no attached node is the primary by Pgpool-II and by itself")
}

// WaitPrimary waits for PrimaryNode to name one.
func (l *Lab) WaitPrimary(ctx context.Context) (int, error) {
	id := -1
	err := WaitFor(ctx, "a primary", func(ctx context.Context) (err error) {
		id, err = l.PrimaryNode(ctx)
		return err
	})
	return id, err
}

// WaitNewPrimary waits for a primary other than node old.
func (l *Lab) WaitNewPrimary(ctx context.Context, old int) (int, error) {
	id := -1
	err := WaitFor(ctx, fmt.Sprintf("a primary other than node %d", old), func(ctx context.Context) (err error) {
		if id, err = l.PrimaryNode(ctx); err == nil && id == old {
			err = errors.New("it is still the same")
		}
		return err
	})
	return id, err
}

// WaitAttached waits until Pgpool-II routes to these nodes; none means all.
func (l *Lab) WaitAttached(ctx context.Context, nodes ...int) error {
	if len(nodes) == 0 {
		nodes = l.allNodes()
	}
	return WaitFor(ctx, fmt.Sprintf("nodes %v to be attached", nodes), func(ctx context.Context) error {
		infos, err := l.poolView(ctx)
		if err != nil {
			return err
		}
		for _, i := range nodes {
			if !infos[i].Attached() {
				return fmt.Errorf("node %d is %s", i, infos[i].Status)
			}
		}
		return nil
	})
}

// WaitDetached waits until Pgpool-II does not route to node i.
func (l *Lab) WaitDetached(ctx context.Context, i int) error {
	return WaitFor(ctx, fmt.Sprintf("node %d to be detached", i), func(ctx context.Context) error {
		infos, err := l.poolView(ctx)
		if err == nil && infos[i].Attached() {
			err = errors.New("it is attached")
		}
		return err
	})
}

// WaitStreaming waits until all servers but one primary stream from it, on its
// timeline. It does not ask Pgpool-II.
func (l *Lab) WaitStreaming(ctx context.Context) error {
	return WaitFor(ctx, "all standbys to stream from one primary", func(ctx context.Context) error {
		return streaming(l.servers(ctx))
	})
}

// WaitHealthy waits until one primary and all standbys are attached, and the
// standbys stream from it.
func (l *Lab) WaitHealthy(ctx context.Context) error {
	return WaitFor(ctx, "all nodes to be attached and streaming", func(ctx context.Context) error {
		if err := streaming(l.servers(ctx)); err != nil {
			return err // Pgpool-II is asked only when the rest is well
		}
		return Healthy(l.Status(ctx))
	})
}

// Healthy says what is missing for all to be attached and streaming; nil when
// nothing is.
func Healthy(all []NodeStatus) error {
	if err := streaming(all); err != nil {
		return err
	}
	for _, s := range all {
		if !s.Attached {
			return fmt.Errorf("node %d is %s in Pgpool-II", s.ID, s.Pool)
		}
		if s.Primary != (s.PoolRole == "primary") {
			return fmt.Errorf("node %d: Pgpool-II takes it for a %s and it is not", s.ID, s.PoolRole)
		}
	}
	return nil
}

func streaming(all []NodeStatus) error {
	var primary *NodeStatus
	for i, s := range all {
		switch {
		case !s.Answers:
			return fmt.Errorf("node %d does not answer: %s", s.ID, s.Error)
		case s.Primary && primary != nil:
			return fmt.Errorf("nodes %d and %d are both primary", primary.ID, s.ID)
		case s.Primary:
			primary = &all[i]
		}
	}
	if primary == nil {
		return errors.New("no node is primary")
	}
	for _, s := range all {
		if !s.Primary && (!s.Streaming || s.Upstream != primary.Port || s.Timeline != primary.Timeline) {
			return fmt.Errorf("node %d does not stream from node %d on timeline %s", s.ID, primary.ID, primary.Timeline)
		}
	}
	return nil
}

func (l *Lab) allNodes() []int {
	out := make([]int, len(l.Nodes))
	for i := range out {
		out[i] = i
	}
	return out
}
