package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/control"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/plan"
	"github.com/repool/repool/internal/topology"
)

// patience is how many looks in a row must refuse before waiting ends: one
// refusal may be of the moment, such as facts that are just being gathered.
const patience = 6

// progress tells how a node fares. On a terminal one line is written over and
// over; elsewhere a line is written when the text but for its figures changes,
// and every ten seconds.
type progress struct {
	w        io.Writer
	terminal bool
	key      string
	told     time.Time
	open     bool // a line without its end is on the terminal
}

func (p *progress) say(key, line string, now time.Time) {
	line = oneLine(line)
	switch {
	case p.terminal:
		if p.open && key != p.key {
			fmt.Fprintln(p.w)
		}
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		p.open = true
	case key == p.key && now.Sub(p.told) < 10*time.Second:
		return
	default:
		fmt.Fprintln(p.w, line)
	}
	p.key, p.told = key, now
}

func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.w)
	}
}

// waitHealthy follows a node until it is healthy or refused for good.
func (g *globals) waitHealthy(ctx context.Context, c *control.Client, node topology.NodeID) error {
	p := &progress{w: g.err, terminal: isTerminal(g.err)}
	defer p.end()
	refused := 0
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return exit.With(exit.Unfinished, fmt.Errorf("stopped waiting for node %d", node), "the resync goes on: repool status shows how far it is")
		case <-tick.C:
		}
		st, err := c.Status(ctx)
		if err != nil {
			return err
		}
		d := decisionOf(st, node)
		if d == nil {
			continue
		}
		now := time.Now()
		key, line := string(d.Code), fmt.Sprintf("node %d: %s (%s)", node, d.Reason, d.Code)
		if n := st.Snapshot.Node(node); n != nil && n.Agent.Run != nil && !n.Agent.Run.Outcome.Ended() {
			key, line = n.Agent.Run.ID+n.Agent.Run.Step(), fmt.Sprintf("node %d: %s", node, runLine(*n.Agent.Run, now))
		}
		p.say(key, line, now)
		switch {
		case d.Severity == plan.OK:
			return nil
		case d.Severity != plan.Refused:
			refused = 0
		default:
			if refused++; refused <= patience {
				continue
			}
			code := exit.Refused
			if d.Code == plan.CodeOnHold || d.Code == plan.CodeParked {
				code = exit.Parked
			}
			return exit.With(code, fmt.Errorf("%s (%s)", d.Reason, d.Code), d.Hint)
		}
	}
}

// runLine is one run's progress with an estimate of what is left.
func runLine(r topology.RunState, now time.Time) string {
	took := now.Sub(r.Started)
	s := fmt.Sprintf("%s from node %d, step %s, %s so far", r.Method, r.Upstream, r.Step(), took.Round(time.Second))
	switch {
	case r.BytesDone == 0:
		return s
	case r.BytesTotal <= r.BytesDone:
		return s + ", " + humanize.IBytes(r.BytesDone)
	}
	share := float64(r.BytesDone) / float64(r.BytesTotal)
	// The time is that of the step that moves the data, where it is known.
	if n := len(r.Steps); n > 0 && !r.Steps[n-1].Started.IsZero() {
		took = now.Sub(r.Steps[n-1].Started)
	}
	left := time.Duration(float64(took) * (1 - share) / share)
	return s + fmt.Sprintf(", %s of %s (%.0f %%), about %s left", humanize.IBytes(r.BytesDone), humanize.IBytes(r.BytesTotal), 100*share, left.Round(time.Second))
}
