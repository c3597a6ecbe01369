package observe

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/pcp"
)

// Detail asks Pgpool-II about itself. Both commands are answered from shared memory.
// Node info, which has weight and delay too, is avoided: Pgpool-II connects to the
// node to answer it, and up to 4.4 no failover begins until it has.
func (r *PCPReader) Detail(ctx context.Context) topology.PoolDetail {
	var d topology.PoolDetail
	err := pcp.With(ctx, r.conf, func(c *pcp.Conn) error {
		settings, err := c.PoolStatus(ctx)
		if err != nil {
			return fmt.Errorf("pool status: %w", err)
		}
		processes, err := c.Processes(ctx)
		if err != nil {
			return fmt.Errorf("process info: %w", err)
		}
		d = detailOf(settings, processes, r.nodes)
		return nil
	})
	d.At = time.Now()
	if err != nil {
		d.Err = err.Error()
	}
	return d
}

func detailOf(settings []pcp.Setting, processes []pcp.ProcessInfo, nodes []topology.NodeID) topology.PoolDetail {
	value := map[string]string{}
	for _, s := range settings {
		value[s.Name] = s.Value
	}
	d := topology.PoolDetail{Processes: countProcesses(processes)}
	connections := map[int]int{}
	for _, p := range processes {
		if p.Database != "" {
			connections[p.NodeID]++
		}
	}
	for _, id := range nodes {
		n := topology.NodeDetail{ID: id, Connections: connections[int(id)]}
		n.Weight, _ = number(value["backend_weight"+id.String()])
		// With delay_threshold_by_time a unit follows the number.
		delay, unit, _ := strings.Cut(value["standby_delay"+id.String()], " ")
		n.Delay, n.DelayKnown = number(delay)
		n.DelayByTime = strings.HasPrefix(unit, "second")
		d.Nodes = append(d.Nodes, n)
	}
	return d
}

// number is lenient: these figures are only shown.
func number(s string) (float64, bool) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0, false
	}
	return v, true
}

// countProcesses counts each process once. A process has a record for each
// connection that it keeps; Connected marks the one with a client.
func countProcesses(list []pcp.ProcessInfo) topology.ProcessCounts {
	status := map[int]string{}
	for _, p := range list {
		if _, seen := status[p.PID]; !seen || p.Connected {
			status[p.PID] = p.Status
		}
	}
	var n topology.ProcessCounts
	for _, s := range status {
		switch s {
		case "Wait for connection", "":
			n.Free++
		case "Idle":
			n.Idle++
		case "Idle in transaction":
			n.IdleInTransaction++
		default:
			n.Active++
		}
	}
	return n
}

func checksOf(h pcp.HealthStats) topology.HealthChecks {
	return topology.HealthChecks{Success: h.Success, Fail: h.Fail, Skip: h.Skip, Retries: h.Retries,
		MaxRetries: h.MaxRetries,
		Average:    h.AverageDuration, Longest: h.MaxDuration, Last: h.LastCheck, LastSuccess: h.LastSuccess,
		LastFail: h.LastFail}
}
