package metrics

import (
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// sink takes the series of one scrape, by family. It does not use the library's
// constant metrics: they are checked and sorted one by one in each scrape, which
// with 60 nodes costs more than all the rest. The tests do those checks.
type sink []*dto.MetricFamily

// put adds a series. It keeps the labels.
func (s sink) put(f *family, value float64, labels ...string) {
	pairs := make([]dto.LabelPair, len(labels))
	m := &dto.Metric{Label: make([]*dto.LabelPair, len(labels))}
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "?") // Pgpool-II's texts come as they are
		pairs[i].Name, pairs[i].Value = &f.labels[i], &labels[i]
		m.Label[i] = &pairs[i]
	}
	if f.kind == "counter" {
		m.Counter = &dto.Counter{Value: &value}
	} else {
		m.Gauge = &dto.Gauge{Value: &value}
	}
	s[f.at].Metric = append(s[f.at].Metric, m)
}

func (s sink) flag(f *family, is bool, labels ...string) {
	v := 0.0
	if is {
		v = 1
	}
	s.put(f, v, labels...)
}

// when is a point in time; the zero time has no series.
func (s sink) when(f *family, t time.Time, labels ...string) {
	if !t.IsZero() {
		s.put(f, float64(t.UnixMilli())/1000, labels...)
	}
}

// as is a state named by the last label: 1 for the present one, no series for the
// others or an empty text.
func (s sink) as(f *family, labels ...string) {
	if labels[len(labels)-1] != "" {
		s.put(f, 1, labels...)
	}
}
