package metrics

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
)

// Metrics is an audience of the controller and answers scrapes. Create it with New;
// it is safe for concurrent use.
type Metrics struct {
	pool     poolFamilies
	node     nodeFamilies
	decide   decideFamilies
	receiver receiverFamilies
	cert     certFamilies
	short    *family
	counts   counts
	families families
	registry *prometheus.Registry
	// receivers gives the counts of notifications; it never blocks. Nil: none.
	receivers func() []Receiver
	// certificates gives the present ones; nil: none.
	certificates func() []Certificate

	mu     sync.Mutex // guards what follows
	status control.Status
	lack   shortOf
	begun  map[topology.NodeID]bool
	// vaults is the newest vault entry counted for each node: the next run may report
	// it again.
	vaults map[topology.NodeID]string
}

// New makes metrics with a registry of their own. receivers gives the counts of
// notifications; it may be nil.
func New(receivers func() []Receiver) *Metrics {
	m := &Metrics{receivers: receivers, registry: prometheus.NewRegistry(), begun: map[topology.NodeID]bool{},
		vaults: map[topology.NodeID]string{}}
	f := &m.families
	m.decide = newDecideFamilies(f)
	m.short = f.counter("repool_redundancy_lost_seconds_total",
		"Seconds since the controller's start in which a node was missing.")
	m.counts = newCounts(f)
	m.node = newNodeFamilies(f)
	m.pool = newPoolFamilies(f)
	m.receiver = newReceiverFamilies(f)
	m.cert = newCertFamilies(f)
	m.registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	m.registry.MustRegister(m.counts.collectors()...)
	return m
}

// Certificates sets what gives the certificates at each scrape. Call it before the
// first one; give must not use the network.
func (m *Metrics) Certificates(give func() []Certificate) { m.certificates = give }

// Handler serves scrapes, uncompressed: compressing would cost more than the rest.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m, promhttp.HandlerOpts{
		EnableOpenMetrics: true, DisableCompression: true, MaxRequestsInFlight: 8,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
	})
}

// Gather gives the series of the newest published status, and the counters.
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) {
	all, err := m.registry.Gather()
	all = append(all, m.told(time.Now())...)
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all, err
}

// told are the families that are filled from the status.
func (m *Metrics) told(now time.Time) []*dto.MetricFamily {
	m.mu.Lock()
	st, lack := m.status, m.lack.at(now)
	m.mu.Unlock()
	if st.Pass == 0 {
		return nil // nothing is known yet
	}
	s := sink(m.families.empty())
	m.decide.collect(s, &st, now)
	s.put(m.short, lack.Seconds())
	m.node.collect(s, &st)
	m.pool.collect(s, &st)
	if m.receivers != nil {
		m.receiver.collect(s, m.receivers())
	}
	if m.certificates != nil {
		m.cert.collect(s, m.certificates())
	}
	return slices.DeleteFunc(s, func(f *dto.MetricFamily) bool { return len(f.Metric) == 0 })
}

// Passed takes the newest status.
func (m *Metrics) Passed(st control.Status) {
	missing, known := st.Snapshot.Missing()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.primary(&m.status.Memory, &st.Memory)
	m.status = st
	m.counts.pass(&st)
	m.lack.seen(len(missing) > 0, known, st.At)
	for i := range st.Snapshot.Nodes {
		n := &st.Snapshot.Nodes[i]
		if !m.begun[n.ID] {
			m.begun[n.ID] = true
			m.counts.begin(n.ID)
		}
		if n.Agent.OK() && n.Agent.Run != nil {
			m.vaulted(n.Agent.Run.Vault)
		}
	}
}

// Happened counts an event.
func (m *Metrics) Happened(e event.Event) { m.counts.event(e) }

// RunEnded counts a run.
func (m *Metrics) RunEnded(r topology.RunState) {
	m.counts.run(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.vaulted(r.Vault)
}

// vaulted counts an entry once. m.mu is held.
func (m *Metrics) vaulted(v *topology.VaultEntry) {
	if v != nil && m.vaults[v.Node] != v.ID {
		m.vaults[v.Node] = v.ID
		m.counts.vault(*v)
	}
}
