package packaging_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/repool/repool/internal/show/metrics"
)

const (
	rulesFile   = "prometheus/repool.rules.yml"
	testsFile   = "prometheus/repool.rules_test.yml"
	runbookFile = "../docs/runbook.md"
	runbookURL  = "https://github.com/repool/repool/blob/main/docs/runbook.md#"
)

// rule is one recording rule or alert.
type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal([]byte(read(t, rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("%d rules", len(all))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPrometheusTakesTheRules, and they fire when they should and only then.
func TestPrometheusTakesTheRules(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("no promtool: run make deps-test")
	}
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", testsFile}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestEveryAlertLeadsToItsEntry in the runbook, is tested, and says how bad it is.
func TestEveryAlertLeadsToItsEntry(t *testing.T) {
	t.Parallel()
	runbook, tests := read(t, runbookFile), read(t, testsFile)
	var names []string
	for _, r := range rules(t) {
		if r.Alert == "" {
			if !strings.Contains(tests, "expr: '"+r.Record+"'") {
				t.Errorf("%s: no test", r.Record)
			}
			continue
		}
		names = append(names, r.Alert)
		if !strings.Contains(runbook, "\n## "+r.Alert+"\n") {
			t.Errorf("%s: no entry in the runbook", r.Alert)
		}
		if want := runbookURL + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %s, want %s", r.Alert, r.Annotations["runbook_url"], want)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) ||
			r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.For == "" {
			t.Errorf("%s: severity, summary, description or for is missing: %+v", r.Alert, r)
		}
		if strings.Count(tests, "alertname: "+r.Alert+"\n") < 2 {
			t.Errorf("%s: want a test that it fires, and one that it does not", r.Alert)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^## (Repool\w+)$`).FindAllStringSubmatch(runbook, -1) {
		if !slices.Contains(names, m[1]) {
			t.Errorf("the runbook explains %s, which is no alert", m[1])
		}
	}
}

// metricNames are the names that a query reads.
var metricNames = regexp.MustCompile(`\brepool[_:][a-z0-9_:]+`)

// TestRulesReadWhatIsThere: no rule reads a metric that repool does not have.
func TestRulesReadWhatIsThere(t *testing.T) {
	t.Parallel()
	all := rules(t)
	for _, r := range all {
		for _, name := range metricNames.FindAllString(r.Expr, -1) {
			recorded := slices.ContainsFunc(all, func(o rule) bool { return o.Record == name })
			if !recorded && !strings.Contains(metrics.Table(), "| `"+name+"` |") {
				t.Errorf("%s%s reads %s, which is not there", r.Alert, r.Record, name)
			}
		}
	}
}
