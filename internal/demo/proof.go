package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/repool/repool/internal/lab"
)

// proof compares the copies and accounts for every acknowledged row.
func (s *show) proof(ctx context.Context) error {
	s.tell.act, s.tell.since = nil, time.Now()
	fmt.Fprintln(s.o.Out)
	ctx, cancel := context.WithTimeout(ctx, actDeadline)
	defer cancel()
	if err := s.settled(ctx); err != nil {
		return fmt.Errorf("the pool at the end: %w", err)
	}
	r := &s.report
	r.Nodes = len(s.lab.Nodes)
	r.AllAttached = lab.Healthy(s.lab.Status(ctx)) == nil
	cmp, err := s.lab.CompareCopies(ctx)
	if err != nil {
		return err
	}
	r.RowsMatch = cmp.Match
	for _, t := range cmp.Tables {
		r.Differences = append(r.Differences, t.Differences...)
	}
	p, err := s.lab.WaitPrimary(ctx)
	if err != nil {
		return err
	}
	acked := append(s.writer.Acked(), s.lost...)
	missing, err := s.lab.Missing(ctx, p, acked)
	if err != nil {
		return err
	}
	vaulted, err := vaultedXIDs(s.lab)
	if err != nil {
		return err
	}
	r.AckedRows, r.PresentRows = len(acked), len(acked)-len(missing)
	for _, row := range missing {
		if vaulted[vaultKey{row.Node, row.XID}] {
			r.VaultedRows++
		} else {
			r.Unexplained++
		}
	}
	s.guard.stop()
	r.BadAttach, r.Samples = s.guard.result()
	return nil
}

// vaultKey names a lost commit: transaction ids come again on other timelines,
// so the node belongs to it.
type vaultKey struct {
	node int
	xid  uint64
}

// vaultedXIDs reads every vault report of the lab.
func vaultedXIDs(l *lab.Lab) (map[vaultKey]bool, error) {
	out := map[vaultKey]bool{}
	for _, n := range l.Nodes {
		reports, err := filepath.Glob(filepath.Join(n.DataDir+".repool", "vault", "*", "report.json"))
		if err != nil {
			return nil, err
		}
		for _, path := range reports {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read vault report: %w", err)
			}
			var rep struct {
				Commits []struct {
					XID uint64 `json:"xid"`
				} `json:"commits"`
			}
			if err := json.Unmarshal(b, &rep); err != nil {
				return nil, fmt.Errorf("read vault report %s: %w", path, err)
			}
			for _, c := range rep.Commits {
				out[vaultKey{n.ID, c.XID}] = true
			}
		}
	}
	return out, nil
}

// guard samples the pool all the while: no node may be attached that is a
// primary beside the one Pgpool-II writes to.
type guard struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	bad     int
	samples int
}

func startGuard(l *lab.Lab) *guard {
	ctx, cancel := context.WithCancel(context.Background())
	g := &guard{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(g.done)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				g.sample(l.Status(ctx))
			}
		}
	}()
	return g
}

func (g *guard) sample(nodes []lab.NodeStatus) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.samples++
	var top *lab.NodeStatus
	for i := range nodes {
		if n := &nodes[i]; n.Primary && (top == nil || n.Timeline > top.Timeline) {
			top = n
		}
	}
	for i := range nodes {
		if n := &nodes[i]; n.Primary && n.Attached && n != top {
			g.bad++
		}
	}
}

func (g *guard) stop() {
	g.cancel()
	<-g.done
}

func (g *guard) result() (bad, samples int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bad, g.samples
}
