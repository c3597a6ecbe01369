package pcp

import (
	"context"
	"fmt"
)

// Scope says how many Pgpool-IIs of a watchdog cluster an order is for.
type Scope byte

const (
	// ScopeLocal is the Pgpool-II that is asked.
	ScopeLocal Scope = 'l'
	// ScopeCluster is all members of its watchdog cluster.
	ScopeCluster Scope = 'c'
)

// StopMode says how Pgpool-II treats its clients when it stops.
type StopMode byte

const (
	// StopSmart waits until the last client has gone.
	StopSmart StopMode = 's'
	// StopFast ends the clients' sessions.
	StopFast StopMode = 'f'
	// StopImmediate is fast without an orderly end.
	StopImmediate StopMode = 'i'
)

// order runs a command whose reply says nothing but "done" or "queued".
func (c *Conn) order(ctx context.Context, cmd command, payload []byte) error {
	return c.do(ctx, cmd, payload, func(reply []byte) (bool, error) {
		_, err := completed(reply)
		return true, err
	})
}

// AttachNode queues the attach of a node and returns. Pgpool-II checks nothing
// of the node: a server that is down, or a second primary, is attached as well.
// It answers the same for a node that is attached already. Poll NodeInfo for
// Attached with a newer LastStatusChange, through a full health check cycle.
func (c *Conn) AttachNode(ctx context.Context, id int) error {
	return c.nodeOrder(ctx, command{name: "attach node", tag: 'C', reply: 'c'}, id)
}

// DetachNode queues the detach of a node and returns; failover_command runs. The
// server itself goes on running, as a primary too.
func (c *Conn) DetachNode(ctx context.Context, id int) error {
	return c.nodeOrder(ctx, command{name: "detach node", tag: 'D', reply: 'd'}, id)
}

// DetachNodeGracefully blocks new clients, waits for all sessions to end, for at
// most recovery_timeout, then detaches and waits for that. When the sessions do
// not end Pgpool-II answers "done" without having detached: look at the node.
// Bounded by ctx alone, see RecoverNode.
func (c *Conn) DetachNodeGracefully(ctx context.Context, id int) error {
	return c.nodeOrder(ctx, command{name: "detach node gracefully", tag: 'd', reply: 'd', waits: true}, id)
}

// RecoverNode runs online recovery of a detached node and returns when the node
// has been recovered and attached. Config.Timeout does not apply, since copying
// takes as long as it takes: bound it by ctx, else it ends after a day. Giving
// up does not stop the recovery. ErrBusy says that a failover is at work.
//
// In Pgpool-II 4.3 and 4.4 the open connection holds up the handling of the next
// failure until the recovery is over.
func (c *Conn) RecoverNode(ctx context.Context, id int) error {
	return c.nodeOrder(ctx, command{name: "recover node", tag: 'O', reply: 'c', waits: true}, id)
}

// PromoteOptions choose what PromoteNode does.
type PromoteOptions struct {
	// Switchover detaches the current primary and runs failover_command with
	// the node as its new main node. Nothing stops the old primary but what
	// failover_command does. Without it Pgpool-II only takes the node for the
	// primary and marks all others down; PostgreSQL is not promoted.
	Switchover bool
	// Graceful waits for the sessions as DetachNodeGracefully does, with the
	// same false "done", and is bounded by ctx alone.
	Graceful bool
}

// PromoteNode makes a node Pgpool-II's primary. The answer means "queued". That
// the node is the primary already is a fatal *ServerError.
func (c *Conn) PromoteNode(ctx context.Context, id int, opt PromoteOptions) error {
	cmd := command{name: "promote node", tag: 'J', reply: 'd'}
	if opt.Graceful {
		cmd = command{name: "promote node gracefully", tag: 'j', reply: 'd', waits: true}
	}
	if err := c.checkNode(cmd.name, id); err != nil {
		return err
	}
	how := byte('n')
	if opt.Switchover {
		how = 's'
	}
	return c.order(ctx, cmd, append(terminated(fmt.Sprintf("%d ", id)), how))
}

// Stop stops Pgpool-II, and returns when it has begun to.
func (c *Conn) Stop(ctx context.Context, mode StopMode, scope Scope) error {
	cmd := command{name: "stop", tag: 'T', reply: 't'}
	switch scope {
	case ScopeLocal:
	case ScopeCluster:
		cmd.name, cmd.tag = "stop cluster", 't'
	default:
		return c.badScope(cmd, scope)
	}
	switch mode {
	case StopSmart, StopFast, StopImmediate:
		return c.order(ctx, cmd, []byte{byte(mode)})
	}
	return fmt.Errorf("pcp %s: %s: unknown mode %q", c.addr, cmd.name, byte(mode))
}

// Reload makes Pgpool-II read its configuration again. The answer comes before
// it has: an error in the file shows in Pgpool-II's log only.
func (c *Conn) Reload(ctx context.Context, scope Scope) error {
	return c.scoped(ctx, command{name: "reload", tag: 'Z', reply: 'z'}, scope)
}

// RotateLog makes Pgpool-II begin a new log file. Pgpool-II before 4.6 does not
// know it and ends the connection with a fatal *ServerError.
func (c *Conn) RotateLog(ctx context.Context, scope Scope) error {
	return c.scoped(ctx, command{name: "log rotate", tag: 'V', reply: 'v'}, scope)
}

// InvalidateQueryCache empties the query cache; an error if that is off.
// Pgpool-II before 4.6 does not know it and ends the connection with a fatal
// *ServerError.
func (c *Conn) InvalidateQueryCache(ctx context.Context) error {
	return c.order(ctx, command{name: "invalidate query cache", tag: 'G', reply: 'g'}, nil)
}

func (c *Conn) nodeOrder(ctx context.Context, cmd command, id int) error {
	if err := c.checkNode(cmd.name, id); err != nil {
		return err
	}
	return c.order(ctx, cmd, terminatedInt(id))
}

func (c *Conn) scoped(ctx context.Context, cmd command, scope Scope) error {
	switch scope {
	case ScopeLocal, ScopeCluster:
		return c.order(ctx, cmd, []byte{byte(scope)})
	}
	return c.badScope(cmd, scope)
}

func (c *Conn) badScope(cmd command, scope Scope) error {
	return fmt.Errorf("pcp %s: %s: unknown scope %q", c.addr, cmd.name, byte(scope))
}

// checkNode refuses what Pgpool-II would take for "all nodes", or might not
// refuse itself.
func (c *Conn) checkNode(what string, id int) error {
	if id < 0 {
		return fmt.Errorf("pcp %s: %s: %d is not a node id", c.addr, what, id)
	}
	return nil
}
