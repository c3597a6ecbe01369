package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/view"
	"github.com/repool/repool/internal/terminal"
)

const (
	// watchEvery is how often the picture is redrawn.
	watchEvery = 500 * time.Millisecond
	// watchedEvents are the last ones below it.
	watchedEvents = 8
)

// watch shows the pool until ctx is done: on a terminal redrawn in place, else
// as a block of text, or a line of JSON, each time that something has changed.
func (g *globals) watch(ctx context.Context, p *config.Pool) error {
	c := control.NewClient(p.Controller.Socket)
	scr := newScreen(g.out)
	if scr != nil && !g.json {
		defer scr.close()
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	told, pass := "", uint64(0)
	for {
		st, past, err := watched(ctx, c)
		if err != nil && ctx.Err() == nil && !errors.Is(err, control.ErrNotRunning) {
			return exit.With(exit.Unreachable, err)
		}
		switch {
		case ctx.Err() != nil:
			return nil // a person's end of it is no failure
		case err != nil && told == "":
			return exit.With(exit.Unreachable, err)
		case g.json && err == nil && st.Pass != pass:
			if err := terminal.PrintJSONLine(g.out, view.ReportOf(st, time.Now())); err != nil {
				return err
			}
			told, pass = "json", st.Pass
		case g.json:
		default:
			text := picture(view.Of(st, past, time.Now()), glyphsFor(os.Getenv), terminal.WantsColour(g.out))
			if err != nil { // it has stopped while we looked
				text = []string{"the controller has stopped: what was shown is out of date", ""}
			}
			told, err = show(g.out, scr, text, told)
			if err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// watched is one look.
func watched(ctx context.Context, c *control.Client) (control.Status, view.Past, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return st, view.Past{}, err
	}
	var past view.Past
	if past.Events, err = c.History(ctx, event.Filter{Limit: watchedEvents}); err != nil {
		past.Err = terminal.FirstLine(err.Error())
	}
	return st, past, nil
}

// show draws on the screen, or prints a text that differs from the last told.
func show(w io.Writer, scr *screen, text []string, told string) (string, error) {
	block := strings.Join(text, "\n")
	if scr != nil {
		return block, scr.draw(text)
	}
	if block == told {
		return told, nil
	}
	_, err := fmt.Fprintf(w, "%s\n\n", block)
	return block, err
}

// screen redraws a terminal in place: over what is there, line by line, so that
// nothing flickers; the size is asked for each time, so that it follows.
type screen struct {
	w    io.Writer
	size func() (width, height int, err error)
	last []string
}

// newScreen is nil where w is not a terminal.
func newScreen(w io.Writer) *screen {
	f, ok := w.(*os.File)
	if !ok || !terminal.IsTerminal(w) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return &screen{w: f, size: func() (int, int, error) { return term.GetSize(int(f.Fd())) }}
}

func (s *screen) draw(text []string) error {
	width, height, err := s.size()
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	first := s.last == nil
	s.last = text
	_, err = io.WriteString(s.w, frameOf(text, width, height, first))
	return err
}

// frameOf is what a terminal of that size must be sent to show text. The first
// frame moves to the terminal's other screen and hides the cursor.
func frameOf(text []string, width, height int, first bool) string {
	var b strings.Builder
	if first {
		b.WriteString("\x1b[?1049h\x1b[?25l")
	}
	b.WriteString("\x1b[?2026h\x1b[H") // as one, where the terminal can
	if len(text) > height {
		left := len(text) - height + 1
		text = append(append([]string{}, text[:height-1]...), "… "+terminal.Count(left, "more line"))
	}
	for i, line := range text {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(fit(line, width) + "\x1b[K")
	}
	b.WriteString("\x1b[J\x1b[?2026l")
	return b.String()
}

// fit cuts a line to a width, not counting its colours, which it ends.
func fit(line string, width int) string {
	const (
		text = iota
		escape
		sequence
	)
	state, n := text, 0
	for i, r := range line {
		switch {
		case state == escape && r == '[':
			state = sequence
		case state == escape, state == sequence && r >= '@' && r <= '~':
			state = text
		case state == sequence:
		case r == '\x1b':
			state = escape
		case n == width:
			return line[:i] + terminal.Plain
		default:
			n++
		}
	}
	return line
}

// close goes back to the terminal's own screen, and leaves the last picture there.
func (s *screen) close() {
	if s.last != nil {
		fmt.Fprintf(s.w, "\x1b[?1049l\x1b[?25h%s\n", strings.Join(s.last, "\n"))
	}
}
