package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/proof"
)

// Options say how to run the demo.
type Options struct {
	// Repool is the binary whose controller and hooks are shown.
	Repool string
	// Out gets the story; nil tells none.
	Out    io.Writer
	Colour bool
	// Keep leaves the pool running.
	Keep bool
	// Layout of the nodes; empty: plain.
	Layout lab.Layout
	// Over puts every node and Pgpool-II on a host of its own, with agents reached
	// in that way, and adds an act in which the network fails; empty: one host.
	Over lab.AgentMode
}

// actDeadline bounds one act: far more than any takes.
const actDeadline = 90 * time.Second

// show is a running demo.
type show struct {
	o      Options
	lab    *lab.Lab
	ctl    *control.Client
	writer *lab.Writer
	tell   *teller
	guard  *proof.Guard
	told   int64     // the newest event of the history that was told
	lost   []lab.Row // committed directly on a node, to be lost there
	report Report
}

// Run plays all acts and returns the report. The error is for what kept the
// demo from being played; a promise that was not kept is Report.OK false.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	begun := time.Now()
	s := &show{o: o, tell: &teller{w: o.Out, colour: o.Colour, since: begun}}
	s.report.Over = string(o.Over)
	where := ""
	if o.Over != "" {
		where = ", each on a host of its own, agents reached over " + string(o.Over)
	}
	s.tell.say(begun, "building a pool: 1 primary, 2 standbys, Pgpool-II, repool%s", where)
	l, err := lab.Up(ctx, lab.Options{Repool: o.Repool, Hooks: true, Controller: true, Keep: o.Keep, Layout: o.Layout,
		Hosts: o.Over != "", Agents: o.Over})
	if err != nil {
		return s.report, fmt.Errorf("build the pool: %w", err)
	}
	s.lab = l
	s.ctl = control.NewClient(l.ControllerSocket(0))
	err = s.play(ctx)
	s.report.Seconds = time.Since(begun).Seconds()
	s.report.OK = err == nil && s.kept()
	if err == nil {
		s.tell.summary(s.report)
	}
	if o.Keep {
		s.report.Dir = l.Dir
		fmt.Fprintf(o.Out, "\nThe pool is running. Connect with\n  psql '%s'\nlook with\n  %s --config %s status\n"+
			"and end it with\n  repool-lab down --dir %s\n", l.PoolConnString(), o.Repool, l.RepoolConf(), l.Dir)
		return s.report, err
	}
	return s.report, errors.Join(err, l.Down(context.WithoutCancel(ctx)))
}

// kept says whether every promise of the demo was kept.
func (s *show) kept() bool {
	r := s.report
	for _, a := range r.Acts {
		if !a.Healed {
			return false
		}
	}
	return r.AllAttached && r.RowsMatch && r.Unexplained == 0 && r.Falsely == 0 && r.BadAttach == 0
}

func (s *show) play(ctx context.Context) error {
	if err := s.settled(ctx); err != nil {
		return fmt.Errorf("the new pool: %w", err)
	}
	s.tell.say(time.Now(), "pool ready, a client writes through Pgpool-II from now on")
	s.writer = s.lab.StartWriter(lab.WriterOptions{})
	s.guard = proof.Watch(s.lab, proof.GuardOptions{Every: 200 * time.Millisecond})
	defer s.guard.Stop()
	if err := s.writer.WaitAcked(ctx, 20); err != nil {
		return fmt.Errorf("the client: %w", err)
	}
	acts := []func(context.Context, *Act) error{s.nothingLost, s.commitsLost, s.standbyKilled, s.dataDestroyed,
		s.secondPrimary}
	if s.o.Over != "" {
		acts = append(acts, s.partition)
	}
	for _, act := range acts {
		if err := s.calm(ctx); err != nil {
			return err
		}
		a := &Act{Number: len(s.report.Acts) + 1}
		actx, cancel := context.WithTimeout(ctx, actDeadline)
		err := act(actx, a)
		cancel()
		s.report.Acts = append(s.report.Acts, *a)
		if err != nil {
			return fmt.Errorf("act %d: %w", a.Number, err)
		}
	}
	s.writer.Stop()
	return s.proof(ctx)
}

// heal waits until a run has healed the node and the pool is whole again, telling
// what the controller records meanwhile, and fills in the act. That the pool looks
// whole is not enough: on a busy machine the fault may not have been noticed yet.
func (s *show) heal(ctx context.Context, a *Act, fault time.Time) error {
	done := time.Now() // a pass that began before may have seen the node as it was
	err := lab.WaitFor(ctx, "full redundancy", func(ctx context.Context) error {
		if err := s.events(ctx, a, fault); err != nil {
			return err
		}
		if a.Method == "" {
			return fmt.Errorf("no run of node %d has ended yet", a.Node)
		}
		return s.whole(ctx, done)
	})
	a.Seconds = time.Since(fault).Seconds()
	a.WriteGap = s.writer.LongestGap().Seconds()
	if err != nil {
		a.Note = err.Error()
		return err
	}
	if err := s.events(ctx, a, fault); err != nil {
		return err
	}
	s.tell.say(time.Now(), "full redundancy: all nodes attached, level with the primary, proven")
	a.Healed = a.Method == a.Expected
	if !a.Healed {
		a.Note = fmt.Sprintf("healed by %q, expected %q", a.Method, a.Expected)
	}
	return nil
}

// events tells what the controller has recorded since the fault and was not
// told yet.
func (s *show) events(ctx context.Context, a *Act, fault time.Time) error {
	events, err := s.ctl.History(ctx, event.Filter{Since: fault.Truncate(time.Second), Limit: 500})
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.ID > s.told && !e.At.Before(fault) {
			s.told = e.ID
			s.event(a, e)
		}
	}
	return nil
}

// event tells one event of the history and keeps what the summary needs.
func (s *show) event(a *Act, e event.Event) {
	switch e.Kind {
	case "decision":
		if e.Code == "healthy" {
			return
		}
		s.tell.say(e.At, "node %s: %s [%s]", e.Node, e.Text, e.Code)
	case "run":
		s.tell.say(e.At, "node %s: %s", e.Node, e.Text)
		var run topology.RunState
		if e.Code == string(topology.RunDone) && json.Unmarshal(e.Data, &run) == nil && int(e.Node) == a.Node {
			a.Method, a.Bytes = string(run.Method), run.BytesDone
			if run.Vault != nil {
				a.LostCommits, a.VaultBytes = run.Vault.Commits, run.Vault.Bytes
			}
		}
		if e.Code == "started" {
			var d struct{ Code, Reason string }
			if json.Unmarshal(e.Data, &d) == nil && int(e.Node) == a.Node {
				a.Code, a.Reason = d.Code, d.Reason
			}
		}
	case "fence", "detach", "attach":
		s.tell.say(e.At, "node %s: %s", e.Node, e.Text)
	}
}

// whole says what is missing for full redundancy: by the lab's own look, and
// by a pass of the controller begun after the fault.
func (s *show) whole(ctx context.Context, after time.Time) error {
	st, err := s.ctl.Status(ctx)
	if err != nil {
		return err
	}
	if !st.Snapshot.Taken.After(after) {
		return errors.New("the controller has not looked yet")
	}
	for _, d := range st.Decisions {
		if d.Severity != "ok" {
			return fmt.Errorf("node %d: %s", d.Node, d.Code)
		}
	}
	return lab.Healthy(s.lab.Status(ctx))
}

// calm waits until the pool has been whole for a moment, as long as Pgpool-II
// needs to look for the primary after an attach: a primary that dies within
// that search is only noticed when the search has timed out.
func (s *show) calm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, actDeadline)
	defer cancel()
	var since time.Time
	return lab.WaitFor(ctx, "a calm pool", func(ctx context.Context) error {
		if err := s.whole(ctx, time.Time{}); err != nil {
			since = time.Time{}
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < 1500*time.Millisecond {
			return errors.New("whole, but only just")
		}
		return nil
	})
}

// settled waits until the pool is whole.
func (s *show) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, actDeadline)
	defer cancel()
	return lab.WaitFor(ctx, "a whole pool", func(ctx context.Context) error { return s.whole(ctx, time.Time{}) })
}
