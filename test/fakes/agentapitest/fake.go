package agentapitest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
)

// Fake is an agent in memory. Set the exported fields before the first call;
// later under Change only.
type Fake struct {
	// Node is the agent's node; a run for another is refused.
	Node topology.NodeID
	// State is what Inspect returns, except for Run and Lock.
	State topology.Inspection
	// Probe and Record are what ProbeWAL and RecordEnding return.
	Probe  topology.WALProbe
	Record topology.WALRecord
	// StepTime is how long each step of a run takes. ClearanceWait is how long a
	// destructive one waits for clearance; zero: 30 s.
	StepTime, ClearanceWait time.Duration
	// Fail, if not nil, may fail a call before anything is done.
	Fail func(call string) error
	// Old: it is of a release that keeps no instructions.
	Old bool
	// Told are the instructions that it keeps.
	Told topology.Instructions
	// OnDone is called for each run that is done, before its end is visible.
	OnDone func(topology.RunRequest)

	mu     sync.Mutex
	token  topology.Token
	holder string
	runs   []*fakeRun
	calls  []string
}

var _ agentapi.Agent = (*Fake)(nil)

// Change runs do while no call is served.
func (f *Fake) Change(do func(*Fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f)
}

// Calls lists the orders so far, in order, such as "StartRun
// rewind" or "Clear rewind".
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Close ends a run in progress. A test in a synctest bubble must call it.
func (f *Fake) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.active(); r != nil {
		r.cancel()
	}
}

// enter begins a call.
func (f *Fake) enter(ctx context.Context, call string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	fail := f.Fail
	f.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(call)
}

// Inspect returns State with the newest run, unless that is done.
func (f *Fake) Inspect(ctx context.Context) (topology.Inspection, error) {
	if err := f.enter(ctx, "Inspect"); err != nil {
		return topology.Inspection{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.State
	if told := f.Told; !f.Old {
		in.Instructions = &told
	}
	if r := f.newest(); r != nil {
		st, _ := r.look()
		if st.Outcome != topology.RunDone {
			in.Run = &st
		}
		if !st.Outcome.Ended() {
			in.Lock = r.holder
		}
	}
	return in, nil
}

// ProbeWAL returns Probe.
func (f *Fake) ProbeWAL(ctx context.Context, _ topology.History) (topology.WALProbe, error) {
	if err := f.enter(ctx, "ProbeWAL"); err != nil {
		return topology.WALProbe{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Probe, nil
}

// RecordEnding returns Record.
func (f *Fake) RecordEnding(ctx context.Context, _ topology.LSN) (topology.WALRecord, error) {
	if err := f.enter(ctx, "RecordEnding"); err != nil {
		return topology.WALRecord{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Record, nil
}

// Run returns the state of a run.
func (f *Fake) Run(ctx context.Context, id string) (topology.RunState, error) {
	if err := f.enter(ctx, "Run"); err != nil {
		return topology.RunState{}, err
	}
	r, err := f.find(id)
	if err != nil {
		return topology.RunState{}, err
	}
	st, _ := r.look()
	return st, nil
}

// Vault is always empty.
func (f *Fake) Vault(ctx context.Context) ([]topology.VaultEntry, error) {
	return nil, f.enter(ctx, "Vault")
}

// VaultReport refuses every id: there is no entry.
func (f *Fake) VaultReport(ctx context.Context, id string) ([]byte, error) {
	if err := f.enter(ctx, "VaultReport"); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("vault entry %q: there is none: %w", id, agentapi.ErrRefused)
}

// Acquire returns the next token.
func (f *Fake) Acquire(ctx context.Context, holder string) (topology.Token, error) {
	if err := f.enter(ctx, "Acquire"); err != nil {
		return 0, err
	}
	if holder == "" {
		return 0, fmt.Errorf("no holder: %w", agentapi.ErrRefused)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.active(); r != nil && r.holder != holder {
		return 0, fmt.Errorf("run %s of %s is in progress: %w", r.req.ID, r.holder, agentapi.ErrLocked)
	}
	f.token, f.holder = f.token+1, holder
	return f.token, nil
}

// StartRun begins a run.
func (f *Fake) StartRun(ctx context.Context, req topology.RunRequest) error {
	if err := f.enter(ctx, "StartRun"); err != nil {
		return err
	}
	if req.Node != f.Node || req.ID == "" {
		return fmt.Errorf("run %q is for node %s: %w", req.ID, req.Node, agentapi.ErrRefused)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.check(req.Token); err != nil {
		return err
	}
	for _, r := range f.runs {
		if r.req.ID == req.ID {
			return nil
		}
	}
	if r := f.active(); r != nil {
		return fmt.Errorf("run %s is in progress: %w", r.req.ID, agentapi.ErrLocked)
	}
	if h, held := f.Told.Held(time.Now()); held {
		return fmt.Errorf("node %s is on hold, by %s: %w", f.Node, h.Who, agentapi.ErrRefused)
	}
	f.calls = append(f.calls, "StartRun "+string(req.Method))
	r := newRun(f.holder, req)
	f.runs = append(f.runs, r)
	go f.execute(r)
	return nil
}

// Adopt puts a run of that holder in progress, as if it had been started before
// the test.
func (f *Fake) Adopt(holder string, req topology.RunRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := newRun(holder, req)
	f.runs = append(f.runs, r)
	go f.execute(r)
}

// Watch shows a run's states.
func (f *Fake) Watch(ctx context.Context, id string, see func(topology.RunState)) error {
	if err := f.enter(ctx, "Watch"); err != nil {
		return err
	}
	r, err := f.find(id)
	if err != nil {
		return err
	}
	for {
		st, changed := r.look()
		see(st)
		if st.Outcome.Ended() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Clear lets a run carry out a step.
func (f *Fake) Clear(ctx context.Context, token topology.Token, id, step string) error {
	if err := f.enter(ctx, "Clear"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.check(token); err != nil {
		return err
	}
	r := f.active()
	if r == nil || r.req.ID != id {
		return fmt.Errorf("run %q is not in progress: %w", id, agentapi.ErrNoRun)
	}
	if !r.clear(step) {
		return fmt.Errorf("run %s does not wait at step %q: %w", id, step, agentapi.ErrRefused)
	}
	f.calls = append(f.calls, "Clear "+step)
	return nil
}

// Cancel stops a run that is in progress.
func (f *Fake) Cancel(ctx context.Context, token topology.Token, id string) error {
	if err := f.enter(ctx, "Cancel"); err != nil {
		return err
	}
	r, err := f.find(id)
	f.mu.Lock()
	defer f.mu.Unlock()
	if terr := f.check(token); terr != nil {
		return terr
	}
	if err != nil {
		return err
	}
	f.calls = append(f.calls, "Cancel")
	r.cancel()
	return nil
}

// Fence stops the server.
func (f *Fake) Fence(ctx context.Context, token topology.Token) (topology.Fenced, error) {
	if err := f.enter(ctx, "Fence"); err != nil {
		return topology.Fenced{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.check(token); err != nil {
		return topology.Fenced{}, err
	}
	if r := f.active(); r != nil {
		return topology.Fenced{}, fmt.Errorf("run %s is in progress: %w", r.req.ID, agentapi.ErrLocked)
	}
	f.calls = append(f.calls, "Fence")
	was := f.State.Server == topology.ServerRunning
	f.State.Server, f.State.PID = topology.ServerStopped, 0
	if !was {
		return topology.Fenced{}, nil
	}
	return topology.Fenced{WasRunning: true, Mode: "fast", Took: time.Millisecond}, nil
}

// DropSlots drops all that it is asked for.
func (f *Fake) DropSlots(ctx context.Context, token topology.Token, names []string) ([]string, error) {
	if err := f.enter(ctx, "DropSlots"); err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, ours := topology.SlotNode(name); !ours {
			return nil, fmt.Errorf("slot %q: %w", name, agentapi.ErrRefused)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.check(token); err != nil {
		return nil, err
	}
	if r := f.active(); r != nil {
		return nil, fmt.Errorf("run %s is in progress: %w", r.req.ID, agentapi.ErrLocked)
	}
	f.calls = append(f.calls, "DropSlots "+strings.Join(names, ","))
	return names, nil
}

// check accepts the newest token. f.mu is held.
func (f *Fake) check(token topology.Token) error {
	switch {
	case token == f.token && token != 0:
		return nil
	case token > f.token:
		return fmt.Errorf("token %d was never given out: %w", token, agentapi.ErrRefused)
	}
	return fmt.Errorf("token %d, the newest is %d: %w", token, f.token, agentapi.ErrStaleToken)
}

func (f *Fake) newest() *fakeRun {
	if len(f.runs) == 0 {
		return nil
	}
	return f.runs[len(f.runs)-1]
}

// active is the run in progress. f.mu is held.
func (f *Fake) active() *fakeRun {
	if r := f.newest(); r != nil {
		if st, _ := r.look(); !st.Outcome.Ended() {
			return r
		}
	}
	return nil
}

func (f *Fake) find(id string) (*fakeRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range slices.Backward(f.runs) {
		if id == "" || r.req.ID == id {
			return r, nil
		}
	}
	return nil, fmt.Errorf("run %q: %w", id, agentapi.ErrNoRun)
}

// Instructions returns what was told.
func (f *Fake) Instructions(ctx context.Context) (topology.Instructions, error) {
	if err := f.enter(ctx, "Instructions"); err != nil {
		return topology.Instructions{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Old {
		return topology.Instructions{}, agentapi.ErrUnknownCall
	}
	return f.Told, nil
}

// Instruct keeps an instruction.
func (f *Fake) Instruct(ctx context.Context, i topology.Instruction) (topology.Instructions, error) {
	if err := f.enter(ctx, "Instruct"); err != nil {
		return topology.Instructions{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Old {
		return topology.Instructions{}, agentapi.ErrUnknownCall
	}
	if why := i.Wrong(); why != "" {
		return topology.Instructions{}, fmt.Errorf("%s: %w", why, agentapi.ErrRefused)
	}
	f.Told, _ = f.Told.With(i)
	return f.Told, nil
}
