package agentapitest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
)

// patience bounds each wait of the suite.
const patience = 10 * time.Second

// Request is what RunContract requests: a rewind of node 0, with that id and
// token, from node 1 on timeline 2, which left timeline 1 at 0/5000000.
func Request(id string, token topology.Token) topology.RunRequest {
	return topology.RunRequest{ID: id, Node: 0, Method: topology.MethodRewind, Token: token,
		Upstream: topology.Upstream{Node: 1, Host: "/run/pg1", Port: 5433, SystemID: 42, History: topology.History{
			TLI: 2, Ancestors: []topology.HistoryEntry{{TLI: 1, Switch: 0x5000000}}}},
		Slot: "repool_node0", AppName: "node0", Divergence: 0x5000000, DivergenceTLI: 1, ProvenTo: 0x5000000,
		KeepOld: true,
		Code:    "diverged", Reason: "for the test"}
}

// RunContract runs the suite. fresh returns an agent of node 0, whose server runs
// and whose data has diverged from the primary that Request names, so that a
// rewind is possible and waits for its clearance.
func RunContract(t *testing.T, fresh func(t *testing.T) agentapi.Agent) {
	t.Helper()
	for name, test := range map[string]func(*suite){
		"facts of the node":                                   (*suite).facts,
		"what does not exist is named in the error":           (*suite).unknown,
		"tokens rise, and only the newest counts":             (*suite).tokens,
		"a request for another node is refused":               (*suite).foreign,
		"a run waits for clearance, then completes":           (*suite).cleared,
		"a run locks the node":                                (*suite).locked,
		"a cancelled run ends as cancelled":                   (*suite).cancelled,
		"a watch ends with its caller, but the run does not":  (*suite).unwatched,
		"a fence stops the server and is idempotent":          (*suite).fenced,
		"only slots of repool's are dropped":                  (*suite).slots,
		"instructions are kept, and a hold lets no run begin": (*suite).instructed,
		"a run that ends well uses up a consent":              (*suite).consented,
		"a caller that has gone changes nothing":              (*suite).gone,
	} {
		t.Run(name, func(t *testing.T) { test(&suite{T: t, agent: fresh(t)}) })
	}
}

type suite struct {
	*testing.T
	agent agentapi.Agent
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) want(kind, err error) {
	s.Helper()
	if !errors.Is(err, kind) {
		s.Errorf("got error %v, want one that is %q", err, kind)
	}
	if err != nil && err.Error() == "" {
		s.Error("the error has no text")
	}
}

func (s *suite) token() topology.Token {
	s.Helper()
	token, err := s.agent.Acquire(s.Context(), "controller-a")
	s.must(err)
	return token
}

// start begins a run and waits until it waits for clearance.
func (s *suite) start(id string) (token topology.Token, step string) {
	s.Helper()
	token = s.token()
	s.must(s.agent.StartRun(s.Context(), Request(id, token)))
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	err := s.agent.Watch(ctx, id, func(st topology.RunState) {
		if st.Outcome == topology.RunWaiting {
			step = st.Step()
			cancel()
		}
	})
	if step == "" {
		s.Fatalf("the run never waited for clearance: %v", err)
	}
	return token, step
}

// end watches a run until it has ended.
func (s *suite) end(id string) (states []topology.RunState) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	s.must(s.agent.Watch(ctx, id, func(st topology.RunState) { states = append(states, st) }))
	if len(states) == 0 || !states[len(states)-1].Outcome.Ended() {
		s.Fatalf("the watch ended before the run: %+v", states)
	}
	return states
}

func (s *suite) facts() {
	in, err := s.agent.Inspect(s.Context())
	s.must(err)
	if in.Dir == topology.DirUnknown || in.Server != topology.ServerRunning || in.Run != nil || in.Lock != "" {
		s.Errorf("inspection of a running node without a run: %+v", in)
	}
	probe, err := s.agent.ProbeWAL(s.Context(), Request("", 0).Upstream.History)
	s.must(err)
	if !probe.Shared || !probe.Beyond || probe.Limit != 0x5000000 {
		s.Errorf("probe of diverged data: %+v", probe)
	}
	_, err = s.agent.Vault(s.Context())
	s.must(err)
}

func (s *suite) unknown() {
	ctx := s.Context()
	_, err := s.agent.Run(ctx, "nothing")
	s.want(agentapi.ErrNoRun, err)
	_, err = s.agent.Run(ctx, "")
	s.want(agentapi.ErrNoRun, err)
	s.want(agentapi.ErrNoRun, s.agent.Watch(ctx, "nothing", func(topology.RunState) { s.Error("a state of no run") }))
	token := s.token()
	s.want(agentapi.ErrNoRun, s.agent.Cancel(ctx, token, "nothing"))
	s.want(agentapi.ErrNoRun, s.agent.Clear(ctx, token, "nothing", "rewind"))
	_, err = s.agent.VaultReport(ctx, "../tokens.json")
	s.want(agentapi.ErrRefused, err)
}

func (s *suite) tokens() {
	ctx := s.Context()
	old, newest := s.token(), s.token()
	if newest <= old {
		s.Fatalf("token %d after %d", newest, old)
	}
	for name, call := range map[string]func(topology.Token) error{
		"StartRun": func(t topology.Token) error { return s.agent.StartRun(ctx, Request("a-run", t)) },
		"Clear":    func(t topology.Token) error { return s.agent.Clear(ctx, t, "a-run", "rewind") },
		"Cancel":   func(t topology.Token) error { return s.agent.Cancel(ctx, t, "a-run") },
		"Fence":    func(t topology.Token) error { _, err := s.agent.Fence(ctx, t); return err },
		"DropSlots": func(t topology.Token) error {
			_, err := s.agent.DropSlots(ctx, t, []string{topology.SlotName(1)})
			return err
		},
	} {
		s.Log(name)
		s.want(agentapi.ErrStaleToken, call(old))
		s.want(agentapi.ErrStaleToken, call(0))
		s.want(agentapi.ErrRefused, call(newest+1))
	}
	_, err := s.agent.Acquire(ctx, "")
	s.want(agentapi.ErrRefused, err)
}

func (s *suite) foreign() {
	req := Request("a-run", s.token())
	req.Node = 7
	s.want(agentapi.ErrRefused, s.agent.StartRun(s.Context(), req))
	_, err := s.agent.Run(s.Context(), "a-run")
	s.want(agentapi.ErrNoRun, err)
}

func (s *suite) cleared() {
	ctx := s.Context()
	token, step := s.start("a-run")
	s.want(agentapi.ErrRefused, s.agent.Clear(ctx, token, "a-run", "some other step"))
	s.want(agentapi.ErrNoRun, s.agent.Clear(ctx, token, "another-run", step))
	s.must(s.agent.Clear(ctx, token, "a-run", step))
	states := s.end("a-run")
	last := states[len(states)-1]
	if last.Outcome != topology.RunDone || last.Method != topology.MethodRewind || last.Upstream != 1 ||
		len(last.Steps) < 2 || last.Ended.IsZero() {
		s.Errorf("last state: %+v", last)
	}
	again, err := s.agent.Run(ctx, "a-run")
	s.must(err)
	if again.Outcome != last.Outcome || !again.Ended.Equal(last.Ended) || again.Step() != last.Step() {
		s.Errorf("later its state is %+v", again)
	}
	if newest, err := s.agent.Run(ctx, ""); err != nil || newest.ID != "a-run" {
		s.Errorf("the newest run is %q, %v", newest.ID, err)
	}
	if states := s.end("a-run"); len(states) != 1 {
		s.Errorf("watching an ended run shows %d states", len(states))
	}
	in, err := s.agent.Inspect(ctx)
	s.must(err)
	if in.Run != nil || in.Lock != "" {
		s.Errorf("a run that was done is still reported: %+v, lock %q", in.Run, in.Lock)
	}
	// The id names the run for ever, whatever became of it.
	s.must(s.agent.StartRun(ctx, Request("a-run", token)))
	if st, err := s.agent.Run(ctx, "a-run"); err != nil || !st.Ended.Equal(last.Ended) {
		s.Errorf("requested twice, it ran twice: %+v, %v", st, err)
	}
}

func (s *suite) locked() {
	ctx := s.Context()
	token, step := s.start("a-run")
	_, err := s.agent.Acquire(ctx, "controller-b")
	s.want(agentapi.ErrLocked, err)
	s.want(agentapi.ErrLocked, s.agent.StartRun(ctx, Request("another-run", token)))
	s.must(s.agent.StartRun(ctx, Request("a-run", token)))
	_, err = s.agent.Fence(ctx, token)
	s.want(agentapi.ErrLocked, err)
	_, err = s.agent.DropSlots(ctx, token, []string{topology.SlotName(1)})
	s.want(agentapi.ErrLocked, err)
	in, err := s.agent.Inspect(ctx)
	s.must(err)
	if in.Run == nil || in.Run.ID != "a-run" || in.Run.Outcome != topology.RunWaiting || in.Lock != "controller-a" {
		s.Errorf("inspection during the run: run %+v, lock %q", in.Run, in.Lock)
	}
	// The run's own holder gets a new token, and the old one becomes stale.
	newer := s.token()
	s.want(agentapi.ErrStaleToken, s.agent.Clear(ctx, token, "a-run", step))
	s.must(s.agent.Clear(ctx, newer, "a-run", step))
	s.end("a-run")
	if _, err := s.agent.Acquire(ctx, "controller-b"); err != nil {
		s.Errorf("the node is not free after the run: %v", err)
	}
}

func (s *suite) cancelled() {
	ctx := s.Context()
	token, _ := s.start("a-run")
	s.must(s.agent.Cancel(ctx, token, "a-run"))
	states := s.end("a-run")
	if last := states[len(states)-1]; last.Outcome != topology.RunCancelled || last.Damaged {
		s.Errorf("last state: %+v", last)
	}
	s.must(s.agent.Cancel(ctx, token, "a-run"))
	in, err := s.agent.Inspect(ctx)
	s.must(err)
	if in.Run == nil || in.Run.Outcome != topology.RunCancelled || in.Lock != "" {
		s.Errorf("a cancelled run is not reported: %+v, lock %q", in.Run, in.Lock)
	}
}

func (s *suite) unwatched() {
	token, step := s.start("a-run")
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	seen := make(chan struct{}, 100)
	go func() { ended <- s.agent.Watch(ctx, "a-run", func(topology.RunState) { seen <- struct{}{} }) }()
	select {
	case <-seen:
	case <-time.After(patience):
		s.Fatal("a watch does not begin with the present state")
	}
	cancel()
	select {
	case err := <-ended:
		s.want(context.Canceled, err)
	case <-time.After(patience):
		s.Fatal("the watch continues without its caller")
	}
	s.must(s.agent.Clear(s.Context(), token, "a-run", step))
	if states := s.end("a-run"); states[len(states)-1].Outcome != topology.RunDone {
		s.Errorf("last state: %+v", states[len(states)-1])
	}
}

func (s *suite) fenced() {
	ctx := s.Context()
	token := s.token()
	first, err := s.agent.Fence(ctx, token)
	s.must(err)
	if !first.WasRunning || first.Mode == "" {
		s.Errorf("fence of a running server: %+v", first)
	}
	in, err := s.agent.Inspect(ctx)
	s.must(err)
	if in.Server != topology.ServerStopped {
		s.Errorf("after the fence the server is %s", in.Server)
	}
	second, err := s.agent.Fence(ctx, token)
	s.must(err)
	if second.WasRunning {
		s.Errorf("fence of a stopped server: %+v", second)
	}
}

func (s *suite) slots() {
	ctx := s.Context()
	token := s.token()
	for _, name := range []string{"", "somebody_elses", "repool_node01", "repool_node1; DROP TABLE t"} {
		_, err := s.agent.DropSlots(ctx, token, []string{topology.SlotName(1), name})
		s.want(agentapi.ErrRefused, err)
	}
	_, err := s.agent.DropSlots(ctx, token, []string{topology.SlotName(1), topology.SlotName(9)})
	s.must(err)
}

func (s *suite) instruct(i topology.Instruction) topology.Instructions {
	s.Helper()
	in, err := s.agent.Instruct(s.Context(), i)
	s.must(err)
	return in
}

func (s *suite) instructed() {
	ctx := s.Context()
	if in, err := s.agent.Instructions(ctx); err != nil || in != (topology.Instructions{}) {
		s.Errorf("at the beginning: %+v, %v", in, err)
	}
	held := s.instruct(topology.Instruction{Word: topology.WordHold, Who: "ann", Why: "new disk"})
	if held.Node.Number == 0 || held.Node.Who != "ann" {
		s.Errorf("after the hold: %+v", held)
	}
	in, err := s.agent.Inspect(ctx)
	s.must(err)
	if in.Instructions == nil || in.Instructions.Node.Word != topology.WordHold {
		s.Errorf("the inspection has %+v", in.Instructions)
	}
	token := s.token() // of the node itself the hold takes nothing away
	s.want(agentapi.ErrRefused, s.agent.StartRun(ctx, Request("a-run", token)))
	if old := s.instruct(topology.Instruction{Word: topology.WordRelease, Number: held.Node.Number}); old != held {
		s.Errorf("an older instruction was taken: %+v", old)
	}
	released := s.instruct(topology.Instruction{Word: topology.WordRelease, Who: "ann"})
	if released.Node.Number <= held.Node.Number || released.Node.Word != topology.WordRelease {
		s.Errorf("after the release: %+v", released)
	}
	// The hold of the whole pool is another one, with a number from outside.
	s.want(agentapi.ErrRefused, second(s.agent.Instruct(ctx, topology.Instruction{Word: topology.WordHold, Pool: true})))
	s.instruct(topology.Instruction{Word: topology.WordHold, Pool: true, Number: 70})
	s.want(agentapi.ErrRefused, s.agent.StartRun(ctx, Request("a-run", token)))
	s.instruct(topology.Instruction{Word: topology.WordRelease, Pool: true, Number: 71})
	past := time.Now().Add(-time.Second)
	s.instruct(topology.Instruction{Word: topology.WordHold, Until: past})
	s.want(agentapi.ErrRefused, second(s.agent.Instruct(ctx, topology.Instruction{Word: "dance"})))
	s.must(s.agent.StartRun(ctx, Request("a-run", token)))
	// During a run, too.
	s.instruct(topology.Instruction{Word: topology.WordHold})
	s.must(s.agent.Cancel(ctx, token, "a-run"))
	s.end("a-run")
}

func (s *suite) consented() {
	asked := s.instruct(topology.Instruction{Word: topology.WordResync, Method: topology.MethodRewind, Who: "ann"})
	if asked.Used || asked.Resync.Method != topology.MethodRewind {
		s.Errorf("after the consent: %+v", asked)
	}
	token, step := s.start("a-run")
	s.must(s.agent.Clear(s.Context(), token, "a-run", step))
	s.end("a-run")
	if in, err := s.agent.Instructions(s.Context()); err != nil || !in.Used {
		s.Errorf("after the run: %+v, %v", in, err)
	}
	if again := s.instruct(topology.Instruction{Word: topology.WordResync}); again.Used {
		s.Errorf("after another consent: %+v", again)
	}
}

func second[T any](_ T, err error) error { return err }

func (s *suite) gone() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := s.agent.Acquire(ctx, "controller-a"); !errors.Is(err, context.Canceled) {
		s.Errorf("acquire by a caller that has gone: %v", err)
	}
	s.token()
}
