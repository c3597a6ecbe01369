package agent

import (
	"context"
	"sync"

	"github.com/repool/repool/internal/core/topology"
)

// runs are this process's own runs.
type runs struct {
	mu     sync.Mutex
	active *running
	// last is the newest that has ended. The journal has it too, unless its disk
	// failed.
	last *running
}

func (r *runs) current() *running {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active
}

// find returns the run with that id if it is active or last, else nil.
func (r *runs) find(id string) *running {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range []*running{r.active, r.last} {
		if x != nil && x.id == id {
			return x
		}
	}
	return nil
}

// running is one run of this process.
type running struct {
	id     string
	holder string
	req    topology.RunRequest
	// soft is done when the run should stop at a safe point; ask cancels it with the
	// reason.
	soft context.Context
	ask  context.CancelCauseFunc
	// done is closed when the run has ended and the lock is free.
	done chan struct{}

	mu      sync.Mutex
	state   topology.RunState
	changed chan struct{} // closed and replaced with each change of state
	cleared map[string]bool
	allowed chan struct{} // closed and replaced with each clearance
}

func newRunning(ctx context.Context, holder string, req topology.RunRequest) *running {
	r := &running{
		id: req.ID, holder: holder, req: req,
		done:    make(chan struct{}),
		cleared: map[string]bool{},
		changed: make(chan struct{}),
		allowed: make(chan struct{}),
		state: topology.RunState{
			ID: req.ID, Node: req.Node, Method: req.Method, Upstream: req.Upstream.Node,
			Outcome: topology.RunRunning, Code: req.Code, Token: req.Token,
		},
	}
	r.soft, r.ask = context.WithCancelCause(ctx)
	return r
}

// publish makes st the newest state. The caller publishes an ended state only
// when the node is free for the next order.
func (r *running) publish(st topology.RunState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = st
	close(r.changed)
	r.changed = make(chan struct{})
}

// look returns the newest state, and a channel that is closed at the next change.
func (r *running) look() (topology.RunState, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.changed
}

// clear allows the step, if the run waits at it or was allowed it before.
func (r *running) clear(step string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cleared[step] {
		return true
	}
	if r.state.Outcome != topology.RunWaiting || r.state.Step() != step {
		return false
	}
	r.cleared[step] = true
	close(r.allowed)
	r.allowed = make(chan struct{})
	return true
}

// waitCleared waits until the step is allowed.
func (r *running) waitCleared(ctx context.Context, step string) error {
	for {
		r.mu.Lock()
		ok, allowed := r.cleared[step], r.allowed
		r.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-allowed:
		}
	}
}
