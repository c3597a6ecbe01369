package pcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Quorum is the watchdog cluster's quorum as one Pgpool-II sees it.
type Quorum int

const (
	// QuorumUnknown means that no leader is known, or that nothing was said.
	QuorumUnknown Quorum = -2
	// QuorumLost means too few members are alive.
	QuorumLost Quorum = -1
	// QuorumEdge means exactly half the members are alive and
	// enable_consensus_with_half_votes lets that do.
	QuorumEdge Quorum = 0
	// QuorumHeld means a majority is alive.
	QuorumHeld Quorum = 1
)

// String is a word for the quorum.
func (q Quorum) String() string {
	switch q {
	case QuorumHeld:
		return "held"
	case QuorumEdge:
		return "edge"
	case QuorumLost:
		return "lost"
	}
	return "unknown"
}

// WatchdogLeader is the WatchdogNode.State of the member that leads.
const WatchdogLeader = 4

// WatchdogInfo is the watchdog cluster as the answering Pgpool-II sees it.
type WatchdogInfo struct {
	// Quorum is QuorumUnknown if the answer does not tell.
	Quorum Quorum `json:"QuorumStatus"`
	// RemoteNodes counts the other members, AliveNodes those of them that live,
	// as the leader counts; NodesForQuorum is how many the quorum needs.
	RemoteNodes    int `json:"RemoteNodeCount"`
	AliveNodes     int `json:"AliveNodeCount"`
	NodesForQuorum int `json:"NodesRequireForQuorum"`
	// Escalated is 1 if this Pgpool-II holds the virtual address.
	Escalated  int    `json:"Escalated"`
	LeaderName string `json:"LeaderNodeName"`
	LeaderHost string `json:"LeaderHostName"`
	// Nodes are the members. From Conn.Watchdog the first is the Pgpool-II that
	// answered; there is always one.
	Nodes []WatchdogNode `json:"WatchdogNodes"`
}

// WatchdogNode is one Pgpool-II of a watchdog cluster.
type WatchdogNode struct {
	// ID is its pgpool_node_id, or -1.
	ID int
	// State is Pgpool-II's number (WatchdogLeader leads), -1 if it was not
	// told; StateName is its word for it.
	State     int
	StateName string
	// Name is "host:port Linux hostname".
	Name     string `json:"NodeName"`
	HostName string
	// Membership is 0 for a member, above that for one revoked.
	Membership     int
	MembershipName string `json:"MembershipString"`
	// DelegateIP is the virtual address, or "Not_Set".
	DelegateIP         string
	WdPort, PgpoolPort int
	Priority           int
}

// UnmarshalJSON gives "not told" to what is missing or of another type, never a
// state's number.
func (n *WatchdogNode) UnmarshalJSON(b []byte) error {
	type plain WatchdogNode
	p := plain{ID: -1, State: -1, Membership: -1}
	err := json.Unmarshal(b, &p)
	*n = WatchdogNode(p)
	return otherThanType(err)
}

// Self is the Pgpool-II that answered.
func (w WatchdogInfo) Self() WatchdogNode {
	if len(w.Nodes) == 0 {
		return WatchdogNode{ID: -1, State: -1, Membership: -1}
	}
	return w.Nodes[0]
}

// LeaderHere says whether the answering Pgpool-II leads. Without quorum that
// means little: a member that lost the others may lead itself. Look at Quorum.
func (w WatchdogInfo) LeaderHere() bool { return w.Self().State == WatchdogLeader }

// Watchdog asks for all members. ErrWatchdogOff says that Pgpool-II runs alone.
func (c *Conn) Watchdog(ctx context.Context) (WatchdogInfo, error) {
	return c.watchdog(ctx, -1)
}

// WatchdogNode asks for the member with that pgpool_node_id; the cluster's
// figures come along. An unknown id is an error.
func (c *Conn) WatchdogNode(ctx context.Context, id int) (WatchdogInfo, error) {
	if id < 0 {
		return WatchdogInfo{}, fmt.Errorf("pcp %s: watchdog info: %d is not a pgpool_node_id", c.addr, id)
	}
	w, err := c.watchdog(ctx, id)
	if err == nil && w.Self().ID != id {
		return WatchdogInfo{}, fmt.Errorf("pcp %s: watchdog info: no member has id %d", c.addr, id)
	}
	return w, err
}

func (c *Conn) watchdog(ctx context.Context, id int) (WatchdogInfo, error) {
	var w WatchdogInfo
	err := c.do(ctx, command{name: "watchdog info", tag: 'W', reply: 'w'}, terminatedInt(id),
		func(payload []byte) (bool, error) {
			f, err := completed(payload)
			if err != nil {
				return false, err
			}
			w, err = parseWatchdog(strings.Join(f, ""))
			return true, err
		})
	if err != nil {
		return WatchdogInfo{}, err
	}
	return w, nil
}

// parseWatchdog ignores keys it does not know, and values whose type is not the
// expected one: those stay "not told".
func parseWatchdog(text string) (WatchdogInfo, error) {
	w := WatchdogInfo{Quorum: QuorumUnknown}
	if err := otherThanType(json.Unmarshal([]byte(text), &w)); err != nil {
		return WatchdogInfo{}, fmt.Errorf("%w: watchdog info is not the expected JSON: %w", ErrProtocol, err)
	}
	if len(w.Nodes) == 0 {
		return WatchdogInfo{}, fmt.Errorf("%w: watchdog info without members: %s", ErrProtocol, excerpt([]byte(text)))
	}
	return w, nil
}

// otherThanType drops the error of a value that did not fit: the decoder has
// skipped that value and gone on.
func otherThanType(err error) error {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return nil
	}
	return err
}
