package cli

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/terminal"
)

// ask calls f with a client of the running controller, and gives its errors their
// exit status.
func (g *globals) ask(f func(*control.Client) error) error {
	p, err := g.pool()
	if err != nil {
		return err
	}
	err = f(control.NewClient(p.Controller.Socket))
	var refused *control.RefusedError
	var known *exit.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &refused):
		return exit.With(exit.Refused, fmt.Errorf("%w (%s)", refused, refused.Code), refused.Hint)
	default:
		return exit.With(exit.Unreachable, err)
	}
}

// accepted is the JSON of a request that the controller has accepted.
type accepted struct {
	Node  topology.NodeID `json:"node"`
	Asked string          `json:"asked"` // attach or detach
	Who   string          `json:"who"`
	// OnHold: the node is now on hold, until released.
	OnHold bool `json:"on_hold"`
}

// printAccepted prints a request that the controller has accepted: as JSON, or as
// the given line.
func (g *globals) printAccepted(a accepted, line string) error {
	if g.json {
		return terminal.PrintJSON(g.out, a)
	}
	_, err := fmt.Fprintln(g.out, line)
	return err
}

// firstLook is the controller's status. One that has just started gets ten seconds
// for its first look at the pool.
func firstLook(ctx context.Context, c *control.Client) (control.Status, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(10 * time.Second); ; {
		st, err := c.Status(ctx)
		if err != nil || len(st.Decisions) > 0 || time.Now().After(until) {
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-tick.C:
		}
	}
}

// decisionOf is the decision about a node, or nil.
func decisionOf(st control.Status, node topology.NodeID) *plan.Decision {
	for i := range st.Decisions {
		if st.Decisions[i].Node == node {
			return &st.Decisions[i]
		}
	}
	return nil
}

// parseNode reads a node's number.
func parseNode(s string) (topology.NodeID, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, exit.New(exit.Usage, "%q is not a node: give its number in pgpool.conf, such as 0 for backend_hostname0", s)
	}
	return topology.NodeID(n), nil
}

// parseNodeOrAll reads a node's number, or "all", which is topology.NoNode.
func parseNodeOrAll(s string) (topology.NodeID, error) {
	if s == "all" {
		return topology.NoNode, nil
	}
	return parseNode(s)
}

// nodeText names what parseNodeOrAll has read.
func nodeText(id topology.NodeID) string {
	if id == topology.NoNode {
		return "the pool"
	}
	return "node " + id.String()
}

// completeNode completes the node of a command, and besides it the words more.
func (g *globals) completeNode(more ...cobra.Completion) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		p, err := g.pool()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // the command itself will say what is wrong
		}
		var out []cobra.Completion
		for i := range p.Nodes {
			n := &p.Nodes[i]
			out = append(out, cobra.CompletionWithDesc(n.ID.String(), fmt.Sprintf("%s:%d", n.Host, n.Port)))
		}
		return append(out, more...), cobra.ShellCompDirectiveNoFileComp
	}
}

// wholePool is the completion of "all".
var wholePool = cobra.CompletionWithDesc("all", "the whole pool")

// who is the user who asks, for others to see.
func who() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
