package scenarios

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/history"
	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/topology"
)

// S22: the controller is gone for the end of a run, which is the agent's and goes
// on. The next one attaches the node, and has the run in history and metrics, with
// what the node's journal says, once.
func TestS22RunThatEndsUnseen(t *testing.T) {
	p := up(t, lab.Options{Web: true, Standbys: 1, Agents: lab.AgentsSeparate, RepoolConfig: "policy: {max_rate: 8MB}\n"})
	n := p.standbys()[0]
	since := time.Now()
	p.must(p.KillNode(p.ctx, n))
	p.must(p.DestroyData(p.ctx, n))
	resume := p.caught(1, p.backupOf(n)...)
	p.must(p.StopController(p.ctx, 0))
	resume()
	p.must(p.WaitStreaming(p.ctx))
	back := time.Now()
	p.must(p.StartController(p.ctx, 0))
	p.whole("the node attached by the next controller", back)
	p.wait("the run to be accounted for", func(ctx context.Context) error {
		return p.happened(ctx, n, back, "run", "done")
	})
	run := p.healedBy(n, since, topology.MethodBaseBackup)
	if run.Ended.IsZero() || run.Ended.After(back) || run.BytesDone == 0 || len(run.Steps) == 0 {
		t.Errorf("the run as it is told: %+v", run)
	}
	if text := p.metrics(); !strings.Contains(text, fmt.Sprintf("repool_resyncs_total{node=\"%d\",result=\"done\"} 1\n", n)) {
		t.Errorf("the metrics do not count it:\n%s", text)
	}

	back = time.Now()
	p.must(p.StopController(p.ctx, 0))
	p.must(p.StartController(p.ctx, 0))
	p.whole("again", back)
	id := topology.NodeID(n)
	events, err := p.ctl.History(p.ctx, history.Filter{Node: &id, Kind: "run", Run: run.ID})
	p.must(err)
	if len(events) != 2 {
		t.Errorf("the history has %+v of the run, want its beginning and its end", events)
	}
	p.equal()
}

// metrics is what Prometheus would scrape.
func (p *pool) metrics() string {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.ctx, http.MethodGet, "http://"+p.WebAddr+"/metrics", nil)
	p.must(err)
	res, err := http.DefaultClient.Do(r)
	p.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	p.must(err)
	return string(b)
}
