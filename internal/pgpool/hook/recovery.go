package hook

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
)

// recoveryCall is what pgpool_recovery passes to the recovery scripts. The
// number of arguments grew over the versions: three before 3.4, then the
// primary's port (3.4), the node's id (4.0), its port (4.1), and the primary's
// host (4.3).
type recoveryCall struct {
	host, dir   string
	node        topology.NodeID // NoNode: not passed
	primaryPort int
	primaryHost string
}

func parseRecovery(args []string) (recoveryCall, error) {
	c := recoveryCall{node: topology.NoNode}
	if len(args) < 3 || len(args) > 7 {
		return c, usage("%d arguments: a recovery script gets 3 to 7 from pgpool_recovery", len(args))
	}
	c.host, c.dir = args[1], args[2] // args[0] is the primary's data directory
	number := func(i int, what string) (int, error) {
		if len(args) <= i || args[i] == "" {
			return 0, nil
		}
		n, err := strconv.ParseUint(args[i], 10, 16)
		if err != nil {
			return 0, usage("argument %d is %q, and should be %s", i+1, args[i], what)
		}
		return int(n), nil
	}
	var errs [3]error
	c.primaryPort, errs[0] = number(3, "the primary's port")
	_, errs[2] = number(5, "the node's port")
	if len(args) > 4 {
		var n int
		n, errs[1] = number(4, "the node's number")
		c.node = topology.NodeID(n)
	}
	if len(args) > 6 {
		c.primaryHost = args[6]
	}
	return c, errors.Join(errs[:]...)
}

// Recovery1st is recovery_1st_stage_command: online recovery of a node, as
// pcp_recovery_node asks for it. The controller does it, with the same engine
// as any resync; there is no error only when the node is proven.
func Recovery1st(ctx context.Context, d Deps, args []string) (Result, error) {
	c, err := parseRecovery(args)
	if err != nil {
		return Result{}, err
	}
	id := c.node
	if id == topology.NoNode {
		if id, err = findNode(d.Pool.Nodes, c.host, c.dir); err != nil {
			return Result{}, err
		}
	}
	if d.Pool.Node(id) == nil {
		return Result{}, usage("node %s is not in %s", id, d.Pool.PgpoolConf)
	}
	return d.recover(ctx, id)
}

// recover has the controller resync a node, and reports its progress.
func (d *Deps) recover(ctx context.Context, id topology.NodeID) (Result, error) {
	start := time.Now()
	d.say("online recovery of node %s requested", id)
	err := d.asked(d.Control.Recover(ctx, id, func(s string) { d.say("node %s: %s", id, s) }))
	r := Result{Code: CodeRecovered, Node: id, Text: fmt.Sprintf("node %s has caught up with the primary", id),
		Took: time.Since(start)}
	if err != nil {
		r.Code, r.Text = CodeNotRecovered, err.Error()
	}
	d.say("%s after %s: %s", r.Code, r.Took.Round(time.Millisecond), r.Text)
	none := topology.NoNode
	d.journal(Event{Kind: KindRecovery, At: start, Failed: id, NewMain: none, OldMain: none, OldPrimary: none}, r, err)
	return r, err
}

// RemoteStart is pgpool_remote_start, called with host and data directory when the
// first stage is over. The engine starts what it repairs, so there is nothing to do
// then. A node that is not running is given to the controller.
func RemoteStart(ctx context.Context, d Deps, args []string) (Result, error) {
	if len(args) != 2 {
		return Result{}, usage("%d arguments: pgpool_remote_start gets a host and a data directory", len(args))
	}
	id, err := findNode(d.Pool.Nodes, args[0], args[1])
	if err != nil {
		return Result{}, err
	}
	d.Limits = d.Limits.filled()
	primary, err := d.alive(ctx, id)
	switch {
	case err == nil && primary:
		return Result{}, exit.With(exit.Refused, fmt.Errorf("node %s runs, but as a primary", id),
			"repool status shows which node is the right primary; repool stops the other by itself")
	case err == nil:
		d.say("node %s is running already", id)
		return Result{Code: CodeRecovered, Node: id, Text: fmt.Sprintf("node %s is running already", id)}, nil
	}
	return d.recover(ctx, id)
}

// findNode finds a node by host and data directory, for callers that are not
// told its number. Pgpool-II passes "localhost" for a unix socket.
func findNode(nodes []config.NodeConf, host, dir string) (topology.NodeID, error) {
	found := topology.NoNode
	for _, n := range nodes {
		own := n.Host
		if own == "" || strings.HasPrefix(own, "/") {
			own = "localhost"
		}
		if own != host || filepath.Clean(n.DataDir) != filepath.Clean(dir) {
			continue
		}
		if found != topology.NoNode {
			return topology.NoNode, usage("nodes %s and %s both have host %q and data directory %s", found, n.ID, host, dir)
		}
		found = n.ID
	}
	if found == topology.NoNode {
		return found, usage("no node of the pool has host %q and data directory %s", host, dir)
	}
	return found, nil
}
