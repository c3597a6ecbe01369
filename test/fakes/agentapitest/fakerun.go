package agentapitest

import (
	"sync"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// fakeRun is one run: a harmless step, the method's own, and wait-streaming.
type fakeRun struct {
	holder string
	req    topology.RunRequest
	stop   chan struct{} // closed by cancel
	pass   chan struct{} // closed by clear

	mu      sync.Mutex
	state   topology.RunState
	changed chan struct{} // closed and replaced with each change
}

func newRun(holder string, req topology.RunRequest) *fakeRun {
	return &fakeRun{
		holder: holder, req: req,
		stop: make(chan struct{}), pass: make(chan struct{}), changed: make(chan struct{}),
		state: topology.RunState{ID: req.ID, Node: req.Node, Method: req.Method, Upstream: req.Upstream.Node,
			Outcome: topology.RunRunning, Code: req.Code, Token: req.Token, Started: time.Now(), Updated: time.Now()},
	}
}

func (r *fakeRun) look() (topology.RunState, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.changed
}

func (r *fakeRun) change(do func(*topology.RunState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do(&r.state)
	r.state.Updated = time.Now()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *fakeRun) step(name string, o topology.Outcome) {
	r.change(func(s *topology.RunState) {
		s.Steps = append(s.Steps[:len(s.Steps):len(s.Steps)], topology.StepRun{Name: name, Started: time.Now()})
		s.Outcome = o
	})
}

func (r *fakeRun) end(o topology.Outcome, code codes.Code) {
	r.change(func(s *topology.RunState) {
		s.Outcome, s.Ended = o, time.Now()
		if code != "" {
			s.Code, s.Error = code, string(code)
		}
	})
}

func (r *fakeRun) clear(step string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Step() != step {
		return false
	}
	select {
	case <-r.pass:
		return true
	default:
	}
	if r.state.Outcome != topology.RunWaiting {
		return false
	}
	close(r.pass)
	return true
}

func (r *fakeRun) cancel() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.stop:
	default:
		close(r.stop)
	}
}

// destructiveStep is the step of a method that needs clearance.
var destructiveStep = map[topology.Method]string{
	topology.MethodRewind: "rewind", topology.MethodBaseBackup: "copy", topology.MethodCustom: "custom",
}

// execute runs r to its end.
func (f *Fake) execute(r *fakeRun) {
	f.mu.Lock()
	pace, patience := f.StepTime, f.ClearanceWait
	f.mu.Unlock()
	if patience == 0 {
		patience = 30 * time.Second
	}
	r.step("ensure-slot", topology.RunRunning)
	if !r.pause(pace) {
		return
	}
	if step := destructiveStep[r.req.Method]; step != "" {
		r.step(step, topology.RunWaiting)
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-r.pass:
		case <-r.stop:
			r.end(topology.RunCancelled, "cancelled")
			return
		case <-timer.C:
			r.end(topology.RunFailed, "no-clearance")
			return
		}
		r.change(func(s *topology.RunState) { s.Outcome = topology.RunRunning })
		if !r.pause(pace) {
			return
		}
	}
	r.step("wait-streaming", topology.RunRunning)
	if !r.pause(pace) {
		return
	}
	f.mu.Lock()
	done := f.OnDone
	if f.Told.Resync.Number > 0 {
		f.Told.Used = true
	}
	f.mu.Unlock()
	if done != nil {
		done(r.req)
	}
	r.end(topology.RunDone, "")
}

// pause waits for d; it returns false when the run was cancelled meanwhile.
func (r *fakeRun) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.stop:
		r.end(topology.RunCancelled, "cancelled")
		return false
	}
}
