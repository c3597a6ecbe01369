package controller

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/repool/repool/internal/history"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
)

// memoryName is the key under which the store keeps the planner's memory.
const memoryName = "planner-memory"

// LoadMemory reads the planner's memory for a command that plans by itself.
func LoadMemory(ctx context.Context, s *history.Store) (plan.Memory, error) {
	mem := plan.Memory{Primary: topology.NoNode}
	_, err := s.Kept(ctx, memoryName, &mem)
	return mem, err
}

// save writes the memory where it changed in more than its clocks. What it
// holds must survive a crash (parked nodes, holds, the last primary), but not
// each tick of a verification.
func (c *Controller) save(ctx context.Context, mem plan.Memory) {
	key := durablePart(mem)
	c.mu.Lock()
	same := key == c.memSaved
	c.mu.Unlock()
	if same {
		return
	}
	if err := c.o.Store.Keep(ctx, memoryName, mem); err != nil {
		c.o.Log.Error("memory not saved", "err", err)
		return
	}
	c.mu.Lock()
	c.memSaved = key
	c.mu.Unlock()
}

// durablePart is the memory without what the next pass would find anew.
func durablePart(mem plan.Memory) string {
	nodes := append([]plan.NodeMemory(nil), mem.Nodes...)
	for i := range nodes {
		n := &nodes[i]
		n.Target, n.TargetAt, n.ProgressAt, n.ProgressLSN = 0, time.Time{}, time.Time{}, 0
		n.HealthySince, n.NotStreamingSince = time.Time{}, time.Time{}
	}
	mem.Nodes, mem.PoolBlindSince = nodes, time.Time{}
	b, err := json.Marshal(mem)
	if err != nil {
		return err.Error() // cannot be: the types marshal; a differing key only saves once more
	}
	return string(b)
}

// say records a decision when it differs from the node's last one.
func (c *Controller) say(ctx context.Context, d plan.Decision) {
	key := strings.Join([]string{string(d.Action), string(d.Method), string(d.Code)}, "/")
	c.mu.Lock()
	same := c.said[d.Node] == key
	c.said[d.Node] = key
	c.mu.Unlock()
	if same {
		return
	}
	c.o.Log.Info("decision", "node", int(d.Node), "action", string(d.Action), "method", string(d.Method), "code", string(d.Code), "reason", d.Reason)
	c.record(ctx, history.Event{Node: d.Node, Kind: "decision", Code: string(d.Code), Text: d.Reason, Data: asJSON(d)})
}

// record appends to the history. A history that cannot be written is logged
// and does not stop the healing: the node's own journal has the facts.
func (c *Controller) record(ctx context.Context, e history.Event) {
	if err := c.o.Store.Add(context.WithoutCancel(ctx), e); err != nil {
		c.o.Log.Error("history not written", "err", err, "event", e.Text)
	}
}

func asJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(`null`)
	}
	return b
}
