package controller

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// listener notes what it hears.
type listener struct {
	mu     sync.Mutex
	passes uint64
	events []string
	runs   []topology.RunState
}

func (l *listener) Passed(st control.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passes = st.Pass
}

func (l *listener) Happened(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Kind != "decision" {
		l.events = append(l.events, e.Kind+" "+e.Code)
	}
}

func (l *listener) RunEnded(r topology.RunState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = append(l.runs, r)
}

// TestAudienceHearsEverything: passes, events and the run's end, each once.
func TestAudienceHearsEverything(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		l := &listener{}
		w.opts.Audience = []Audience{l}
		w.dies(2)
		c, stop := w.run()
		w.pass(30 * time.Second)
		if got := c.Status().Pass; l.passes != got || got == 0 {
			t.Errorf("heard of pass %d, the newest is %d", l.passes, got)
		}
		stop()
		want := "controller started, run started, run done, attach ready, controller stopped"
		if got := strings.Join(l.events, ", "); got != want {
			t.Errorf("events: %s, want %s", got, want)
		}
		if len(l.runs) != 1 || l.runs[0].Outcome != topology.RunDone || l.runs[0].Method != topology.MethodStart ||
			len(l.runs[0].Steps) == 0 {
			t.Errorf("runs: %+v", l.runs)
		}
	})
}
