package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// family is one metric with all its series. Its kind is the text that
// docs/metrics.md and the exposition use.
type family struct {
	name, help, kind string
	labels           []string
	at               int // its place among families.told; unused for those that are counted
}

// families is the catalogue: each group adds its own. Those in told are filled from
// the published status, the others count events.
type families struct{ all, told []*family }

func (f *families) add(kind, name, help string, labels []string) *family {
	m := &family{name: name, help: help, kind: kind, labels: labels}
	f.all = append(f.all, m)
	return m
}

func (f *families) tell(kind, name, help string, labels []string) *family {
	m := f.add(kind, name, help, labels)
	m.at = len(f.told)
	f.told = append(f.told, m)
	return m
}

func (f *families) gauge(name, help string, labels ...string) *family {
	return f.tell("gauge", name, help, labels)
}

// counter is for a value counted elsewhere; see count for our own.
func (f *families) counter(name, help string, labels ...string) *family {
	return f.tell("counter", name, help, labels)
}

// count is a counter of our own.
func (f *families) count(name, help string, labels ...string) *prometheus.CounterVec {
	f.add("counter", name, help, labels)
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func (f *families) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	f.add("histogram", name, help, labels)
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// empty makes the exposition of each family in told, without series.
func (f *families) empty() []*dto.MetricFamily {
	out := make([]*dto.MetricFamily, len(f.told))
	for i, m := range f.told {
		kind := dto.MetricType_GAUGE
		if m.kind == "counter" {
			kind = dto.MetricType_COUNTER
		}
		out[i] = &dto.MetricFamily{Name: &m.name, Help: &m.help, Type: &kind}
	}
	return out
}
