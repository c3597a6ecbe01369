package topology

import (
	"fmt"
	"strconv"
	"strings"
)

// HistoryEntry says that timeline TLI was left at LSN Switch.
type HistoryEntry struct {
	TLI    TimelineID `json:"tli"`
	Switch LSN        `json:"switch"`
}

// History is the line of timelines that leads to TLI: its ancestors in order,
// each with its switch point, then TLI itself, which has none yet.
// The zero value means "history unknown".
type History struct {
	TLI       TimelineID     `json:"tli"`
	Ancestors []HistoryEntry `json:"ancestors,omitempty"`
}

// ParseHistory reads the text of a PostgreSQL history file for timeline tli.
// Timeline 1 has no file: pass an empty text. Ancestors must come in strictly
// rising order of timeline and rising order of LSN, all below tli, as
// PostgreSQL itself demands (readTimeLineHistory).
func ParseHistory(tli TimelineID, text string) (History, error) {
	h := History{TLI: tli}
	if tli == 0 {
		return History{}, fmt.Errorf("history of timeline 0: no such timeline")
	}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) < 2 {
			return History{}, fmt.Errorf("history of timeline %d, line %d: want a timeline and a switch point, got %q", tli, i+1,
				line)
		}
		n, err := strconv.ParseUint(f[0], 10, 32)
		if err != nil || n == 0 {
			return History{}, fmt.Errorf("history of timeline %d, line %d: %q is not a timeline number", tli, i+1, f[0])
		}
		lsn, err := ParseLSN(f[1])
		if err != nil {
			return History{}, fmt.Errorf("history of timeline %d, line %d: %w", tli, i+1, err)
		}
		e := HistoryEntry{TLI: TimelineID(n), Switch: lsn}
		if k := len(h.Ancestors); k > 0 && (e.TLI <= h.Ancestors[k-1].TLI || e.Switch < h.Ancestors[k-1].Switch) {
			return History{}, fmt.Errorf("history of timeline %d, line %d: timeline %d at %s does not follow timeline %d at %s",
				tli, i+1, e.TLI, e.Switch, h.Ancestors[k-1].TLI, h.Ancestors[k-1].Switch)
		}
		if e.TLI >= tli {
			return History{}, fmt.Errorf("history of timeline %d, line %d: ancestor %d is not below it", tli, i+1, e.TLI)
		}
		h.Ancestors = append(h.Ancestors, e)
	}
	return h, nil
}

// Sound says whether the history is one that ParseHistory could have read: for
// those that come from somewhere else.
func (h History) Sound() bool {
	var last HistoryEntry
	for _, e := range h.Ancestors {
		if e.TLI <= last.TLI || e.Switch < last.Switch || e.TLI >= h.TLI {
			return false
		}
		last = e
	}
	return h.Known()
}

// Known says whether there is a history at all.
func (h History) Known() bool { return h.TLI != 0 }

// Contains says whether timeline t is h's own or one of its ancestors.
func (h History) Contains(t TimelineID) bool {
	if h.TLI == t && t != 0 {
		return true
	}
	_, ok := h.SwitchPoint(t)
	return ok
}

// SwitchPoint is where h left timeline t; ok is false when t is h's own
// timeline (not left yet) or not part of h.
func (h History) SwitchPoint(t TimelineID) (lsn LSN, ok bool) {
	for _, e := range h.Ancestors {
		if e.TLI == t {
			return e.Switch, true
		}
	}
	return 0, false
}

// Begin is where timeline t of h starts: the switch point of the one before
// it. The first timeline begins at 0.
func (h History) Begin(t TimelineID) LSN {
	var begin LSN
	for _, e := range h.Ancestors {
		if e.TLI == t {
			return begin
		}
		begin = e.Switch
	}
	return begin
}

// TimelineAt is the timeline of h to which position lsn belongs. A switch
// point itself belongs to the later timeline.
func (h History) TimelineAt(lsn LSN) TimelineID {
	for _, e := range h.Ancestors {
		if lsn < e.Switch {
			return e.TLI
		}
	}
	return h.TLI
}

// Common is how far two histories agree by their numbers: the last timeline
// that both name with the same beginning, and the LSN up to which both were
// on it (open is true when neither has left it). ok is false when they share
// nothing. Equal numbers are necessary, not sufficient: see Lineage.
func Common(a, b History) (tli TimelineID, until LSN, open, ok bool) {
	la, lb := a.line(), b.line()
	var begin LSN
	for i := 0; i < len(la) && i < len(lb); i++ {
		if la[i].TLI != lb[i].TLI {
			break
		}
		ea, eb := la[i], lb[i]
		ok, tli = true, ea.TLI
		lastA, lastB := i == len(la)-1, i == len(lb)-1
		switch {
		case lastA && lastB:
			return tli, 0, true, true
		case lastA:
			return tli, eb.Switch, false, true
		case lastB:
			return tli, ea.Switch, false, true
		}
		until = min(ea.Switch, eb.Switch)
		if ea.Switch != eb.Switch {
			return tli, until, false, true
		}
		begin = ea.Switch
	}
	return tli, max(until, begin), false, ok
}

// line is the history as one list, with TLI itself at the end.
func (h History) line() []HistoryEntry {
	if !h.Known() {
		return nil
	}
	return append(append([]HistoryEntry(nil), h.Ancestors...), HistoryEntry{TLI: h.TLI})
}

// Text prints the history as PostgreSQL's history file has it, for evidence.
func (h History) Text() string {
	var b strings.Builder
	for _, e := range h.Ancestors {
		fmt.Fprintf(&b, "%d@%s → ", e.TLI, e.Switch)
	}
	fmt.Fprintf(&b, "%d", h.TLI)
	return b.String()
}

// Descends says whether h descends from o by the numbers: o's timeline is an
// ancestor of h (not h's own), and the two agree on everything before it.
func (h History) Descends(o History) bool {
	if !h.Known() || !o.Known() || h.TLI == o.TLI {
		return false
	}
	tli, _, open, ok := Common(h, o)
	return ok && !open && tli == o.TLI
}
