package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/test/fakes/fakehost"
)

// rig is one node's world with an agent process that can die.
type rig struct {
	t       *testing.T
	w       *fakehost.Solo
	workDir string
	a       *Agent
	seq     int
	// killAt names the point at which the process dies, once. handAt is where an
	// external process starts the server in the data directory, once.
	killAt, handAt string
	// atPoint is where atDo is called, once.
	atPoint string
	atDo    func()
	reached map[string]bool
	dead    chan struct{} // closed by the death
	// clears: the controller gives clearance.
	clears bool
	// stopping: the run may be asked to stop just when it is cleared.
	stopping bool
	// noRun: the agent works on its own account, without a run.
	noRun bool
	// oldKept: what the replaced directory held could not all be saved.
	oldKept bool
}

func newRig(t *testing.T, w *fakehost.Solo) *rig {
	t.Helper()
	r := &rig{t: t, w: w, workDir: filepath.Join(memoryDir(t), "data.repool"), reached: map[string]bool{}, clears: true}
	w.OnOp = r.intent
	w.Mid = func(name string) { r.point("mid:" + name) }
	r.open()
	return r
}

// memoryDir is a temporary directory in memory where there is one: the crash
// tests write tens of thousands of journals, and no test here cuts the power.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "repool-agent-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// open starts a new agent process.
func (r *rig) open() {
	r.t.Helper()
	r.dead = make(chan struct{})
	r.noRun = true
	a, err := New(r.options())
	if err != nil {
		r.t.Fatalf("new agent: %v", err)
	}
	r.noRun = false
	r.a = a
	r.t.Cleanup(func() { a.stop() })
}

func (r *rig) options() Options {
	return Options{Node: 0, WorkDir: r.workDir, Host: r.w, Upstream: r.w.Link(), Version: "test", Points: r.point}
}

// point is the hook in the engine: here the process dies, in the goroutine of
// its run, without anything of it being cleaned up.
func (r *rig) point(name string) {
	r.reached[name] = true
	if name == r.atPoint {
		r.atPoint = ""
		r.atDo()
	}
	if name == r.handAt {
		r.handAt = ""
		r.w.OutsideStart()
	}
	if name == r.killAt {
		r.killAt = ""
		close(r.dead)
		runtime.Goexit()
	}
}

// died says whether the process is dead.
func (r *rig) died() bool {
	select {
	case <-r.dead:
		return true
	default:
		return false
	}
}

// reopen is the start of the next agent process: the kernel has dropped the
// dead one's lock.
func (r *rig) reopen() {
	r.t.Helper()
	if err := r.a.lock.Release(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

// stepsOf says in which steps an operation may happen.
var stepsOf = map[string][]string{
	"Move home to repair": {"move-away"},
	"Move new to home":    {"move-home"},
	"Move repair to old":  {"make-room", "retire"},
	"Remove old":          {"make-room", "retire", "discard-old"},
	"Rewind":              {"rewind"},
	"BaseBackup":          {"copy"},
	"RestoreConfig":       {"restore-config"},
	"WriteStandby":        {"write-standby", "write-settings"},
	"Settle":              {"settle"},
	"Custom":              {"custom"},
}

// intent checks, before each operation, that what is about to happen is on
// disk already (P4).
func (r *rig) intent(op string) {
	want, checked := stepsOf[op]
	if !checked || r.noRun {
		return
	}
	j, err := journal.Open(r.workDir)
	if err != nil {
		r.t.Error(err)
		return
	}
	rec, ok, err := j.Newest()
	switch {
	case !ok || !rec.Live():
		r.t.Errorf("P4: %s without a live run in the journal (%+v, %v)", op, rec.Run, err)
	case !slices.Contains(want, rec.Run.Step()):
		r.t.Errorf("P4: %s while the journal is at step %q, want one of %q", op, rec.Run.Step(), want)
	case op == "Rewind" && (!rec.Run.Damaged || rec.Repair != journal.RepairDamaged):
		r.t.Errorf("P4: a rewind begins while the journal calls the directory %q", rec.Repair)
	}
}

// request is a valid one for the world's primary.
func (r *rig) request(m topology.Method, token topology.Token) topology.RunRequest {
	r.seq++
	req := topology.RunRequest{ID: fmt.Sprintf("run-%d", r.seq), Node: 0, Method: m, Upstream: fakehost.UpstreamOf(),
		Slot: "repool_node0", AppName: "node0", Token: token, Code: "test", ProvenTo: 0x5000000}
	if v := r.w.View(); v.Home != nil && v.Home.IsDiverged() ||
		v.Home == nil && v.InRepair != nil && v.InRepair.IsDiverged() {
		req.Divergence, req.DivergenceTLI = 0x5000000, 1
	}
	return req
}

func (r *rig) token() topology.Token {
	r.t.Helper()
	token, err := r.a.Acquire(r.t.Context(), "controller")
	if err != nil {
		r.t.Fatalf("acquire: %v", err)
	}
	return token
}

// run does one run and returns its last state; look at died afterwards.
func (r *rig) run(m topology.Method) topology.RunState {
	r.t.Helper()
	token := r.token()
	req := r.request(m, token)
	if err := r.a.StartRun(r.t.Context(), req); err != nil {
		r.t.Fatalf("start run: %v", err)
	}
	return r.follow(token, req.ID)
}

// follow is a controller that clears steps until the run ends or its agent dies.
func (r *rig) follow(token topology.Token, id string) topology.RunState {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	dead := r.dead
	go func() {
		select {
		case <-dead:
			cancel()
		case <-ctx.Done():
		}
	}()
	var last topology.RunState
	err := r.a.Watch(ctx, id, func(st topology.RunState) {
		last = st
		if st.Outcome == topology.RunWaiting && r.clears {
			if err := r.a.Clear(ctx, token, id, st.Step()); err != nil && !(r.stopping && errors.Is(err, agentapi.ErrRefused)) {
				r.t.Errorf("clear: %v", err)
			}
		}
	})
	if err != nil && !r.died() {
		r.t.Fatalf("watch: %v", err)
	}
	return last
}

// choose is a small planner: the method for what the world is in.
func (r *rig) choose() topology.Method {
	v := r.w.View()
	in, err := r.a.Inspect(r.t.Context())
	if err != nil {
		r.t.Fatalf("inspect: %v", err)
	}
	dir := v.Home
	if dir == nil {
		dir = v.InRepair
	}
	switch {
	case in.Run != nil && in.Run.Damaged, dir == nil, dir.Content != fakehost.Whole:
		return topology.MethodBaseBackup
	case dir.IsDiverged():
		return topology.MethodRewind
	case !dir.Signal && !dir.Copied:
		return topology.MethodAdopt
	case !dir.Signal:
		return topology.MethodRewind
	case v.Running:
		return topology.MethodFollow
	}
	return topology.MethodStart
}

// heal plans and runs until the node streams, and then lets the agent tidy up.
func (r *rig) heal() {
	r.t.Helper()
	var runs []string
	for range 6 {
		v := r.w.View()
		if v.Streams {
			r.healed()
			return
		}
		if v.Running && v.Writes {
			if _, err := r.a.Fence(r.t.Context(), r.token()); err != nil {
				r.t.Fatalf("fence: %v", err)
			}
		}
		st := r.run(r.choose())
		runs = append(runs, fmt.Sprintf("%s: %s %s %s", st.Method, st.Outcome, st.Code, st.Error))
	}
	if r.w.View().Streams {
		r.healed()
		return
	}
	r.t.Errorf("the node does not stream after six runs: %q\nworld: %+v\nbroken: %q", runs, r.w.View(), r.w.Broken())
}

// healed checks the end: one whole standby at home, nothing left over.
func (r *rig) healed() {
	r.t.Helper()
	r.noRun = true
	if err := r.a.keep(r.t.Context()); err != nil {
		r.t.Errorf("keep: %v", err)
	}
	r.noRun = false
	v := r.w.View()
	if v.Home == nil || v.Home.Content != fakehost.Whole || !v.Home.Signal || !v.Home.OwnConfig {
		r.t.Errorf("home is not a whole standby with its own configuration: %+v", v.Home)
	}
	if v.InRepair != nil || v.New != nil || v.Old != nil && !r.oldKept {
		r.t.Errorf("left over: in repair %+v, new %+v, old %+v", v.InRepair, v.New, v.Old)
	}
	r.unbroken()
}

func (r *rig) unbroken() {
	r.t.Helper()
	for _, b := range r.w.Broken() {
		r.t.Error(b)
	}
}

// eventually polls a condition with a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("never happened: %s", what)
		case <-tick.C:
		}
	}
}

// isErr fails the test unless err is want.
func isErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}
