package hook

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
)

func TestFollowPrimaryOnlyNotes(t *testing.T) {
	t.Parallel()
	w := newWorld(dead(), primary(), standby(0x100))
	d := w.deps(t)
	r, err := FollowPrimary(t.Context(), d, event012(2, 0, 1))
	if err != nil || r.Code != CodeNoted || w.pokes != 1 {
		t.Errorf("%+v, %v, pokes %d", r, err, w.pokes)
	}
	if events, err := Pending(d.stateDir()); err != nil || len(events) != 0 {
		t.Errorf("pending %v, %v", events, err)
	}
	d.Pool.Controller.StateDir = "/dev/null"
	if _, err := FollowPrimary(t.Context(), d, event012(2, 0, 1)); exit.Code(err) != exit.Unreachable {
		t.Errorf("no state directory: %v", err)
	}
}

// refusing is a controller that says no, or is not there.
type refusing struct {
	Controller
	err error
}

func (r refusing) Recover(_ context.Context, _ topology.NodeID, say func(string)) error {
	say("looking")
	return r.err
}
func (r refusing) Resync(context.Context, topology.NodeID) error { return r.err }

func TestOnlineRecoveryAndResync(t *testing.T) {
	t.Parallel()
	seven := []string{"/srv/pg0", "localhost", "/srv/pg2", "5430", "2", "5432", "localhost"}
	for name, c := range map[string]struct {
		args   []string
		answer error
		exit   int
	}{
		"4.3 and later":            {args: seven},
		"4.1":                      {args: seven[:6]},
		"4.0":                      {args: seven[:5]},
		"3.4":                      {args: seven[:4]},
		"before 3.4":               {args: seven[:3]},
		"no such node":             {args: []string{"/srv/pg0", "localhost", "/srv/pg2", "5430", "9"}, exit: exit.Usage},
		"no such host":             {args: []string{"/srv/pg0", "elsewhere", "/srv/pg2"}, exit: exit.Usage},
		"a word for a number":      {args: []string{"/srv/pg0", "localhost", "/srv/pg2", "5430", "two"}, exit: exit.Usage},
		"a word for a port":        {args: []string{"/srv/pg0", "localhost", "/srv/pg2", "port"}, exit: exit.Usage},
		"too few":                  {args: seven[:2], exit: exit.Usage},
		"refused by the planner":   {args: seven, answer: exit.New(exit.Refused, "no-space"), exit: exit.Refused},
		"the controller is away":   {args: seven, answer: errors.New("connection refused"), exit: exit.Unreachable},
		"not proven within bounds": {args: seven, answer: context.DeadlineExceeded, exit: exit.Unfinished},
	} {
		w := newWorld(primary(), standby(0x100), dead())
		d := w.deps(t)
		d.Pool.Nodes = oneHost()
		d.Control = refusing{w, c.answer}
		_, err := Recovery1st(t.Context(), d, c.args)
		if exit.Code(err) != c.exit {
			t.Errorf("%s: %v", name, err)
		}
		if c.exit == 0 && !strings.Contains(w.log.String(), "node 2: looking") {
			t.Errorf("%s: no progress:\n%s", name, w.log.String())
		}
		if len(c.args) == 7 {
			if _, err := Resync(t.Context(), d, Event{Failed: 2}); exit.Code(err) != c.exit {
				t.Errorf("%s: resync: %v", name, err)
			}
		}
	}
	w := newWorld(primary())
	if _, err := Resync(t.Context(), w.deps(t), Event{Failed: 5}); exit.Code(err) != exit.Usage {
		t.Errorf("resync of a node that is not there: %v", err)
	}
}

func TestRemoteStart(t *testing.T) {
	t.Parallel()
	w := newWorld(primary(), standby(0x100), dead())
	d := w.deps(t)
	d.Pool.Nodes = oneHost()
	d.Control = refusing{w, errors.New("asked")}
	for dir, want := range map[string]int{"/srv/pg1": 0, "/srv/pg1/": 0, "/srv/pg0": exit.Refused,
		"/srv/pg2": exit.Unreachable, "/srv/x": exit.Usage} {
		if _, err := RemoteStart(t.Context(), d, []string{"localhost", dir}); exit.Code(err) != want {
			t.Errorf("%s: %v, want %d", dir, err, want)
		}
	}
	if _, err := RemoteStart(t.Context(), d, []string{"localhost"}); exit.Code(err) != exit.Usage {
		t.Errorf("one argument: %v", err)
	}
}
