package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/proof"
	"github.com/repool/repool/internal/topology"
)

// readEvery is the time between two reads of one node, readRows how many of the
// newest rows each sees: more than are written in that time.
const (
	readEvery = 150 * time.Millisecond
	readRows  = 500
)

// readers read on every node, directly, and remember when they saw which row
// last, and when the nodes were attached.
type readers struct {
	lab    *lab.Lab
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	reads    int
	seen     []map[string]time.Time // by node: when the last read that saw a row began
	pool     []string               // by node: what Pgpool-II said last; "unknown": it did not
	spells   [][]spell              // by node
	byHand   []time.Time            // by node: until when an attach is somebody else's
	disturb  time.Time              // the last fault
	newest   lab.NodeStatus         // the primary with the highest timeline so far
	known    bool                   // there was one
	problems []string
}

// spell is one time that a node was attached, by repool.
type spell struct {
	from, to time.Time // to is zero while it lasts
	timeline topology.TimelineID
}

func startReaders(l *lab.Lab) *readers {
	ctx, cancel := context.WithCancel(context.Background())
	n := len(l.Nodes)
	r := &readers{lab: l, cancel: cancel, seen: make([]map[string]time.Time, n), pool: make([]string, n), spells: make([][]spell, n), byHand: make([]time.Time, n)}
	for i := range n {
		r.seen[i], r.pool[i] = map[string]time.Time{}, "unknown"
		r.wg.Go(func() { r.read(ctx, i) })
	}
	return r
}

func (r *readers) stop() { r.cancel(); r.wg.Wait() }

// read reads on node i until ctx ends; a connection that breaks is made anew.
func (r *readers) read(ctx context.Context, i int) {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		// That a node does not answer is what the faults are for.
		_ = r.lab.With(ctx, i, "app", func(c *pgx.Conn) error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
				if err := r.once(ctx, c, i); err != nil {
					return err
				}
			}
		})
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (r *readers) once(ctx context.Context, c *pgx.Conn, i int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	begun := time.Now()
	rows, err := c.Query(ctx, "SELECT payload FROM app.ledger ORDER BY id DESC LIMIT $1", readRows)
	if err != nil {
		return err
	}
	payloads, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	for _, p := range payloads {
		r.seen[i][p] = begun
	}
	return nil
}

// disturbed notes a fault; attached notes that somebody attaches a node by hand.
func (r *readers) disturbed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disturb = time.Now()
}

func (r *readers) attachedByHand(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byHand[i] = time.Now().Add(5 * time.Second)
}

// see is the guard's look: it follows the attaches.
func (r *readers) see(at time.Time, all []lab.NodeStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	top := proof.Newest(all)
	if top >= 0 && (!r.known || all[top].Timeline >= r.newest.Timeline) {
		r.newest, r.known = all[top], true
	}
	for i, n := range all {
		before := r.pool[i]
		r.pool[i] = n.Pool
		last := len(r.spells[i]) - 1
		switch {
		case !n.Attached:
			if last >= 0 && r.spells[i][last].to.IsZero() {
				r.spells[i][last].to = at
			}
		case before == "down" && at.After(r.byHand[i]) && top >= 0:
			r.spells[i] = append(r.spells[i], spell{from: at, timeline: all[top].Timeline})
			r.proven(at, n, all[top])
		}
	}
}

// lastPrimary is the node that was seen to accept writes on the newest
// timeline, -1 when there was none.
func (r *readers) lastPrimary() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known {
		return -1
	}
	return r.newest.ID
}

// proven is P1 at the first look after an attach, where no fault can have
// changed the node since.
func (r *readers) proven(at time.Time, n, primary lab.NodeStatus) {
	switch {
	case !n.Answers || n.Primary || at.Sub(r.disturb) < 5*time.Second:
	case !n.Streaming:
		r.problems = append(r.problems, fmt.Sprintf("%s node %d was attached and does not stream", at.Format("15:04:05.000"), n.ID))
	case n.Timeline != primary.Timeline || n.Upstream != primary.Port:
		r.problems = append(r.problems, fmt.Sprintf("%s node %d was attached, streaming timeline %s from port %d, and the primary, node %d, is on %s",
			at.Format("15:04:05.000"), n.ID, n.Timeline, n.Upstream, primary.ID, primary.Timeline))
	}
}

// stale are the rows of lost timelines that were read on a node after repool
// had attached it to a later one.
func (r *readers) stale(missing []lab.Row) (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, seen := range r.seen {
		for _, row := range missing {
			at, was := seen[row.Payload]
			if !was {
				continue
			}
			for _, s := range r.spells[i] {
				if row.Timeline < s.timeline && at.After(s.from) && (s.to.IsZero() || at.Before(s.to)) {
					out = append(out, fmt.Sprintf("%s node %d, attached at %s on timeline %s, showed %q of the lost timeline %s",
						at.Format("15:04:05.000"), i, s.from.Format("15:04:05.000"), s.timeline, row.Payload, row.Timeline))
				}
			}
		}
	}
	return out
}

// result is how often was read, and what was wrong at an attach.
func (r *readers) result() (reads int, problems []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads, append([]string(nil), r.problems...)
}
