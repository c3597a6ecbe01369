package scenarios

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/test/testpool"
)

// S22: the controller is gone for the end of a run, which is the agent's and goes
// on. The next one attaches the node, and has the run in history and metrics, with
// what the node's journal says, once.
func TestS22RunThatEndsUnseen(t *testing.T) {
	p := up(t, lab.Options{Web: true, Standbys: 1, Agents: lab.AgentsSeparate, RepoolConfig: testpool.SlowCopies})
	n := p.Standbys()[0]
	since := time.Now()
	caught := p.Catch(1, p.BackupOf(n)...)
	p.Wipe(n)
	resume := caught()
	p.Must(p.StopController(p.Ctx, 0))
	resume()
	p.Wait("the run to end", func(context.Context) error {
		if runs := p.Journal(n, since); len(runs) == 0 || runs[0].Ended.IsZero() {
			return fmt.Errorf("it goes on: %+v", runs)
		}
		return nil
	})
	back := time.Now()
	p.Must(p.StartController(p.Ctx, 0))
	p.Whole("the node attached by the next controller", back)
	p.Wait("the run to be accounted for", func(ctx context.Context) error {
		return p.happened(ctx, n, back, "run", "done")
	})
	run := p.HealedBy(n, since, topology.MethodBaseBackup)
	if run.Ended.IsZero() || run.Ended.After(back) || run.BytesDone == 0 || len(run.Steps) == 0 {
		t.Errorf("the run as it is told: %+v", run)
	}
	if text := p.metrics(); !strings.Contains(text, fmt.Sprintf("repool_resyncs_total{node=\"%d\",result=\"done\"} "+
		"1\n", n)) {
		t.Errorf("the metrics do not count it:\n%s", text)
	}

	back = time.Now()
	p.Must(p.StopController(p.Ctx, 0))
	p.Must(p.StartController(p.Ctx, 0))
	p.Whole("again", back)
	id := topology.NodeID(n)
	events, err := p.Ctl.History(p.Ctx, event.Filter{Node: &id, Kind: "run", Run: run.ID})
	p.Must(err)
	if len(events) != 2 {
		t.Errorf("the history has %+v of the run, want its beginning and its end", events)
	}
	p.Equal()
}

// metrics is what Prometheus would scrape.
func (p *pool) metrics() string {
	p.T.Helper()
	r, err := http.NewRequestWithContext(p.Ctx, http.MethodGet, "http://"+p.WebAddr+"/metrics", nil)
	p.Must(err)
	res, err := http.DefaultClient.Do(r)
	p.Must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	p.Must(err)
	return string(b)
}
