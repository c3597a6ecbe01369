package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/test/fakes/fakehost"
	"github.com/repool/repool/test/fakes/virtual"
)

// waiting starts a rewind that waits for clearance nobody has given yet.
func waiting(t *testing.T) (*rig, topology.Token, string) {
	t.Helper()
	r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(true)))
	token := r.token()
	req := r.request(topology.MethodRewind, token)
	if err := r.a.StartRun(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rewind waits", func() bool {
		st, err := r.a.Run(t.Context(), req.ID)
		return err == nil && st.Outcome == topology.RunWaiting
	})
	return r, token, req.ID
}

// ended waits for a run's end.
func (r *rig) ended(id string) topology.RunState {
	r.t.Helper()
	var last topology.RunState
	if err := r.a.Watch(r.t.Context(), id, func(st topology.RunState) { last = st }); err != nil {
		r.t.Fatalf("watch: %v", err)
	}
	return last
}

// TestClearanceTimeout is P2: without the controller's word the rewind does
// not begin, and the directory goes home as it was.
func TestClearanceTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, id := waiting(t)
		begin := time.Now()
		st := r.ended(id)
		if st.Outcome != topology.RunFailed || st.Code != codes.NoClearance || st.Damaged {
			t.Errorf("%+v", st)
		}
		if took := time.Since(begin).Round(time.Second); took != 30*time.Second {
			t.Errorf("waited %s", took)
		}
		if v := r.w.View(); v.Home == nil || v.Home.Copied || v.InRepair != nil {
			t.Errorf("home is %+v, in repair %+v", v.Home, v.InRepair)
		}
		r.unbroken()
	})
}

// TestClear: only the newest token clears, only the step that waits, and
// twice is as good as once.
func TestClear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, token, id := waiting(t)
		isErr(t, r.a.Clear(t.Context(), token-1, id, "rewind"), agentapi.ErrStaleToken)
		isErr(t, r.a.Clear(t.Context(), token+1, id, "rewind"), agentapi.ErrRefused)
		isErr(t, r.a.Clear(t.Context(), token, "run-99", "rewind"), agentapi.ErrNoRun)
		isErr(t, r.a.Clear(t.Context(), token, id, "copy"), agentapi.ErrRefused)
		newer := r.token() // the same controller, restarted
		isErr(t, r.a.Clear(t.Context(), token, id, "rewind"), agentapi.ErrStaleToken)
		for range 2 {
			if err := r.a.Clear(t.Context(), newer, id, "rewind"); err != nil {
				t.Error(err)
			}
		}
		if st := r.ended(id); st.Outcome != topology.RunDone {
			t.Errorf("%+v", st)
		}
		r.healed()
	})
}

// TestOneAtATime is P6 and hazard 51: while a run is in progress, no other holder, no
// second run and no fence, whichever agent process is asked.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, token, id := waiting(t)
		r.noRun = true
		second, err := New(r.options())
		if err != nil {
			t.Fatalf("a second agent process: %v", err)
		}
		r.noRun = false
		for name, a := range map[string]*Agent{"the same agent": r.a, "a second agent": second} {
			if _, err := a.Acquire(t.Context(), "another controller"); !errors.Is(err, agentapi.ErrLocked) {
				t.Errorf("%s: acquire: %v", name, err)
			}
			if err := a.StartRun(t.Context(), r.request(topology.MethodStart, token)); !errors.Is(err, agentapi.ErrLocked) {
				t.Errorf("%s: start: %v", name, err)
			}
			if _, err := a.Fence(t.Context(), token); !errors.Is(err, agentapi.ErrLocked) {
				t.Errorf("%s: fence: %v", name, err)
			}
			in, err := a.Inspect(t.Context())
			if err != nil || in.Run == nil || in.Run.Outcome.Ended() || in.Lock == "" {
				t.Errorf("%s: inspection %+v, %v", name, in, err)
			}
		}
		isErr(t, second.Clear(t.Context(), token, id, "rewind"), agentapi.ErrNoRun)
		if err := r.a.Clear(t.Context(), token, id, "rewind"); err != nil {
			t.Error(err)
		}
		var last topology.RunState
		err = second.Watch(t.Context(), id, func(st topology.RunState) { last = st })
		if err != nil || last.Outcome != topology.RunDone {
			t.Errorf("watched from another process: %+v, %v", last, err)
		}
		r.ended(id)
		if _, err := second.Acquire(t.Context(), "another controller"); err != nil {
			t.Errorf("acquire after the run: %v", err)
		}
		isErr(t, r.a.StartRun(t.Context(), r.request(topology.MethodStart, token)), agentapi.ErrStaleToken)
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSurvivorTakesOver: an agent process that was there all along takes the
// dead one's run over as soon as somebody asks.
func TestSurvivorTakesOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(true)))
		r.noRun = true
		second, err := New(r.options())
		if err != nil {
			t.Fatal(err)
		}
		r.noRun = false
		r.killAt = "rewind:rewind:progress"
		r.run(topology.MethodRewind)
		if err := r.a.lock.Release(); err != nil { // the kernel does it
			t.Fatal(err)
		}
		r.noRun = true
		in, err := second.Inspect(t.Context())
		if err != nil || in.Run == nil || in.Run.Outcome != topology.RunInterrupted || !in.Run.Damaged || in.Lock != "" {
			t.Errorf("inspection %+v, run %+v, %v", in, in.Run, err)
		}
		r.noRun = false
		r.a = second
		r.dead = make(chan struct{})
		r.heal()
	})
}

// TestStartRunIsIdempotent: one id is one run, whatever became of it, also for
// the next agent process.
func TestStartRunIsIdempotent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fakehost.NewSolo(fakehost.StoppedStandby()))
		token := r.token()
		req := r.request(topology.MethodStart, token)
		for range 3 {
			if err := r.a.StartRun(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		first := r.ended(req.ID)
		ops := r.w.Ops
		for range 2 {
			if err := r.a.StartRun(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			if st := r.ended(req.ID); st.Outcome != topology.RunDone || !st.Started.Equal(first.Started) {
				t.Errorf("%+v, before %+v", st, first)
			}
			other := req
			other.Method = topology.MethodFollow
			isErr(t, r.a.StartRun(t.Context(), other), agentapi.ErrRefused)
			if err := r.a.Close(); err != nil {
				t.Fatal(err)
			}
			r.open()
		}
		if r.w.Ops != ops {
			t.Errorf("asking again did something: %v", r.w.Trace[ops:])
		}
	})
}

// TestRunOutlivesItsCaller: the call's context ends, the run does not.
func TestRunOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fakehost.NewSolo(fakehost.StoppedStandby()))
		token := r.token()
		req := r.request(topology.MethodStart, token)
		ctx, cancel := context.WithCancel(t.Context())
		if err := r.a.StartRun(ctx, req); err != nil {
			t.Fatal(err)
		}
		cancel()
		if st := r.ended(req.ID); st.Outcome != topology.RunDone {
			t.Errorf("%+v", st)
		}
	})
}

// TestFence stops the server; a token that is not the newest does not.
func TestFence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(true)))
		r.w.OutsideStart()
		old := r.token()
		token := r.token()
		_, err := r.a.Fence(t.Context(), old)
		isErr(t, err, agentapi.ErrStaleToken)
		f, err := r.a.Fence(t.Context(), token)
		if err != nil || !f.WasRunning || r.w.View().Running {
			t.Errorf("%+v, %v", f, err)
		}
	})
}

// TestBadRequests are refused before anything is touched.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(true)))
	token := r.token()
	for name, spoil := range map[string]func(*topology.RunRequest){
		"id with a path":         func(q *topology.RunRequest) { q.ID = "../../etc/x" },
		"no id":                  func(q *topology.RunRequest) { q.ID = "" },
		"another node":           func(q *topology.RunRequest) { q.Node = 3 },
		"attach":                 func(q *topology.RunRequest) { q.Method = topology.MethodAttach },
		"no method":              func(q *topology.RunRequest) { q.Method = "" },
		"itself as upstream":     func(q *topology.RunRequest) { q.Upstream.Node = 0 },
		"no upstream":            func(q *topology.RunRequest) { q.Upstream.Node = topology.NoNode },
		"port 0":                 func(q *topology.RunRequest) { q.Upstream.Port = 0 },
		"host with a line break": func(q *topology.RunRequest) { q.Upstream.Host = "a\nport=1" },
		"unknown lineage":        func(q *topology.RunRequest) { q.Upstream.SystemID = 0 },
		"unknown history":        func(q *topology.RunRequest) { q.Upstream.History = topology.History{} },
		"slot with a quote":      func(q *topology.RunRequest) { q.Slot = "a'b" },
		"no slot":                func(q *topology.RunRequest) { q.Slot = "" },
		"name with a line break": func(q *topology.RunRequest) { q.AppName = "a\nb" },
	} {
		req := r.request(topology.MethodRewind, token)
		spoil(&req)
		if err := r.a.StartRun(t.Context(), req); !errors.Is(err, agentapi.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.a.VaultReport(t.Context(), "../secret"); !errors.Is(err, agentapi.ErrRefused) {
		t.Errorf("vault report: %v", err)
	}
	if _, err := r.a.Acquire(t.Context(), ""); !errors.Is(err, agentapi.ErrRefused) {
		t.Errorf("acquire without a name: %v", err)
	}
	if _, err := r.a.Run(t.Context(), ""); !errors.Is(err, agentapi.ErrNoRun) {
		t.Errorf("no run yet: %v", err)
	}
	if len(r.w.Trace) != 0 {
		t.Errorf("something was done: %v", r.w.Trace)
	}
}

// TestGarbledFiles: what cannot be read is named, and never taken for good news.
func TestGarbledFiles(t *testing.T) {
	t.Parallel()
	t.Run("token counter", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, fakehost.NewSolo(nil))
		r.token()
		path := filepath.Join(r.workDir, "tokens.json")
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.a.Acquire(t.Context(), "controller"); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("acquire: %v", err)
		}
		if _, err := New(r.options()); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("new agent: %v", err)
		}
	})
	t.Run("journal of the run that moved the directory in repair", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(true)))
			diesAt("rewind:settle:before", topology.MethodRewind)(r)
			path := filepath.Join(r.workDir, "journal", "run-1.json")
			if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
				t.Fatal(err)
			}
			st := r.run(topology.MethodRewind)
			if st.Code != codes.Damaged || !st.Damaged {
				t.Errorf("%+v", st)
			}
			r.oldKept = true
			r.heal()
			var garbled *journal.GarbledError
			if _, err := r.a.journal.List(); !errors.As(err, &garbled) || garbled.Path != path {
				t.Errorf("list: %v", err)
			}
		})
	})
}

// TestServe keeps the configuration saved, every minute and only while the
// directory is at home, and ends the run under way at shutdown.
func TestServe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fakehost.NewSolo(fakehost.StoppedStandby()))
		r.noRun = true
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.a.Serve(ctx) }()
		virtual.Sleep(150 * time.Second) // in the bubble: three ticks, no waiting
		synctest.Wait()
		saves := 0
		for _, op := range r.w.Trace {
			if op == "SaveConfig" {
				saves++
			}
		}
		if saves != 3 {
			t.Errorf("%d saves in 150 s: %v", saves, r.w.Trace)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_, err := r.a.Acquire(t.Context(), "controller")
		isErr(t, err, agentapi.ErrRefused)
	})
}

// TestReads go to the host as they are.
func TestReads(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakehost.NewSolo(fakehost.CrashedPrimary(true)))
	p, err := r.a.ProbeWAL(t.Context(), fakehost.UpstreamOf().History)
	if err != nil || !p.Beyond {
		t.Errorf("probe: %+v, %v", p, err)
	}
	rec, err := r.a.RecordEnding(t.Context(), fakehost.Diverged)
	if err != nil || rec.End != fakehost.Diverged {
		t.Errorf("record: %+v, %v", rec, err)
	}
	r.w.Node.Kept = []topology.VaultEntry{{ID: "v1"}}
	b, err := r.a.VaultReport(t.Context(), "v1")
	if err != nil || string(b) != `{"id":"v1"}` {
		t.Errorf("report: %s, %v", b, err)
	}
	if _, err := r.a.Vault(t.Context()); err != nil {
		t.Error(err)
	}
	in, err := r.a.Inspect(t.Context())
	if err != nil || in.Run != nil || in.Lock != "" || in.AgentVersion != "test" {
		t.Errorf("inspection: %+v, %v", in, err)
	}
}
