package proof

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/repool/repool/lab"
)

// GuardOptions say how a Guard looks.
type GuardOptions struct {
	// Every is the time between two looks; zero: 100 ms.
	Every time.Duration
	// See is called with each look, one at a time. May be nil.
	See func(at time.Time, all []lab.NodeStatus)
	// Check is called with each look and says what is wrong beside the guard's
	// own rules. May be nil.
	Check func(all []lab.NodeStatus) []string
}

// Guard looks at a pool all the while.
type Guard struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	result  GuardResult
	watched map[int]bool
}

// GuardResult is what a Guard has seen so far.
type GuardResult struct {
	Samples int `json:"samples"`
	// Bad counts looks that showed something forbidden; Violations are the first.
	Bad        int      `json:"bad_samples"`
	Violations []string `json:"violations,omitempty"`
}

// maxViolations are kept as text.
const maxViolations = 10

// Watch starts a guard; Stop it.
func Watch(l *lab.Lab, o GuardOptions) *Guard {
	if o.Every == 0 {
		o.Every = 100 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Guard{cancel: cancel, done: make(chan struct{}), watched: map[int]bool{}}
	go func() {
		defer close(g.done)
		tick := time.NewTicker(o.Every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			watched := g.watching()
			at := time.Now()
			all := l.Status(ctx)
			if ctx.Err() != nil {
				return
			}
			var bad []string
			if o.Check != nil {
				bad = o.Check(all)
			}
			g.sample(at, all, watched, bad)
			if o.See != nil {
				o.See(at, all)
			}
		}
	}()
	return g
}

// MustNotWrite says whether a node, from now on, may accept no writes.
func (g *Guard) MustNotWrite(node int, must bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watched[node] = must
}

// Stop ends the looking and gives what was seen. It may be called again.
func (g *Guard) Stop() GuardResult {
	g.cancel()
	<-g.done
	return g.Result()
}

// Result is what was seen so far.
func (g *Guard) Result() GuardResult {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.result
	r.Violations = append([]string(nil), r.Violations...)
	return r
}

// Reset forgets what was seen, and gives it.
func (g *Guard) Reset() GuardResult {
	r := g.Result()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.result = GuardResult{}
	return r
}

// watching is taken before a look: a node that came under watch during it may
// have answered before.
func (g *Guard) watching() map[int]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[int]bool{}
	for n, on := range g.watched {
		out[n] = on
	}
	return out
}

func (g *Guard) sample(at time.Time, all []lab.NodeStatus, watched map[int]bool, bad []string) {
	top := Newest(all)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.result.Samples++
	for i, n := range all {
		if n.Primary && n.Attached && i != top {
			bad = append(bad, fmt.Sprintf("node %d is attached and a primary on timeline %s, beside node %d on %s", i,
				n.Timeline, top, all[top].Timeline))
		}
		if n.Primary && watched[i] && g.watched[i] {
			bad = append(bad, fmt.Sprintf("node %d accepts writes on timeline %s in the middle of its resync", i, n.Timeline))
		}
	}
	if len(bad) > 0 {
		g.result.Bad++
	}
	for _, b := range bad {
		if len(g.result.Violations) < maxViolations {
			g.result.Violations = append(g.result.Violations, at.Format("15:04:05.000 ")+b)
		}
	}
}

// Newest is the primary with the highest timeline, -1 when there is none.
func Newest(all []lab.NodeStatus) int {
	top := -1
	for i, n := range all {
		if n.Primary && (top < 0 || n.Timeline > all[top].Timeline) {
			top = i
		}
	}
	return top
}
