package controller

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// memoryName is the key under which the store keeps the planner's memory.
const memoryName = "planner-memory"

// LoadMemory reads the planner's memory for a command that plans by itself.
func LoadMemory(ctx context.Context, s Store) (plan.Memory, error) {
	mem := plan.Memory{Primary: topology.NoNode}
	_, err := s.Kept(ctx, memoryName, &mem)
	return mem, err
}

// notePrimary hands a new primary to the failover hook's memory. It must not
// undo what the hook itself has noted since: then ours is the old primary.
func (c *Controller) notePrimary(mem plan.Memory, snap *topology.Snapshot) {
	n := snap.Node(mem.Primary)
	if c.o.NotePrimary == nil || n == nil || !n.SQL.OK() || n.SQL.InRecovery || !mem.History.Known() || n.SQL.Timeline != mem.History.TLI ||
		plan.Overtaken(mem, snap) {
		return
	}
	key := n.ID.String() + " " + n.SQL.SystemID.String() + " " + mem.History.Text()
	c.mu.Lock()
	same := c.noted == key
	c.mu.Unlock()
	if same {
		return
	}
	err := c.o.NotePrimary(n.ID, n.SQL.SystemID, mem.History, n.SQL.At)
	c.warn("note primary", "primary not noted for the failover hook", err)
	if err == nil {
		c.mu.Lock()
		c.noted = key
		c.mu.Unlock()
	}
}

// say records a decision when it differs from the node's last one.
func (c *Controller) say(d plan.Decision) {
	key := strings.Join([]string{string(d.Action), string(d.Method), string(d.Code)}, "/")
	c.mu.Lock()
	same := c.said[d.Node] == key
	c.said[d.Node] = key
	if !same {
		c.changed = time.Now()
	}
	c.mu.Unlock()
	if same {
		return
	}
	c.o.Log.Info("decision", "node", int(d.Node), "action", string(d.Action), "method", string(d.Method), "code", string(d.Code), "reason", d.Reason)
	c.record(event.Event{Node: d.Node, Kind: "decision", Code: string(d.Code), Text: d.Reason, Data: asJSON(d)})
}

func asJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(`null`)
	}
	return b
}
