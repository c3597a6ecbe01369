package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cheggaaa/pb/v3"
	"golang.org/x/term"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/view"
	"github.com/repool/repool/internal/terminal"
)

// patience is how many looks in a row must refuse before waiting ends: a single
// refusal may pass, such as while facts are being gathered.
const patience = 6

// progress shows what happens to a node. On a terminal it rewrites one line;
// elsewhere it prints a line when its key changes, and every ten seconds.
type progress struct {
	w        io.Writer
	terminal bool
	key      string
	told     time.Time
	open     bool // the line on the terminal has no newline yet
}

func (p *progress) say(key, line string, now time.Time) {
	line = strings.Join(strings.Fields(line), " ")
	switch {
	case p.terminal:
		line = fit(line, p.width())
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

// width is how much a line of the terminal takes without wrapping.
func (p *progress) width() int {
	if f, ok := p.w.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 1 {
			return w - 1
		}
	}
	return 79
}

func (p *progress) end() {
	if p.open {
		fmt.Fprintln(p.w)
	}
}

// waitHealthy waits until a node is healthy, or refused for good.
func (g *globals) waitHealthy(ctx context.Context, c *control.Client, node topology.NodeID) error {
	p := &progress{w: g.err, terminal: terminal.IsTerminal(g.err)}
	defer p.end()
	refused := 0
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return exit.With(exit.Unfinished, fmt.Errorf("stopped waiting for node %d", node),
				"the resync continues: repool status shows its progress")
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
			r := *n.Agent.Run
			key, line = r.ID+r.Step(), fmt.Sprintf("node %d: %s", node, view.RunOf(r, now).Line())
			if bar := runBarFor(r, now, p.width()); p.terminal && bar != "" {
				line = bar
			}
		}
		p.say(key, line, now)
		switch {
		case d.Severity == codes.OK:
			return nil
		case d.Severity != codes.Refused:
			refused = 0
		default:
			if refused++; refused <= patience {
				continue
			}
			code := exit.Refused
			if d.Code == codes.OnHold || d.Code == codes.Parked {
				code = exit.Parked
			}
			return exit.With(code, fmt.Errorf("%s (%s)", d.Reason, d.Code), d.Hint)
		}
	}
}

// barTemplate is pb's: what runs, bytes, bar, rate and what is left.
const barTemplate = `{{string . "what"}}  {{counters . }} {{bar . "[" "█" "█" "░" "]"}} {{percent . "%.0f%%"}}` +
	`  {{string . "rate"}}  {{string . "left"}}`

// runBarFor is a progress bar of the given width; empty where nothing is being
// copied.
func runBarFor(r topology.RunState, now time.Time, width int) string {
	v := view.RunOf(r, now)
	if !v.Moving {
		return ""
	}
	bar := pb.New64(int64(r.BytesTotal)).SetCurrent(int64(r.BytesDone)).
		SetTemplateString(barTemplate).SetWriter(io.Discard).SetWidth(width)
	bar.Set(pb.Bytes, true)
	bar.Set("what", fmt.Sprintf("node %d: %s", r.Node, r.Method)).Set("rate", v.Rate).Set("left", v.Left)
	return strings.TrimRight(bar.String(), " ")
}
