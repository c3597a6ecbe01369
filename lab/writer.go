package lab

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/core/topology"
)

// Row is one committed row of app.ledger.
type Row struct {
	ID  int64  `json:"id"`
	XID uint64 `json:"xid"`
	// Node and Port are where it was committed, on which timeline. An ID or XID
	// may come again on a new timeline; the payload never does.
	Node     int                 `json:"node"`
	Port     int                 `json:"port"`
	Timeline topology.TimelineID `json:"timeline"`
	Payload  string              `json:"payload"`
	At       time.Time           `json:"at"` // when the client had the answer
}

// insertRow gives port 0 over a unix socket.
const insertRow = `INSERT INTO app.ledger (payload) VALUES ($1)
 RETURNING id, pg_current_xact_id()::text::bigint, COALESCE(inet_server_port(), 0),
 ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint`

// WriterOptions say how hard a Writer works. The zero value is one client that
// commits a row every 10 ms.
type WriterOptions struct {
	Clients int
	// Pause between two rows of one client; negative means none.
	Pause time.Duration
	// ConnString to write through; empty: Pgpool-II.
	ConnString string
	// Name begins each payload, to tell several writers apart.
	Name string
}

// Writer is a client that commits rows one by one and remembers which ones
// were acknowledged. After an error it connects again.
type Writer struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	gate   sync.RWMutex // held for reading while a row is on its way; Pause takes it

	mu     sync.Mutex
	acked  []Row
	errs   int
	last   error
	lastAt time.Time
	gap    time.Duration
}

// StartWriter begins to write; Stop it. Down stops it as well.
func (l *Lab) StartWriter(o WriterOptions) *Writer {
	if o.Clients == 0 {
		o.Clients = 1
	}
	if o.Pause == 0 {
		o.Pause = 10 * time.Millisecond
	}
	if o.ConnString == "" {
		o.ConnString = l.PoolConnString()
	}
	if o.Name == "" {
		o.Name = "client"
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{cancel: cancel, lastAt: time.Now()}
	for c := range o.Clients {
		w.wg.Go(func() { l.write(ctx, w, o, c) })
	}
	l.mu.Lock()
	l.stops = append(l.stops, w.Stop)
	l.mu.Unlock()
	return w
}

// write is one client's life: connect, commit rows until an error, again.
func (l *Lab) write(ctx context.Context, w *Writer, o WriterOptions, client int) {
	begun := time.Now().UnixNano()
	for seq := 0; ctx.Err() == nil; {
		err := l.writeSession(ctx, w, o, func() string {
			seq++
			return fmt.Sprintf("%s %d-%d, row %d", o.Name, begun, client, seq)
		})
		if err != nil && ctx.Err() == nil {
			w.failed(err)
			pause(ctx, 20*time.Millisecond)
		}
	}
}

func (l *Lab) writeSession(ctx context.Context, w *Writer, o WriterOptions, next func() string) error {
	cfg, err := pgx.ParseConfig(o.ConnString)
	if err != nil {
		return err
	}
	cfg.ConnectTimeout = 5 * time.Second
	// Pgpool-II and a change of node go best with the simple protocol.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for ctx.Err() == nil {
		r := Row{Node: -1, Payload: next()}
		w.gate.RLock()
		limited, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := conn.QueryRow(limited, insertRow, r.Payload).Scan(&r.ID, &r.XID, &r.Port, &r.Timeline)
		cancel()
		w.gate.RUnlock()
		if err != nil {
			return err
		}
		r.At = time.Now()
		for _, n := range l.Nodes {
			if n.Port == r.Port {
				r.Node = n.ID
			}
		}
		w.got(r)
		pause(ctx, o.Pause)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (w *Writer) got(r Row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked = append(w.acked, r)
	w.gap = max(w.gap, r.At.Sub(w.lastAt))
	w.lastAt = r.At
}

func (w *Writer) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs++
	w.last = err
}

// Stop ends the clients and waits for them. It may be called again.
func (w *Writer) Stop() {
	w.cancel()
	w.wg.Wait()
}

// Pause waits for the rows on their way and sends no more until resume.
func (w *Writer) Pause() (resume func()) {
	w.gate.Lock()
	return sync.OnceFunc(w.gate.Unlock)
}

// Acked are the rows acknowledged so far, in the order of their answers.
func (w *Writer) Acked() []Row {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.acked)
}

// Count is the number of rows acknowledged so far.
func (w *Writer) Count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// Errors is the number of failed sessions, and the last one's error.
func (w *Writer) Errors() (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.errs, w.last
}

// LongestGap is the longest time between two answers since the start or the
// last ResetGap, one still open included: how long clients could not write.
func (w *Writer) LongestGap() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.gap, time.Since(w.lastAt))
}

// ResetGap begins a new measurement.
func (w *Writer) ResetGap() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gap, w.lastAt = 0, time.Now()
}

// WaitAcked waits until n more rows have been acknowledged.
func (w *Writer) WaitAcked(ctx context.Context, n int) error {
	want := w.Count() + n
	return WaitFor(ctx, fmt.Sprintf("%d more acknowledged rows", n), func(context.Context) error {
		if have := w.Count(); have < want {
			_, last := w.Errors()
			if last != nil {
				return fmt.Errorf("%d to go, last error: %w", want-have, last)
			}
			return fmt.Errorf("%d to go", want-have)
		}
		return nil
	})
}
