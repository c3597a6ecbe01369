package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Act is one bad thing done to the pool, and how it was healed.
type Act struct {
	Number int    `json:"number"`
	Title  string `json:"title"`
	Node   int    `json:"node"`
	// Method and Code are of the decision that brought the node back.
	Method string `json:"method"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
	// Seconds from the fault to full redundancy: all nodes attached, level with
	// the primary, and proven. WriteGap is the longest time between two
	// acknowledged rows of the client meanwhile.
	Seconds  float64 `json:"seconds"`
	WriteGap float64 `json:"write_gap_seconds"`
	// Bytes were copied into the node's data directory; VaultBytes kept aside.
	Bytes       uint64 `json:"bytes"`
	VaultBytes  uint64 `json:"vault_bytes"`
	LostCommits int    `json:"lost_commits"`
	Healed      bool   `json:"healed"`
	Expected    string `json:"expected_method"`
	Note        string `json:"note,omitempty"`
	Timeline    []Line `json:"timeline"`
}

// Line is one line of an act's timeline.
type Line struct {
	Seconds float64 `json:"seconds"`
	Text    string  `json:"text"`
}

// Report is the whole demo as data.
type Report struct {
	OK bool `json:"ok"`
	// Over is how the agents of other hosts were reached; empty: one host.
	Over  string `json:"over,omitempty"`
	Acts  []Act  `json:"acts"`
	Nodes int    `json:"nodes"`
	// AckedRows is what the client was told is committed.
	AckedRows   int `json:"acked_rows"`
	PresentRows int `json:"present_rows"`
	VaultedRows int `json:"vaulted_rows"`
	Unexplained int `json:"unexplained_rows"`
	// Falsely are rows that a vault calls lost and that are there.
	Falsely     int      `json:"falsely_vaulted_rows"`
	RowsMatch   bool     `json:"rows_match"`
	Differences []string `json:"differences,omitempty"`
	AllAttached bool     `json:"all_attached"`
	// BadAttach counts samples in which a node was attached that was a second primary.
	BadAttach int     `json:"bad_attach_samples"`
	Samples   int     `json:"samples"`
	Seconds   float64 `json:"seconds"`
	Dir       string  `json:"dir,omitempty"` // with --keep
}

// teller writes the story as it happens.
type teller struct {
	w      io.Writer
	colour bool
	since  time.Time
	act    *Act
}

func (t *teller) paint(c, s string) string {
	if !t.colour {
		return s
	}
	return c + s + "\x1b[0m"
}

func (t *teller) title(a *Act, since time.Time) {
	t.act, t.since = a, since
	fmt.Fprintf(t.w, "\n%s\n", t.paint("\x1b[1m", fmt.Sprintf("Act %d: %s", a.Number, a.Title)))
}

// say tells one thing that happened at a time.
func (t *teller) say(at time.Time, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s := at.Sub(t.since).Seconds()
	if t.act != nil {
		t.act.Timeline = append(t.act.Timeline, Line{Seconds: s, Text: text})
	}
	fmt.Fprintf(t.w, "  %s  %s\n", t.paint("\x1b[2m", fmt.Sprintf("%+7.2fs", s)), text)
}

// summary is the table at the end.
func (t *teller) summary(r Report) {
	fmt.Fprintf(t.w, "\n%s\n", t.paint("\x1b[1m", "Summary"))
	fmt.Fprintf(t.w, "  %-3s %-57s %-12s %8s %10s %6s %10s\n", "act", "what happened", "method", "seconds", "copied",
		"lost", "write gap")
	for _, a := range r.Acts {
		mark := ""
		if !a.Healed {
			mark = "  " + t.paint("\x1b[31m", "not as it should be: "+a.Note)
		}
		fmt.Fprintf(t.w, "  %-3d %-57s %-12s %8.2f %10s %6d %9.2fs%s\n", a.Number, clip(a.Title, 57), a.Method, a.Seconds,
			humanize.IBytes(a.Bytes), a.LostCommits, a.WriteGap, mark)
	}
	row := func(what, result string, good bool) {
		c := "\x1b[32m"
		if !good {
			c = "\x1b[31m"
		}
		fmt.Fprintf(t.w, "  %-34s %s\n", what, t.paint(c, result))
	}
	fmt.Fprintln(t.w)
	row("all nodes attached", yes(r.AllAttached), r.AllAttached)
	row("copies equal, row by row", yes(r.RowsMatch), r.RowsMatch)
	for _, d := range r.Differences {
		fmt.Fprintf(t.w, "      %s\n", d)
	}
	row("acknowledged rows", fmt.Sprintf("%d = %d present + %d in the vault + %d unexplained", r.AckedRows,
		r.PresentRows, r.VaultedRows, r.Unexplained), r.Unexplained == 0)
	row("called lost, and there", fmt.Sprint(r.Falsely), r.Falsely == 0)
	row("second primary ever attached", fmt.Sprintf("%s (%d samples)", yes(r.BadAttach > 0), r.Samples), r.BadAttach == 0)
	fmt.Fprintf(t.w, "  %-34s %.1f s\n", "whole demo", r.Seconds)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.TrimSpace(s[:n-1]) + "…"
}
