package dashboard

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/repool/repool/internal/show/metrics"
)

var update = flag.Bool("update", false, "rewrite packaging/grafana/repool.json")

const file = "../../packaging/grafana/repool.json"

func TestFileIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := JSON()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("packaging/grafana/repool.json is not what the code builds: run go test ./packaging/dashboard -update")
	}
}

// TestFileIsADashboard by Grafana's own schema: each field known, each of its type.
func TestFileIsADashboard(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard.Dashboard
	for _, err := range []error{d.UnmarshalJSONStrict(b), d.Validate()} {
		if err != nil && err.Error() != "" { // no errors come as an error without text
			t.Error(err)
		}
	}
	if len(d.Panels) < 30 {
		t.Errorf("%d panels", len(d.Panels))
	}
}

// TestPanelsReadKnownMetrics: no panel reads a metric that repool does not have, and
// titles are unique within a row.
func TestPanelsReadKnownMetrics(t *testing.T) {
	t.Parallel()
	names := regexp.MustCompile(`\brepool_[a-z0-9_]+`)
	for _, r := range rows {
		seen, width := map[string]bool{}, uint32(0)
		for _, p := range r.panels {
			if seen[p.title] || len(p.queries) == 0 {
				t.Errorf("%s: %s: twice, or without a query", r.title, p.title)
			}
			seen[p.title] = true
			width += p.width
			for _, q := range p.queries {
				for _, name := range names.FindAllString(q.expr, -1) {
					if !strings.Contains(metrics.Table(), "| `"+strings.TrimSuffix(name, "_bucket")+"` |") {
						t.Errorf("%s: %s reads %s, which does not exist", r.title, p.title, name)
					}
				}
			}
		}
		if width%24 != 0 {
			t.Errorf("%s: its panels are %d wide, which leaves a gap", r.title, width)
		}
	}
}

// TestEveryPanelHasItsPlace: no two overlap.
func TestEveryPanelHasItsPlace(t *testing.T) {
	t.Parallel()
	b, err := JSON()
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if by := taken[[2]int{x, y}]; by != "" || x >= 24 {
					t.Fatalf("%s overlaps %q at %d, %d", p.Title, by, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}
