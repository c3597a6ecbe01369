package pcp

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"
)

// NodeStatus is Pgpool-II's status of a backend slot; the numbers are the wire's.
type NodeStatus int

const (
	// StatusUnused is a slot without a node.
	StatusUnused NodeStatus = iota
	// StatusWaiting is attached, and no session has used the node yet: healthy.
	StatusWaiting
	// StatusUp is attached and in use.
	StatusUp
	// StatusDown is detached, by a failure, by a person or (with
	// NodeInfo.Quarantine) for want of a quorum.
	StatusDown
)

var statusNames = [...]string{"unused", "waiting", "up", "down"}

// String is Pgpool-II's word.
func (s NodeStatus) String() string { return nameOf(statusNames[:], int(s)) }

// NodeRole is the role that Pgpool-II gives a node; the numbers are the wire's.
type NodeRole int

const (
	// RoleMain and RoleReplica are the roles outside streaming replication mode.
	RoleMain NodeRole = iota
	// RoleReplica is every node but the main one.
	RoleReplica
	// RolePrimary is the one node that Pgpool-II sends writes to.
	RolePrimary
	// RoleStandby is every other node, whatever PostgreSQL says of itself.
	RoleStandby
)

var roleNames = [...]string{"main", "replica", "primary", "standby"}

// String is Pgpool-II's word.
func (r NodeRole) String() string { return nameOf(roleNames[:], int(r)) }

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "unknown(" + strconv.Itoa(i) + ")"
	}
	return names[i]
}

// NodeInfo is what Pgpool-II holds of one node. Status and Role are its opinion;
// PgStatus and PgRole were measured by it during the request.
type NodeInfo struct {
	// ID is the N of backend_hostnameN.
	ID int
	// Host and Port are as configured; an empty host, or one that begins with
	// "/", is a unix socket.
	Host   string
	Port   int
	Status NodeStatus
	// Quarantine goes with StatusDown: detached without quorum, on this
	// Pgpool-II only. Pgpool-II itself puts the node back.
	Quarantine bool
	// PgStatus is "up", "down", or "unknown" when health checks are off.
	PgStatus string
	// Weight is the node's share of reads, 0 to 1; NaN when all weights are 0.
	Weight float64
	Role   NodeRole
	// PgRole is "primary" or "standby" as the server itself says, or "unknown"
	// when streaming checks are off or could not log in: then it tells nothing.
	PgRole string
	// DelayByTime says which of the two delays was sent (4.4 and later; before
	// that always bytes). Both are as of the last streaming check, and zero
	// when that found none.
	DelayByTime bool
	DelayBytes  uint64
	DelayTime   time.Duration
	// DelayUnknown says that the delay sent was not a number from 0 up.
	DelayUnknown bool
	// ReplicationState and SyncState are from pg_stat_replication as of the last
	// streaming check, thus possibly stale; empty when there is no row or
	// backend_application_nameN does not match.
	ReplicationState string
	SyncState        string
	// LastStatusChange has whole seconds. A node that is down and is marked down
	// again gets a new one. Zero if Pgpool-II sent none.
	LastStatusChange time.Time
}

// Attached says whether Pgpool-II routes sessions to the node.
func (n NodeInfo) Attached() bool {
	return (n.Status == StatusUp || n.Status == StatusWaiting) && !n.Quarantine
}

// NodeCount is the number of backend slots, unused ones included: ids run from 0
// to one less.
func (c *Conn) NodeCount(ctx context.Context) (int, error) {
	var n int
	err := c.do(ctx, command{name: "node count", tag: 'L', reply: 'l'}, nil, func(payload []byte) (bool, error) {
		f, err := completed(payload)
		if err != nil {
			return false, err
		}
		if len(f) != 1 {
			return false, fmt.Errorf("%w: node count answered with %s", ErrProtocol, excerpt(payload))
		}
		n, err = parseCount(f[0])
		return true, err
	})
	return n, err
}

// NodeInfo asks for one node. Pgpool-II connects to the node to answer, so it
// takes up to connect_timeout when the node is unreachable. An unknown id is a
// *ServerError.
func (c *Conn) NodeInfo(ctx context.Context, id int) (NodeInfo, error) {
	if err := c.checkNode("node info", id); err != nil {
		return NodeInfo{}, err
	}
	nodes, err := c.nodeInfo(ctx, id)
	if err != nil {
		return NodeInfo{}, err
	}
	if len(nodes) != 1 {
		return NodeInfo{}, fmt.Errorf("pcp %s: node info: %w: %d records for one node", c.addr, ErrProtocol, len(nodes))
	}
	nodes[0].ID = id
	return nodes[0], nil
}

// Nodes asks for all nodes, in the order of their ids. Pgpool-II connects to one
// after the other, so unreachable ones add up: allow for it in the timeout.
func (c *Conn) Nodes(ctx context.Context) ([]NodeInfo, error) {
	return c.nodeInfo(ctx, -1)
}

func (c *Conn) nodeInfo(ctx context.Context, id int) ([]NodeInfo, error) {
	var nodes []NodeInfo
	reply := arrayReply{kind: "NodeInfo", record: func(f []string) error {
		n, err := parseNodeInfo(f)
		n.ID = len(nodes)
		nodes = append(nodes, n)
		return err
	}}
	err := c.do(ctx, command{name: "node info", tag: 'I', reply: 'i'}, terminatedInt(id), reply.take)
	if err != nil {
		return nil, err
	}
	return nodes, nil
}

const (
	nodeFields43 = 12 // Pgpool-II 4.3
	nodeFields44 = 13 // 4.4 and later: standby_delay_by_time before the delay
)

// parseNodeInfo reads one record. What a decision hangs on (port, status,
// quarantine, role, time) must be well formed; weight and delay need not be.
func parseNodeInfo(f []string) (NodeInfo, error) {
	if len(f) != nodeFields43 && len(f) != nodeFields44 {
		return NodeInfo{}, fmt.Errorf("%w: node info of %d fields; %d (Pgpool-II 4.3) and %d (4.4 to 4.7) are known",
			ErrProtocol, len(f), nodeFields43, nodeFields44)
	}
	n := NodeInfo{Host: f[0], PgStatus: f[4], Weight: parseWeight(f[5]), PgRole: f[7]}
	var p numbers
	n.Port = p.atMost("port", f[1], math.MaxUint16)
	n.Status = NodeStatus(p.atMost("status", f[2], len(statusNames)-1))
	n.Quarantine = p.atMost("quarantine flag", f[3], 1) == 1
	n.Role = NodeRole(p.atMost("role", f[6], len(roleNames)-1))
	rest := f[8:]
	if len(f) == nodeFields44 {
		n.DelayByTime = p.atMost("delay-by-time flag", rest[0], 1) == 1
		rest = rest[1:]
	}
	n.setDelay(rest[0])
	n.ReplicationState, n.SyncState = rest[1], rest[2]
	if at := p.atMost("last status change", rest[3], math.MaxInt); at > 0 {
		n.LastStatusChange = time.Unix(int64(at), 0)
	}
	return n, p.err
}

// setDelay takes bytes or microseconds.
func (n *NodeInfo) setDelay(s string) {
	v, err := strconv.ParseUint(s, 10, 64)
	switch {
	case err != nil:
		n.DelayUnknown = true
	case !n.DelayByTime:
		n.DelayBytes = v
	case v > math.MaxInt64/uint64(time.Microsecond):
		n.DelayUnknown = true
	default:
		n.DelayTime = time.Duration(v) * time.Microsecond
	}
}

// parseWeight undoes the scaling to RAND_MAX of the GNU C library. C prints NaN
// as "-nan", which is no number to Go; neither is worth losing the record for.
func parseWeight(s string) float64 {
	const randMax = math.MaxInt32
	w, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return w / randMax
}

// numbers parses several numbers and keeps the first error.
type numbers struct{ err error }

func (p *numbers) atMost(what, s string, most int) int {
	v, err := strconv.Atoi(s)
	if err != nil || v < 0 || v > most {
		if p.err == nil {
			p.err = fmt.Errorf("%w: %s is %q, expected a number from 0 to %d", ErrProtocol, what, s, most)
		}
		return 0
	}
	return v
}
