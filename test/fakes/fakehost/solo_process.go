package fakehost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// change makes an instant effect and looks at the promises.
func (s *Solo) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.pool.Check()
}

// op begins an operation: it counts, may fail, and must not happen while a program of a dead agent is still at work
// (hazard 7).
func (s *Solo) op(name string) (err error) {
	if s.OnOp != nil {
		s.OnOp(name)
	}
	s.change(func() {
		s.Ops++
		s.Trace = append(s.Trace, name)
		if s.Node.Stray != "" && name != "KillLeftovers" {
			s.violate("P4", "%s while the %s of a dead agent is still at work", name, s.Node.Stray)
		}
		if s.Ops == s.FailAt && !s.FailLate {
			err = fmt.Errorf("%s: injected failure", name)
		}
	})
	return err
}

// late is the failure after the effect.
func (s *Solo) late(name string) (err error) {
	s.change(func() {
		if s.Ops == s.FailAt && s.FailLate {
			err = fmt.Errorf("%s: injected late failure", name)
		}
	})
	return err
}

func (s *Solo) mid(name string) {
	if s.Mid != nil {
		s.Mid(name)
	}
}

// solo is the process of a Solo. A test lets it die by ending its goroutine in OnOp, in Mid or in a Progress.
type solo struct{ *Solo }

// Look calls f.
func (s solo) Look(f func() error) (err error) {
	s.change(func() { err = f() })
	return err
}

// Act is one operation, with Mid between its parts.
func (s solo) Act(op string, _ time.Duration, parts ...func() error) error {
	if err := s.op(op); err != nil {
		return err
	}
	var err error
	for i, part := range parts {
		if i > 0 {
			s.mid(op)
		}
		if err = s.Look(part); err != nil {
			break
		}
	}
	return errors.Join(err, s.late(op))
}

// Work is one operation, with Mid or a Progress in its middle.
func (s solo) Work(_ context.Context, pr Program, see resync.Progress) error {
	if err := s.op(pr.Name); err != nil {
		return err
	}
	if err := s.Look(pr.Begin); err != nil {
		return errors.Join(err, s.late(pr.Name))
	}
	s.change(func() { s.Node.Stray = pr.Name })
	if see != nil {
		see(1, 2)
	} else {
		s.mid(pr.Name)
	}
	err := s.Look(pr.Half)
	if err == nil && s.halfDone() {
		err = s.late(pr.Name) // it ends as it is
	}
	if err == nil {
		err = s.Look(pr.End)
		err = errors.Join(err, s.late(pr.Name))
	}
	s.change(func() { s.Node.Stray = "" })
	return err
}

// halfDone says that a program has begun to fill a directory.
func (s *Solo) halfDone() (half bool) {
	s.change(func() {
		for _, d := range s.Node.Places {
			half = half || d != nil && (d.Content == HalfRewound || d.Content == HalfCopied)
		}
	})
	return half
}

// Wait is over at once.
func (solo) Wait(context.Context, time.Duration, time.Duration) error { return nil }

// Ask is one operation on the primary.
func (s solo) Ask(_ context.Context, node topology.NodeID, what string, act func(*Server) error) error {
	if err := s.op(what); err != nil {
		return err
	}
	err := s.Look(func() error {
		u := s.pool.Nodes[node]
		if !u.Accepting() {
			return ErrRefused
		}
		return act(u.Server)
	})
	return errors.Join(err, s.late(what))
}

// Overwrites needs no check: a test that gives no clearance knows.
func (solo) Overwrites(topology.NodeID, string) {}

// Stops needs no check.
func (solo) Stops(*Server) {}

// Confirmed needs no check.
func (solo) Confirmed(topology.NodeID) {}
