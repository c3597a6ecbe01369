package metrics

import (
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

func TestTableIsCurrent(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(path, []byte(Table()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Table(), string(got)); diff != "" {
		t.Errorf("run go test ./internal/metrics -run Table -update: -want +got\n%s", diff)
	}
}

// lines are a scrape's series of one family.
func lines(text, family string) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, family+"{") || strings.HasPrefix(line, family+" ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// TestEveryFamilyHasASeries: what is documented can be seen, and nothing is seen
// that is not documented.
func TestEveryFamilyHasASeries(t *testing.T) {
	t.Parallel()
	st := pool(3)
	st.Snapshot.Pools[0].Detail.Nodes[2].DelayByTime = true
	st.Decisions[1].Warning = "agent-unreachable"
	m := after(st)
	text := scrape(t, m, asText)
	known := map[string]bool{}
	for _, f := range m.families.all {
		known[f.name] = true
		name := f.name
		if f.kind == "histogram" {
			name += "_count"
		}
		if lines(text, name) == "" {
			t.Errorf("%s has no series", name)
		}
		if n := strings.Count(text, "# TYPE "+f.name+" "+f.kind+"\n"); n != 1 {
			t.Errorf("%s: %d lines say that it is a %s", f.name, n, f.kind)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if name, is := strings.CutPrefix(line, "# TYPE "); is && strings.HasPrefix(name, "repool_") &&
			!known[strings.Fields(name)[0]] {
			t.Errorf("not in the table: %s", line)
		}
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	m := after(pool(3))
	text := scrape(t, m, asText)
	for family, want := range map[string]string{
		"repool_nodes_missing":         "repool_nodes_missing 1",
		"repool_node_replay_lag_bytes": `repool_node_replay_lag_bytes{node="2"} 2120`,
		"repool_node_replication":      `repool_node_replication{node="2",state="streaming",sync_state="async"} 1`,
		"repool_hold":                  `repool_hold{node="pool"} 1`,
		"repool_resync_step":           `repool_resync_step{node="1",step="rewind",waiting="no"} 1`,
		"repool_resync_expected_bytes": `repool_resync_expected_bytes{node="1"} 400`,
		"repool_lost_commits_total": "repool_lost_commits_total{node=\"0\"} " +
			"0\nrepool_lost_commits_total{node=\"1\"} 25\nrepool_lost_commits_total{node=\"2\"} 0",
		"repool_resync_copied_bytes_total": "repool_resync_copied_bytes_total{node=\"0\"} " +
			"0\nrepool_resync_copied_bytes_total{node=\"1\"} 400\nrepool_resync_copied_bytes_total{node=\"2\"} 0",
		"repool_resync_duration_seconds_sum": `repool_resync_duration_seconds_sum{method="rewind",result="done"} 63`,
		"repool_decision_changes_total":      `repool_decision_changes_total{code="diverged"} 1`,
		"repool_node_lineage": "repool_node_lineage{node=\"1\",verdict=\"diverged\"} " +
			"1\nrepool_node_lineage{node=\"2\",verdict=\"on-line\"} 1",
		"repool_pgpool_watchdog_quorum": `repool_pgpool_watchdog_quorum{` +
			`pool="/var/run/postgresql/.s.PGSQL.9898"} 1`,
		"repool_certificate_expiry_timestamp_seconds": "repool_certificate_expiry_timestamp_seconds{" +
			"holder=\"controller\",name=\"pgpool1\"} " +
			"1.7698608e+09\nrepool_certificate_expiry_timestamp_seconds{holder=\"agent\",name=\"db1\"} 1.7698644e+09",
		"repool_controller_start_timestamp_seconds": "repool_controller_start_timestamp_seconds 1.7698572e+09",
	} {
		if got := lines(text, family); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", family, got, want)
		}
	}
	for _, want := range []string{
		`repool_requests_total{node="1",request="attach",result="refused"} 1`,
		`repool_requests_total{node="1",request="attach",result="taken"} 1`,
		`repool_requests_total{node="1",request="fence",result="refused"} 1`,
		`repool_requests_total{node="2",request="detach",result="taken"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no series %s", want)
		}
	}
}

// TestWhatIsUnknownHasNoSeries: a source that does not answer is not zero.
// TestSlotsOfAStandby: a former primary's slots retain WAL as a primary's do, and the label tells them apart.
func TestSlotsOfAStandby(t *testing.T) {
	t.Parallel()
	st := pool(3)
	q := &st.Snapshot.Nodes[2].SQL
	q.Slots = []topology.Slot{{Name: "repool_node0", Physical: true, Restart: q.Receive - 5<<20, Horizon: true,
		XminAge: 70}}
	text := scrape(t, after(st), asText)
	const of = `{node="2",slot="repool_node0",role="standby"} `
	for family, want := range map[string]string{"repool_slot_retained_bytes": "5.24288e+06", "repool_slot_active": "0",
		"repool_slot_xmin_age_transactions": "70"} {
		if got := lines(text, family); !strings.Contains(got, family+of+want) {
			t.Errorf("no %s%s in\n%s", of, want, got)
		}
	}
}

func TestWhatIsUnknownHasNoSeries(t *testing.T) {
	t.Parallel()
	if text := scrape(t, New(nil), asText); strings.Contains(text, "repool_nodes") {
		t.Error("series before the first pass")
	}
	st := pool(3)
	st.Snapshot.Pools[0] = topology.PoolView{Source: topology.Source{At: noon, Err: "no answer"}, Endpoint: "pool",
		Primary: topology.NoNode}
	st.Snapshot.Nodes[2].SQL = topology.SQLFacts{Source: topology.Source{At: noon, Err: "silent"}}
	text := scrape(t, after(st), asText)
	if got := lines(text, "repool_pgpool_up"); got != `repool_pgpool_up{pool="pool"} 0` {
		t.Errorf("up: %s", got)
	}
	for _, family := range []string{"repool_nodes_missing", "repool_pgpool_node_attached", "repool_pgpool_processes",
		"repool_node_replay_lag_bytes"} {
		if got := lines(text, family); got != "" {
			t.Errorf("unknown, and yet: %s", got)
		}
	}
}

// TestSecondsWithoutRedundancy: they run from the look that finds a node missing
// to the look that finds none, and not while nothing is known.
func TestSecondsWithoutRedundancy(t *testing.T) {
	t.Parallel()
	var s shortOf
	at := func(sec int) time.Time { return noon.Add(time.Duration(sec) * time.Second) }
	s.seen(false, true, at(0))
	s.seen(true, true, at(10))
	s.seen(true, true, at(12))
	if got := s.at(at(13)); got != 3*time.Second {
		t.Errorf("while it is short: %s", got)
	}
	s.seen(false, true, at(15))
	s.seen(true, false, at(20)) // Pgpool-II does not answer
	s.seen(true, true, at(30))
	s.seen(false, true, at(29)) // the clock was set back
	if got := s.at(at(99)); got != 5*time.Second {
		t.Errorf("in all: %s", got)
	}
}

func TestPrimaryChangesAreCounted(t *testing.T) {
	t.Parallel()
	m, st := New(nil), pool(3)
	for _, primary := range []topology.NodeID{0, 0, 1, 1, 0} {
		st.Memory.Primary, st.Memory.History.TLI = primary, 2
		m.Passed(st)
	}
	st.Memory.History.TLI = 0 // none is known
	st.Memory.Primary = 2
	m.Passed(st)
	if got := lines(scrape(t, m, asText), "repool_primary_changes_total"); got != "repool_primary_changes_total 2" {
		t.Error(got)
	}
}

// TestVaultIsCountedOnce although each run that follows finds it again.
func TestVaultIsCountedOnce(t *testing.T) {
	t.Parallel()
	st := pool(3)
	m := after(st)
	m.Passed(st)
	m.RunEnded(*st.Snapshot.Nodes[1].Agent.Run)
	if got := lines(scrape(t, m, asText), "repool_vaulted_bytes_total"); !strings.Contains(got, `{node="1"} 9216`) {
		t.Error(got)
	}
}

// TestPromtoolTakesIt: names, units and texts are as Prometheus wants them.
func TestPromtoolTakesIt(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("no promtool: run make deps-test")
	}
	var ours strings.Builder // what the Go collector says of itself is not ours to mend
	family := ""
	for line := range strings.Lines(scrape(t, after(pool(3)), asText)) {
		if f := strings.Fields(line); f[0] == "#" {
			family = f[2]
		}
		if strings.HasPrefix(family, "repool_") {
			ours.WriteString(line)
		}
	}
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(ours.String())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// TestSizeOfAScrape: 60 nodes stay far under what a scrape may weigh.
func TestSizeOfAScrape(t *testing.T) {
	t.Parallel()
	for n, most := range map[int]int{3: 64 << 10, 60: 1 << 20} {
		text, open := scrape(t, after(pool(n)), asText), scrape(t, after(pool(n)), asOpenMetrics)
		t.Logf("%d nodes: %d bytes, %d lines; OpenMetrics %d bytes", n, len(text), strings.Count(text, "\n"), len(open))
		if len(text) > most || len(open) > most {
			t.Errorf("%d nodes: %d and %d bytes, at most %d are wanted", n, len(text), len(open), most)
		}
	}
}

// TestOpenMetrics holds the rules of the format that a strict reader checks:
// families in one piece, no series twice, counters by their suffix, the end
// marked.
func TestOpenMetrics(t *testing.T) {
	t.Parallel()
	text := scrape(t, after(pool(3)), asOpenMetrics)
	if !strings.HasSuffix(text, "\n# EOF\n") {
		t.Error("no mark at the end")
	}
	kinds, family, seen := map[string]string{}, "", map[string]bool{}
	for line := range strings.Lines(strings.TrimSuffix(text, "# EOF\n")) {
		f := strings.Fields(line)
		if seen[f[0]] && f[0] != "#" {
			t.Errorf("twice: %s", f[0])
		}
		seen[f[0]] = true
		if f[0] == "#" {
			if f[2] != family && kinds[f[2]] != "" {
				t.Errorf("%s comes in two pieces", f[2])
			}
			if family = f[2]; f[1] == "TYPE" {
				kinds[family] = f[3]
			}
			continue
		}
		name, _, _ := strings.Cut(f[0], "{")
		suffix, is := strings.CutPrefix(name, family)
		want := map[string]string{"counter": "_total", "gauge": "", "histogram": "_bucket _sum _count",
			"summary": " _sum _count", "unknown": ""}
		if allowed := strings.Fields(want[kinds[family]]); !is || suffix != "" &&
			!strings.Contains(" "+strings.Join(allowed, " ")+" ", " "+suffix+" ") || suffix == "" && len(allowed) > 0 &&
			kinds[family] != "summary" {
			t.Errorf("%s in the family %s, a %s", name, family, kinds[family])
		}
	}
}

func BenchmarkScrape3(b *testing.B)  { benchmark(b, pool(3)) }
func BenchmarkScrape60(b *testing.B) { benchmark(b, pool(60)) }

// benchmark reports the CPU time of a scrape: the wall's depends on who else is
// on the machine.
func benchmark(b *testing.B, st control.Status) {
	h := after(st).Handler(slog.New(slog.DiscardHandler))
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", asOpenMetrics)
	before := cpu(b)
	for b.Loop() {
		h.ServeHTTP(nowhere{http.Header{}}, r)
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// nowhere is a wire that costs nothing.
type nowhere struct{ h http.Header }

func (w nowhere) Header() http.Header       { return w.h }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
