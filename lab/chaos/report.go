package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/repool/repool/lab"
)

// Report is a whole run as data.
type Report struct {
	OK      bool    `json:"ok"`
	Seed    uint64  `json:"seed"`
	Sync    bool    `json:"sync"`
	Agents  string  `json:"agents"`
	Seconds float64 `json:"seconds"`
	// Rounds are the quiet moments at which everything was counted.
	Rounds int `json:"rounds"`
	// Acked rows are Present, Vaulted, or Unexplained. Those committed by hand
	// on a node that was about to be lost count too.
	Acked       int `json:"acked_rows"`
	Present     int `json:"present_rows"`
	Vaulted     int `json:"vaulted_rows"`
	Unexplained int `json:"unexplained_rows"`
	// Falsely are rows that a vault report calls lost and that are there.
	Falsely int `json:"falsely_vaulted_rows"`
	// SyncLost are rows acknowledged under synchronous replication and missing.
	SyncLost int `json:"sync_lost_rows"`
	// Stale are rows of lost timelines that were read on an attached node.
	Stale int `json:"stale_reads"`
	Reads int `json:"reads"`
	// Faults by kind, Healings by method, Parked by code.
	Faults   map[string]int `json:"faults"`
	Healings map[string]int `json:"healings"`
	Parked   map[string]int `json:"parked,omitempty"`
	Attaches int            `json:"attaches"`
	// Asked is what repool asked a person for, and was done.
	Asked   map[string]int `json:"asked_of_a_person,omitempty"`
	Samples int            `json:"samples"`
	// Slowest is the longest time from the last fault to full redundancy.
	Slowest float64 `json:"slowest_healing_seconds"`
	// Left out: the kinds of faults that were not drawn, and why.
	LeftOut    []string `json:"left_out,omitempty"`
	Violations []string `json:"violations,omitempty"`
	Dir        string   `json:"dir,omitempty"` // with --keep, or after a violation
}

// violate notes a promise that was not kept.
func (r *Report) violate(format string, args ...any) {
	r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
}

// sample is a row for a violation's text.
func sample(rows []lab.Row) string {
	r := rows[0]
	return fmt.Sprintf("%d rows, the first: %q, node %d, timeline %s, transaction %d", len(rows), r.Payload, r.Node,
		r.Timeline, r.XID)
}

// Write prints the summary.
func (r Report) Write(w io.Writer) error {
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-34s %s\n", what, fmt.Sprintf(format, args...))
	}
	mode := "asynchronous"
	if r.Sync {
		mode = "synchronous"
	}
	row("seed", "%d (%s, agents %s)", r.Seed, mode, r.Agents)
	row("time", "%.0f s, %d quiet moments", r.Seconds, r.Rounds)
	row("acknowledged rows", "%d = %d present + %d in the vault + %d unexplained", r.Acked, r.Present, r.Vaulted,
		r.Unexplained)
	row("called lost, and there", "%d", r.Falsely)
	if r.Sync {
		row("lost though synchronous", "%d", r.SyncLost)
	}
	row("stale rows read after an attach", "%d of %d reads", r.Stale, r.Reads)
	row("faults", "%s", counts(r.Faults))
	row("healings", "%s", counts(r.Healings))
	row("attaches", "%d", r.Attaches)
	if len(r.Parked) > 0 {
		row("parked, and released", "%s", counts(r.Parked))
	}
	row("asked of a person", "%s", counts(r.Asked))
	row("slowest healing", "%.1f s", r.Slowest)
	row("looks at the pool", "%d", r.Samples)
	for _, l := range r.LeftOut {
		row("left out", "%s", l)
	}
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "  VIOLATION %s\n", v)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// counts is "name 3, other 1", by name.
func counts(m map[string]int) string {
	var parts []string
	total := 0
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
		total += m[k]
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d: %s", total, strings.Join(parts, ", "))
}
