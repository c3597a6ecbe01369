package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/core/topology"
)

// Run is one execution of a method on a node, in words.
type Run struct {
	ID       string
	Node     topology.NodeID
	Method   string
	Upstream topology.NodeID
	Outcome  topology.Outcome
	Took     time.Duration
	Step     string // the present one, or the last one of a run that has ended
	Steps    []Step
	// Moving: data is being copied, and Share of it is done. Done, Total, Rate and
	// Left are in words; empty: unknown.
	Moving                  bool
	Share                   float64
	Done, Total, Rate, Left string
}

// Step is one step of a run.
type Step struct {
	Name    string
	Took    time.Duration
	Running bool
	Note    string
	Error   string
}

// RunOf words what a journal says.
func RunOf(r topology.RunState, now time.Time) *Run {
	end := now
	if r.Outcome.Ended() && !r.Ended.IsZero() {
		end = r.Ended
	}
	out := &Run{ID: r.ID, Node: r.Node, Method: string(r.Method), Upstream: r.Upstream, Outcome: r.Outcome,
		Took: max(0, end.Sub(r.Started)), Step: r.Step()}
	for i, s := range r.Steps {
		st := Step{Name: s.Name, Note: firstLine(s.Note), Error: firstLine(s.Error), Running: s.Ended.IsZero() &&
			!r.Outcome.Ended()}
		switch {
		case !s.Ended.IsZero():
			st.Took = s.Ended.Sub(s.Started)
		case !s.Started.IsZero():
			st.Took = max(0, end.Sub(s.Started))
		}
		if i < len(r.Steps)-1 {
			st.Running = false
		}
		out.Steps = append(out.Steps, st)
	}
	out.progress(r)
	return out
}

// progress is that of the step which copies data; it is over when all has arrived.
func (r *Run) progress(s topology.RunState) {
	if s.BytesDone == 0 {
		return
	}
	r.Done = humanize.IBytes(s.BytesDone)
	if s.BytesTotal == 0 || len(r.Steps) == 0 {
		return
	}
	r.Total = humanize.IBytes(max(s.BytesTotal, s.BytesDone))
	r.Share = min(1, float64(s.BytesDone)/float64(s.BytesTotal))
	r.Moving = s.BytesDone < s.BytesTotal && !s.Outcome.Ended()
	took := r.Steps[len(r.Steps)-1].Took
	if s.Steps[len(s.Steps)-1].Started.IsZero() {
		took = r.Took
	}
	if !r.Moving || took < time.Second/2 {
		return
	}
	rate := float64(s.BytesDone) / took.Seconds()
	r.Rate = humanize.IBytes(uint64(rate)) + "/s"
	r.Left = seconds(float64(s.BytesTotal-s.BytesDone)/rate) + " left"
}

// Percent is Share in percent.
func (r *Run) Percent() int { return int(100 * r.Share) }

// Short is the run in two or three words.
func (r *Run) Short() string {
	switch {
	case r.Outcome == topology.RunWaiting:
		return r.Method + ", waiting for clearance"
	case r.Moving:
		return fmt.Sprintf("%s %d%%", r.Method, r.Percent())
	}
	return strings.TrimSpace(r.Method + ", " + r.Step)
}

// Line is the run and its progress in one line.
func (r *Run) Line() string {
	parts := []string{fmt.Sprintf("%s from node %s, step %s, %s elapsed", r.Method, r.Upstream, r.Step,
		r.Took.Round(time.Second))}
	switch {
	case r.Moving:
		parts = append(parts, fmt.Sprintf("%s of %s (%d%%)", r.Done, r.Total, r.Percent()))
	case r.Done != "":
		parts = append(parts, r.Done)
	}
	for _, s := range []string{r.Rate, r.Left} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// seconds prints a duration, rounded for people.
func seconds(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", s)
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", s)
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	default:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
}

// Took prints how long something took.
func Took(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
