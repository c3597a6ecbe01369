package observe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/pcp"
)

// PCPReader reads one Pgpool-II's view over PCP. Each view has its own short
// connection: one left open freezes failover in 4.3 and 4.4.
type PCPReader struct {
	conf  pcp.Config
	nodes []topology.NodeID

	mu sync.Mutex
	// alone is until when Pgpool-II is assumed to run without a watchdog: it said
	// so, and has answered ever since.
	alone time.Time
}

// aloneFor is how long "watchdog is not enabled" is believed. Only a restart changes
// it, and then a query or two fail. Pgpool-II logs an error each time it is asked.
const aloneFor = time.Minute

// NewPCPReader returns a reader that asks about these nodes.
func NewPCPReader(conf pcp.Config, nodes []topology.NodeID) *PCPReader {
	return &PCPReader{conf: conf, nodes: nodes}
}

// Endpoint is the address that is asked.
func (r *PCPReader) Endpoint() string { return r.conf.Addr() }

// View asks once. It uses the health-check statistics, which Pgpool-II answers
// from memory; node info would make it connect to each node in turn.
func (r *PCPReader) View(ctx context.Context) topology.PoolView {
	v := topology.PoolView{Endpoint: r.Endpoint(), Primary: topology.NoNode}
	err := pcp.With(ctx, r.conf, func(c *pcp.Conn) error {
		for _, id := range r.nodes {
			h, err := c.HealthStats(ctx, int(id))
			if err != nil {
				return fmt.Errorf("health check statistics of node %d: %w", id, err)
			}
			n := topology.PoolNode{ID: id, Role: h.Role, LastChange: h.LastStatusChange, Checks: checksOf(h)}
			switch h.Status {
			case "quarantine":
				n.Status, n.Quarantine = topology.PoolDown, true
			default:
				n.Status = topology.PoolStatus(h.Status)
			}
			if h.Role == "primary" {
				v.Primary = id
			}
			v.Nodes = append(v.Nodes, n)
		}
		if r.runsAlone() {
			return nil
		}
		wd, err := c.Watchdog(ctx)
		switch {
		case errors.Is(err, pcp.ErrWatchdogOff):
			r.setAlone(time.Now().Add(aloneFor))
			return nil
		case err != nil:
			return fmt.Errorf("watchdog info: %w", err)
		}
		v.Watchdog = topology.Watchdog{Enabled: true, Leader: wd.LeaderHere(), Quorum: int(wd.Quorum),
			State:  wd.Self().StateName,
			Remote: wd.RemoteNodes, Alive: wd.AliveNodes, Required: wd.NodesForQuorum, Escalated: wd.Escalated == 1}
		return nil
	})
	v.At = time.Now()
	if err != nil {
		r.setAlone(time.Time{})
		// Half a view counts as none: a node that is missing from it is not detached.
		v.Silent = errors.Is(err, context.DeadlineExceeded)
		// The address is the view's Endpoint.
		v.Err = strings.TrimPrefix(err.Error(), "pcp "+r.Endpoint()+": ")
		v.Nodes, v.Primary, v.Watchdog = nil, topology.NoNode, topology.Watchdog{}
	}
	return v
}

func (r *PCPReader) runsAlone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.alone)
}

func (r *PCPReader) setAlone(until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alone = until
}
