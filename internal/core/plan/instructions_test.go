package plan

import (
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

func TestHeed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	hold := func(n uint64) topology.Instruction {
		return topology.Instruction{Number: n, Word: topology.WordHold, Who: "ann", At: now}
	}
	release := func(n uint64) topology.Instruction {
		return topology.Instruction{Number: n, Word: topology.WordRelease, At: now}
	}
	resync := func(n uint64, at time.Time) topology.Instruction {
		return topology.Instruction{Number: n, Word: topology.WordResync, Method: topology.MethodRewind, At: at}
	}
	type told = topology.Instructions
	type seen struct {
		after time.Duration
		in    told
	}
	for name, c := range map[string]struct {
		looks []seen
		held  bool // node 1
		asked string
	}{
		"a hold":            {looks: []seen{{0, told{Node: hold(1)}}}, held: true},
		"a hold that ended": {looks: []seen{{0, told{Node: hold(1)}}, {0, told{Node: release(2)}}}},
		"an answer from before the release came later": {looks: []seen{{0, told{Node: release(2)}},
			{time.Second, told{Node: hold(1)}}}},
		"the agent has lost what it kept": {looks: []seen{{0, told{Node: hold(3)}},
			{time.Minute, told{}}}, held: true},
		"a hold of the whole pool":  {looks: []seen{{0, told{Pool: hold(9)}}}, held: true},
		"and its end":               {looks: []seen{{0, told{Pool: hold(9)}}, {0, told{Pool: release(10)}}}},
		"a consent":                 {looks: []seen{{0, told{Resync: resync(1, now)}}}, asked: "rewind"},
		"a consent that is used up": {looks: []seen{{0, told{Resync: resync(1, now), Used: true}}}},
		"a consent of long ago":     {looks: []seen{{0, told{Resync: resync(1, now.Add(-2*time.Hour))}}}},
		"a consent, then a hold": {looks: []seen{
			{0, told{Resync: resync(1, now), Node: hold(2)}}}, held: true, asked: "rewind"},
		"the same look again and again": {looks: []seen{
			{0, told{Node: hold(1)}}, {time.Hour, told{Node: hold(1)}}},
			held: true},
		"cannot be read": {looks: []seen{{0, told{Unreadable: "damaged"}}}, held: true},
		"cannot be read, and is released": {looks: []seen{{0, told{Unreadable: "damaged"}},
			{0, told{Node: release(1)}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem, at := Memory{Primary: topology.NoNode}, now
			for _, l := range c.looks {
				at = at.Add(l.after)
				mem = Heed(mem, 1, l.in, at, at)
			}
			held := false
			for _, h := range mem.Holds {
				held = held || h.Covers(1, at)
			}
			if held != c.held || mem.node(1).Asked != c.asked {
				t.Errorf("held %v, asked %q: %+v", held, mem.node(1).Asked, mem)
			}
		})
	}
}
