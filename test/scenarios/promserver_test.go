package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// promServer is Debian's Prometheus, which looks at one controller each second.
type promServer struct {
	t    *testing.T
	base string
}

const promRules = "../../packaging/prometheus/repool.rules.yml"

// hurried is the shipped rules with their testpool.Patience taken out, so that minutes do
// for what takes hours in life. promtool's tests hold the real times.
func hurried(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(promRules)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^        for: \S+$`).ReplaceAllString(string(b), "        for: 0s")
	text = regexp.MustCompile(`\[\d+[mh]\]`).ReplaceAllString(text, "[15s]")
	// The age from which a run that moves no byte counts as stuck.
	return strings.ReplaceAll(text, "time() - repool_resync_start_timestamp_seconds < 1800",
		"time() - repool_resync_start_timestamp_seconds < 1")
}

// startPrometheus scrapes one real controller, and crafted ones under a job of
// their own.
func startPrometheus(t *testing.T, target string, crafted ...string) *promServer {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("no prometheus: run make deps-test")
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"rules.yml": hurried(t),
		"prometheus.yml": "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n" +
			"scrape_configs: [" + scrape("repool", target) + ", " + scrape("repool-crafted", crafted...) + "]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		_ = cmd.Wait()
		if said, err := os.ReadFile(log.Name()); err == nil && (t.Failed() || strings.Contains(string(said), "level=error")) {
			t.Logf("prometheus:\n%s", said)
		}
		_ = log.Close()
	})
	return &promServer{t: t, base: "http://" + address}
}

// scrape is the configuration of one job.
func scrape(job string, targets ...string) string {
	return fmt.Sprintf("{job_name: %s, static_configs: [{targets: [%s]}]}", job, strings.Join(targets, ", "))
}

// craftedIsSeen is an error until the crafted controller has been scraped
// twice: a counter must have been there before it counts.
func (s *promServer) craftedIsSeen(ctx context.Context) error {
	got, err := s.now(ctx, `count_over_time(up{job="repool-crafted"}[1m]) >= 2`)
	if err == nil && len(got) == 0 {
		err = errors.New("it is not scraped twice yet")
	}
	return err
}

// series is one result: its labels and its newest value.
type series struct {
	labels map[string]string
	value  string
}

// ask calls Prometheus' API; what it refuses is an error with its text.
func (s *promServer) ask(ctx context.Context, path string, args url.Values) ([]series, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/api/v1/"+path+"?"+args.Encode(), nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var got struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  []any
				Values [][]any
			}
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		return nil, err
	}
	if got.Status != "success" {
		return nil, fmt.Errorf("prometheus: %s", got.Error)
	}
	var out []series
	for _, m := range got.Data.Result {
		v := m.Value
		if len(m.Values) > 0 {
			v = m.Values[len(m.Values)-1]
		}
		out = append(out, series{m.Metric, fmt.Sprint(v[1])})
	}
	return out, nil
}

// now evaluates an expression at this moment.
func (s *promServer) now(ctx context.Context, expr string) ([]series, error) {
	return s.ask(ctx, "query", url.Values{"query": {expr}})
}

// since evaluates an expression at each second since a time.
func (s *promServer) since(ctx context.Context, from time.Time, expr string) ([]series, error) {
	unix := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	return s.ask(ctx, "query_range", url.Values{"query": {expr}, "start": {unix(from)}, "end": {unix(time.Now())},
		"step": {"1"}})
}

// firing names the alerts that fire now.
func (s *promServer) firing(ctx context.Context) ([]string, error) {
	return s.names(ctx, `count by (alertname) (ALERTS{alertstate="firing"})`)
}

// fired names the alerts that have fired since Prometheus started.
func (s *promServer) fired(ctx context.Context) ([]string, error) {
	return s.names(ctx, `count by (alertname) (max_over_time(ALERTS{alertstate="firing"}[1h]))`)
}

func (s *promServer) names(ctx context.Context, expr string) ([]string, error) {
	got, err := s.now(ctx, expr)
	var names []string
	for _, a := range got {
		names = append(names, a.labels["alertname"])
	}
	sort.Strings(names)
	return names, err
}

// quiet is an error while an alert fires, or nothing is scraped yet.
func (s *promServer) quiet(ctx context.Context) error {
	up, err := s.now(ctx, `up{job="repool"} == 1 and on (instance) repool_pgpool_detail_timestamp_seconds > 0`)
	if err != nil {
		return err
	}
	if len(up) == 0 {
		return errors.New("nothing is scraped yet")
	}
	names, err := s.firing(ctx)
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("%v fire", names)
	}
	return err
}
