package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// outcomes are the ends of a run, as labels.
var outcomes = []topology.Outcome{topology.RunDone, topology.RunFailed, topology.RunCancelled, topology.RunInterrupted}

// asked are the kinds of events that are requests to Pgpool-II or to a node, each
// with the code that means it was refused.
var asked = map[string]string{"attach": "attach-refused", "detach": "detach-refused", "fence": "fence-failed"}

// counts are what this process has counted since its start.
type counts struct {
	passes    *prometheus.HistogramVec
	runs      *prometheus.CounterVec
	durations *prometheus.HistogramVec
	copied    *prometheus.CounterVec
	vaulted   *prometheus.CounterVec
	lost      *prometheus.CounterVec
	requests  *prometheus.CounterVec
	decisions *prometheus.CounterVec
	events    *prometheus.CounterVec
	primaries *prometheus.CounterVec
}

func newCounts(f *families) counts {
	return counts{
		passes: f.histogram("repool_pass_duration_seconds", "Duration of the passes: observe, plan, act, publish.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}),
		runs: f.count("repool_resyncs_total", "Finished runs, by result: done, failed, cancelled or interrupted.",
			"node", "result"),
		durations: f.histogram("repool_resync_duration_seconds", "Duration of finished runs.",
			[]float64{.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400}, "method", "result"),
		copied:  f.count("repool_resync_copied_bytes_total", "Bytes copied by finished runs.", "node"),
		vaulted: f.count("repool_vaulted_bytes_total", "Bytes copied into the node's vault.", "node"),
		lost:    f.count("repool_lost_commits_total", "Commits that the pool has lost; the node's vault keeps them.", "node"),
		requests: f.count("repool_requests_total",
			"Requests by kind (attach, detach or fence) and result: taken or refused.", "node", "request",
			"result"),
		decisions: f.count("repool_decision_changes_total",
			"How often a node's decision has changed to this code.", "code"),
		events: f.count("repool_events_total", "Events in the history, by kind.", "kind"),
		primaries: f.count("repool_primary_changes_total",
			"How often another node has become the primary, as agreed by Pgpool-II."),
	}
}

func (c *counts) collectors() []prometheus.Collector {
	return []prometheus.Collector{c.passes, c.runs, c.durations, c.copied, c.vaulted, c.lost, c.requests, c.decisions,
		c.events, c.primaries}
}

// begin makes the node's series at zero: a counter that appears with its first
// count would hide that count from increase().
func (c *counts) begin(n topology.NodeID) {
	id := n.String()
	for _, o := range outcomes {
		c.runs.WithLabelValues(id, string(o))
	}
	for what := range asked {
		c.requests.WithLabelValues(id, what, "taken")
		c.requests.WithLabelValues(id, what, "refused")
	}
	c.copied.WithLabelValues(id)
	c.vaulted.WithLabelValues(id)
	c.lost.WithLabelValues(id)
}

func (c *counts) event(e event.Event) {
	c.events.WithLabelValues(e.Kind).Inc()
	switch refused, isRequest := asked[e.Kind]; {
	case e.Kind == "decision":
		c.decisions.WithLabelValues(e.Code).Inc()
	case isRequest:
		result := "taken"
		if strings.HasSuffix(e.Code, refused) {
			result = "refused"
		}
		c.requests.WithLabelValues(nodeLabel(e.Node), e.Kind, result).Inc()
	}
}

func (c *counts) run(r topology.RunState) {
	c.runs.WithLabelValues(r.Node.String(), string(r.Outcome)).Inc()
	c.durations.WithLabelValues(string(r.Method), string(r.Outcome)).Observe(r.Ended.Sub(r.Started).Seconds())
	c.copied.WithLabelValues(r.Node.String()).Add(float64(r.BytesDone))
}

func (c *counts) vault(v topology.VaultEntry) {
	c.vaulted.WithLabelValues(v.Node.String()).Add(float64(v.Bytes))
	c.lost.WithLabelValues(v.Node.String()).Add(float64(v.Commits))
}

// primary counts a change of the primary.
func (c *counts) primary(before, now *plan.Memory) {
	n := c.primaries.WithLabelValues() // the series is there from the first pass on
	if before.History.Known() && now.History.Known() && before.Primary != now.Primary {
		n.Inc()
	}
}

func (c *counts) pass(st *control.Status) { c.passes.WithLabelValues().Observe(st.PassTook.Seconds()) }

// shortOf adds up how long a node was missing.
type shortOf struct {
	total time.Duration
	since time.Time // zero: none is missing now
}

// seen takes one observation; until the next one the state stays.
func (s *shortOf) seen(missing, known bool, now time.Time) {
	if !s.since.IsZero() {
		s.total += max(0, now.Sub(s.since))
		s.since = time.Time{}
	}
	if known && missing {
		s.since = now
	}
}

// at is the total up to a moment.
func (s *shortOf) at(now time.Time) time.Duration {
	if s.since.IsZero() {
		return s.total
	}
	return s.total + max(0, now.Sub(s.since))
}
