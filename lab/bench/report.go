package bench

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Measure is one comparison: medians of Rounds runs of each side.
type Measure struct {
	Name   string  `json:"name"`
	Hand   float64 `json:"hand"`
	Repool float64 `json:"repool"`
	Unit   string  `json:"unit"`
	Ratio  float64 `json:"ratio,omitempty"`
	Aim    string  `json:"aim"`
	Met    bool    `json:"met"`
	Rounds int     `json:"rounds"`
	Note   string  `json:"note,omitempty"`
}

// Report is the whole run.
type Report struct {
	DataBytes uint64    `json:"data_bytes"`
	WALBytes  uint64    `json:"wal_bytes"`
	Measures  []Measure `json:"measures"`
	Seconds   float64   `json:"seconds"`
}

// Met says whether every aim was met.
func (r Report) Met() bool {
	return !slices.ContainsFunc(r.Measures, func(m Measure) bool { return !m.Met })
}

// Write prints the table.
func (r Report) Write(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%-44s %10s %10s %8s  %-34s %s\n", "MEASURE", "BY HAND", "REPOOL", "RATIO", "AIM", "MET")
	for _, m := range r.Measures {
		hand, ratio := "-", "-"
		if m.Ratio > 0 {
			hand, ratio = fmt.Sprintf("%.2f %s", m.Hand, m.Unit), fmt.Sprintf("%.2f×", m.Ratio)
		}
		met := "yes"
		if !m.Met {
			met = "NO"
		}
		if _, e := fmt.Fprintf(w, "%-44s %10s %10s %8s  %-34s %s %s\n", m.Name, hand,
			fmt.Sprintf("%.2f %s", m.Repool, m.Unit), ratio, m.Aim, met, m.Note); e != nil {
			err = e
		}
	}
	return err
}

// median of some durations, in seconds.
func median(d []time.Duration) float64 {
	if len(d) == 0 {
		return 0
	}
	s := slices.Clone(d)
	slices.Sort(s)
	return s[len(s)/2].Seconds()
}

// versus makes a measure of two sides in seconds; repool may take factor times
// as long as the hand, and extra on top.
func versus(name string, hand, repool []time.Duration, factor float64, extra time.Duration) Measure {
	h, r := median(hand), median(repool)
	m := Measure{Name: name, Hand: h, Repool: r, Unit: "s", Rounds: len(repool), Met: r <= h*factor+extra.Seconds()}
	if h > 0 {
		m.Ratio = r / h
	}
	m.Aim = fmt.Sprintf("at most %.1f× + %s", factor, extra)
	return m
}
