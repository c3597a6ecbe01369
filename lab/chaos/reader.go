package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/promise"
	"github.com/repool/repool/lab/proof"
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
	seen     []map[string][]sighting // by node and row
	pool     []string                // by node: what Pgpool-II said last; "unknown": it did not
	spells   [][]spell               // by node
	byHand   []time.Time             // by node: until when an attach is somebody else's
	disturb  time.Time               // the last fault
	attached promise.Attached
	newest   lab.NodeStatus // the primary with the highest timeline so far
	known    bool           // there was one
	problems []string
}

// spell is one time that a node was attached, by repool.
type spell struct {
	from, to time.Time // to is zero while it lasts
	timeline topology.TimelineID
}

// sighting is when the reads began, the first and the last, that saw a row on a
// node between two changes of the node's attachment.
type sighting struct {
	epoch       int
	first, last time.Time
}

func startReaders(l *lab.Lab) *readers {
	ctx, cancel := context.WithCancel(context.Background())
	n := len(l.Nodes)
	r := newReaders(n)
	r.lab, r.cancel = l, cancel
	for i := range n {
		r.wg.Go(func() { r.read(ctx, i) })
	}
	return r
}

func newReaders(n int) *readers {
	r := &readers{seen: make([]map[string][]sighting, n), pool: make([]string, n), spells: make([][]spell, n),
		byHand: make([]time.Time, n)}
	for i := range n {
		r.seen[i], r.pool[i] = map[string][]sighting{}, "unknown"
	}
	return r
}

func (r *readers) stop() { r.cancel(); r.wg.Wait() }

// read reads on node i until ctx ends; a connection that breaks is made again.
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
		r.saw(i, p, begun)
	}
	return nil
}

// saw notes that a read which began then saw a row on node i.
func (r *readers) saw(i int, payload string, begun time.Time) {
	epoch := 2 * len(r.spells[i])
	if epoch > 0 && r.spells[i][epoch/2-1].to.IsZero() {
		epoch--
	}
	list := r.seen[i][payload]
	if last := len(list) - 1; last >= 0 && list[last].epoch == epoch {
		list[last].last = begun
		return
	}
	r.seen[i][payload] = append(list, sighting{epoch, begun, begun})
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
	if top >= 0 {
		r.attached.Primary(at, top)
	}
	for i, n := range all {
		r.held(at, n, top, all)
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

// held is P1 at every look: whoever attached a node, and whatever has befallen it
// since, it does not stay attached without the primary's stream.
func (r *readers) held(at time.Time, n lab.NodeStatus, top int, all []lab.NodeStatus) {
	i := n.ID
	if top < 0 || i == top || !n.Attached || !n.Answers || follows(n, all[top]) {
		r.attached.Fine(i)
		return
	}
	if d := r.attached.Astray(at, i, r.disturb); d > 0 {
		r.problems = append(r.problems, fmt.Sprintf("%s node %d has been attached for %.1f s without the stream of the "+
			"primary, node %d", at.Format("15:04:05.000"), i, d.Seconds(), top))
	}
}

// follows says that a node streams from that primary, on its timeline.
func follows(n, primary lab.NodeStatus) bool {
	return !n.Primary && n.Streaming && n.Timeline == primary.Timeline && n.Upstream == primary.Port
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

// proven is P1 at the first look after an attach, where no fault can have changed the node since. A standby that was
// proven against the previous primary may follow a little later (see package promise): held goes on looking, and the
// rows that it shows meanwhile are counted as those of any attached node.
func (r *readers) proven(at time.Time, n, primary lab.NodeStatus) {
	switch {
	case !n.Answers || n.Primary || at.Sub(r.disturb) < 5*time.Second || r.attached.MayFollowLater(at):
	case !n.Streaming:
		r.problems = append(r.problems, fmt.Sprintf("%s node %d was attached and does not stream",
			at.Format("15:04:05.000"), n.ID))
	case n.Timeline != primary.Timeline || n.Upstream != primary.Port:
		r.problems = append(r.problems, fmt.Sprintf("%s node %d was attached, streaming timeline %s from port %d, and the "+
			"primary, node %d, is on %s",
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
			for _, at := range seen[row.Payload] {
				for _, s := range r.spells[i] {
					if row.Timeline < s.timeline && at.last.After(s.from) && (s.to.IsZero() || at.first.Before(s.to)) {
						out = append(out, fmt.Sprintf("%s node %d, attached at %s on timeline %s, showed %q of the lost timeline %s",
							at.last.Format("15:04:05.000"), i, s.from.Format("15:04:05.000"), s.timeline, row.Payload, row.Timeline))
					}
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
