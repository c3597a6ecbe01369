package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// instructDeadline bounds one instruction to one agent: a person waits for the answer.
const instructDeadline = 3 * time.Second

// NotKeptError says that an instruction is in force on this controller, and that no node
// keeps it, so that no other controller knows of it yet.
type NotKeptError struct {
	What string // such as: the hold of node 2
	Why  error
}

func (e *NotKeptError) Error() string {
	if errors.Is(e.Why, agentapi.ErrUnknownCall) {
		return e.What + " is in force on this controller's host only: the node's agent is of a release that keeps no " +
			"instructions; upgrade it, then it is passed on"
	}
	return fmt.Sprintf("%s is in force on this controller's host only: the node's agent cannot keep it (%v); "+
		"it is passed on when the agent answers", e.What, e.Why)
}

// Unwrap gives why.
func (e *NotKeptError) Unwrap() error { return e.Why }

// tell has one agent keep an instruction.
func (c *Controller) tell(ctx context.Context, node topology.NodeID, i topology.Instruction) (
	topology.Instructions, error,
) {
	a := c.o.Agents[node]
	if a == nil {
		return topology.Instructions{}, errors.New("it cannot be reached")
	}
	ctx, cancel := context.WithTimeout(ctx, instructDeadline)
	defer cancel()
	return a.Instruct(ctx, i)
}

// instructNode has a node's agent keep an instruction, for every controller, and this one
// heed it. Where the agent cannot, only a controller that acts may take it, as local
// does, and it is not said to be kept.
func (c *Controller) instructNode(ctx context.Context, node topology.NodeID, i topology.Instruction, e event.Event,
	what string, local func(plan.Memory) plan.Memory,
) (pass uint64, err error) {
	in, terr := c.tell(ctx, node, i)
	if terr == nil {
		return c.change(ctx, e, func(m plan.Memory) plan.Memory {
			now := time.Now()
			return plan.Heed(m, node, in, now, now)
		})
	}
	if local == nil || !c.Status().Acting {
		return 0, notKept(what, terr)
	}
	pass, err = c.change(ctx, e, local)
	return pass, errors.Join(err, &NotKeptError{What: what, Why: terr})
}

// notKept refuses an instruction that nobody would follow.
func notKept(what string, why error) *control.RefusedError {
	r := &control.RefusedError{Code: codes.NotKept, Msg: fmt.Sprintf("%s is not kept: %v", what, why),
		Hint: "bring the node's agent back, or say it to the controller that acts: repool status on the other hosts"}
	if errors.Is(why, agentapi.ErrUnknownCall) {
		r.Hint = "upgrade the node's agent, or say it to the controller that acts: repool status on the other hosts"
	}
	return r
}

// instructPool has every agent keep an instruction for the whole pool. One is enough for
// it to be found; the others are told when they answer (keepInstructions).
func (c *Controller) instructPool(ctx context.Context, i topology.Instruction, e event.Event, what string) error {
	st := c.Status()
	c.telling.Lock() // two at once would get one number
	defer c.telling.Unlock()
	i.Pool, i.Number = true, c.memory.read().NextPool(&st.Snapshot)
	type answer struct {
		node topology.NodeID
		in   topology.Instructions
		err  error
	}
	answers := make(chan answer)
	for id := range c.o.Agents {
		go func() {
			in, err := c.tell(ctx, id, i)
			answers <- answer{id, in, err}
		}()
	}
	kept := false
	var missing []string
	var why error
	for range c.o.Agents {
		a := <-answers
		if a.err == nil && a.in.Pool.Number > i.Number {
			a.err = errors.New("another controller has said something else at the same time")
		}
		if a.err != nil {
			missing, why = append(missing, a.node.String()), a.err
		}
		kept = kept || a.err == nil
	}
	if !kept && !st.Acting {
		return notKept(what, why)
	}
	_, err := c.change(ctx, e, func(m plan.Memory) plan.Memory { return plan.PoolTold(m, i, time.Now()) })
	if !kept {
		return errors.Join(err, &NotKeptError{What: what, Why: why})
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		c.o.Log.Warn("instruction not kept by all agents yet", "kind", e.Kind, "err",
			fmt.Errorf("nodes %s: %w", strings.Join(missing, ", "), why))
	}
	return err
}

// keepInstruction is a node's agent being told what it does not keep yet.
const keepInstruction plan.Action = "keep an instruction"

// keepInstructions passes on what agents do not keep yet: a hold that was given while the
// node's agent did not answer, what an older repool kept on the controller's host, and
// instructions for the whole pool. Controllers that do not act do so, too.
func (x *executor) keepInstructions(snap *topology.Snapshot, mem plan.Memory) {
	now := time.Now()
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		a, news := x.o.Agents[n.ID], mem.Unkept(n, now)
		if a == nil || len(news) == 0 {
			continue
		}
		x.launchIfFree(order{node: n.ID, what: keepInstruction, do: func(ctx context.Context) bool {
			return x.keep(ctx, a, n.ID, news)
		}})
	}
}

func (x *executor) keep(ctx context.Context, a agentapi.Agent, node topology.NodeID, news []topology.Instruction) bool {
	kept := false
	for _, i := range news {
		ictx, cancel := context.WithTimeout(ctx, instructDeadline)
		in, err := a.Instruct(ictx, i)
		cancel()
		x.rec.warn("keep "+node.String(), "instruction not kept by the node's agent", err, "node", int(node))
		if err != nil {
			continue
		}
		x.memory.change(func(m plan.Memory) plan.Memory {
			now := time.Now()
			return plan.Heed(m, node, in, now, now)
		})
		kept = true
		x.o.Log.Info("instruction passed on to the node's agent", "node", int(node), "kind", string(i.Word))
	}
	if kept {
		x.rec.memoryChanged()
	}
	return kept
}
