package controller

import (
	"context"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
)

// memory is the planner's memory behind a lock. Any goroutine may call it. Nothing
// in a plan.Memory is ever changed in place: what read returns stays as it is.
type memory struct {
	mu   sync.Mutex
	mem  plan.Memory
	pass uint64
}

func (m *memory) read() plan.Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mem
}

// change applies one of plan's functions. It returns the number of the last pass
// that was planned without the change.
func (m *memory) change(f func(plan.Memory) plan.Memory) (pass uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mem = f(m.mem)
	return m.pass
}

// plan is one pass of the planner: it proposes, accept says for each decision
// whether it is carried out, and those are what the planner remembers as done. No
// change gets in between: a hold comes before the decision, or after the order.
// accept is called with the lock held.
func (m *memory) plan(snap topology.Snapshot, pol plan.Policy, accept func(plan.Decision) bool) (
	pass uint64, decisions []plan.Decision, mem plan.Memory,
) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	mem, decisions = plan.Step(m.mem, snap, pol, now)
	var taken []plan.Decision
	for _, d := range decisions {
		if accept(d) {
			taken = append(taken, d)
		}
	}
	m.mem = plan.Advance(mem, taken, pol, now)
	m.pass++
	return m.pass, decisions, m.mem
}

// memoryName is the key under which the store keeps the planner's memory.
const memoryName = "planner-memory"

// LoadMemory reads the planner's memory for a command that plans by itself.
func LoadMemory(ctx context.Context, s Store) (plan.Memory, error) {
	mem := plan.Memory{Primary: topology.NoNode}
	_, err := s.Kept(ctx, memoryName, &mem)
	return mem, err
}
