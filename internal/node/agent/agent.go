package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/resync"
)

// Node is what the agent needs of the host it runs on.
type Node interface {
	resync.Host
	// Inspect returns the facts about directory and server; the agent adds Run,
	// Lock and AgentVersion.
	Inspect(ctx context.Context) (topology.Inspection, error)
	// Sending says whether the node's server has WAL senders: standbys that a
	// fast stop would still bring level.
	Sending() (bool, error)
	// DropSlots drops those of the given slots that nobody uses, while the node's
	// server is a standby that streams, and returns their names.
	DropSlots(ctx context.Context, names []string) ([]string, error)
	// RecordEnding reads the WAL record of the node's timeline that ends at lsn;
	// agentapi.ErrNoWAL when the segment is gone.
	RecordEnding(ctx context.Context, lsn topology.LSN) (topology.WALRecord, error)
	// VaultEntries lists the vault, VaultReport returns one entry's JSON report.
	VaultEntries() ([]topology.VaultEntry, error)
	VaultReport(id string) ([]byte, error)
}

// Options are what New needs. Node, WorkDir or Keep, Host and Upstream must be
// given.
type Options struct {
	Node     topology.NodeID
	WorkDir  string   // an absolute path, on the data directory's file system
	Keep     *WorkDir // nil: files in WorkDir
	Host     Node
	Upstream resync.UpstreamLink
	Version  string
	Log      *slog.Logger // nil: discarded
	// ClearanceWait, Patience and Headroom are resync.Options'; zero: its defaults.
	ClearanceWait time.Duration
	Patience      time.Duration
	Headroom      uint64
	// ShutdownLimit is how long Close waits for a step that should not be
	// interrupted, such as a rewind; zero: 60 s.
	ShutdownLimit time.Duration
	// KeepEvery is how often Serve saves the configuration; zero: a minute.
	KeepEvery time.Duration
	// StopAlone is the time without a call of any controller (see ControllerCalled)
	// after which Serve stops a server that is a primary; zero: never.
	StopAlone time.Duration
	// SinceBoot is the clock for that; nil: the machine's.
	SinceBoot func() time.Duration
	// ReadOnly is for questions only: New creates nothing, no run is taken over, and
	// no order may be given.
	ReadOnly bool
	// Points is called at each of resync.AllPoints; nil: resync.CrashPoint, which
	// does nothing in a program built without crash points.
	Points func(string)
}

// Agent implements agentapi.Agent for one node.
type Agent struct {
	opts    Options
	log     *slog.Logger
	journal Journal
	tokens  tokens
	lock    Lock
	told    Told
	// turn is a semaphore: an order holds it while it changes the node or the
	// fields below. A run holds only the file lock.
	turn chan struct{}

	runs    runs
	contact controllerContact
	// ctx is the context of runs; stop cancels it. closing is closed before that.
	ctx     context.Context
	stop    context.CancelFunc
	closing chan struct{}
}

var _ agentapi.Agent = (*Agent)(nil)

// New opens the work directory, takes over what a dead agent left unfinished, and
// returns an agent ready for orders. It starts no goroutine.
func New(o Options) (*Agent, error) {
	if o.Host == nil || o.Upstream == nil || o.WorkDir == "" && o.Keep == nil || o.Node < 0 {
		return nil, errors.New("new agent: node, work directory, host and upstream must be given")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ShutdownLimit == 0 {
		o.ShutdownLimit = time.Minute
	}
	if o.KeepEvery == 0 {
		o.KeepEvery = time.Minute
	}
	if o.Points == nil {
		o.Points = resync.CrashPoint()
	}
	if o.Keep == nil {
		w, err := workDirIn(o.WorkDir, o.ReadOnly)
		if err != nil {
			return nil, fmt.Errorf("new agent for node %s: %w", o.Node, err)
		}
		o.Keep = &w
	}
	a := &Agent{
		opts:    o,
		log:     o.Log.With("node", int(o.Node)),
		journal: o.Keep.Journal,
		tokens:  tokens{o.Keep.Grants},
		lock:    o.Keep.Lock,
		told:    o.Keep.Told,
		turn:    make(chan struct{}, 1),
		closing: make(chan struct{}),
	}
	a.contact.limit, a.contact.now = o.StopAlone, o.SinceBoot
	if o.SinceBoot == nil {
		a.contact.now = sinceBoot
	}
	a.contact.touch()
	a.ctx, a.stop = context.WithCancel(context.Background())
	if o.ReadOnly {
		return a, nil
	}
	if _, err := a.tokens.Read(); err != nil {
		return nil, fmt.Errorf("new agent for node %s: %w", o.Node, err)
	}
	// Another agent process may have the node at the moment. Its run is then taken
	// over when its lock is free.
	err := a.withNodeIn(context.Background(), 0, func() error { return nil })
	if err != nil && !errors.Is(err, agentapi.ErrLocked) {
		return nil, fmt.Errorf("new agent for node %s: %w", o.Node, err)
	}
	return a, nil
}

// Serve keeps the saved configuration fresh and old copies tidied away, and
// watches whether the host is cut off, until ctx ends; then it closes the agent.
func (a *Agent) Serve(ctx context.Context) error {
	var watch sync.WaitGroup
	watch.Go(func() { a.watchContact(ctx) })
	defer watch.Wait()
	tick := time.NewTicker(a.opts.KeepEvery)
	defer tick.Stop()
	for {
		if err := errors.Join(a.keep(ctx), a.emptyTrash(ctx)); err != nil && ctx.Err() == nil {
			a.log.Warn("upkeep of the work directory", "err", err)
		}
		select {
		case <-ctx.Done():
			return a.Close()
		case <-tick.C:
		}
	}
}

// Close asks a run in progress to stop where that is safe, waits for it up to
// ShutdownLimit, then interrupts it, and returns when it has ended. The planner
// decides what follows an interrupted run. Close is idempotent.
func (a *Agent) Close() error {
	a.runs.mu.Lock()
	select {
	case <-a.closing:
	default:
		close(a.closing)
	}
	active := a.runs.active
	a.runs.mu.Unlock()
	if active != nil {
		active.ask(resync.ErrShutdown)
		limit := time.NewTimer(a.opts.ShutdownLimit)
		defer limit.Stop()
		select {
		case <-active.done:
		case <-limit.C:
			a.log.Warn("interrupting a run that does not end", "run", active.id)
		}
	}
	a.stop()
	if active != nil {
		<-active.done
	}
	a.turn <- struct{}{} // wait for an order in progress
	<-a.turn
	return nil
}

// turnWait is how long an order waits for another one to finish.
const turnWait = 5 * time.Second

// withNode calls f while no other order, of this process or another, can change
// the node. A run of this agent may be in progress; f checks for one.
// agentapi.ErrLocked: another process has the node.
func (a *Agent) withNode(ctx context.Context, f func() error) error {
	return a.withNodeIn(ctx, lockWait, f)
}

// withNodeIn is withNode that waits as long as patience for other processes.
func (a *Agent) withNodeIn(ctx context.Context, patience time.Duration, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err // select would choose at random
	}
	wait := time.NewTimer(turnWait)
	defer wait.Stop()
	select {
	case a.turn <- struct{}{}:
	case <-wait.C:
		return fmt.Errorf("another order is being carried out: %w", agentapi.ErrLocked)
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.turn }()
	select {
	case <-a.closing:
		return fmt.Errorf("the agent is shutting down: %w", agentapi.ErrRefused)
	default:
	}
	if a.runs.current() != nil {
		return f() // the run holds the file lock
	}
	if err := a.lock.Take(ctx, patience); err != nil {
		return err
	}
	err := a.takeOver(ctx)
	if err == nil {
		err = f()
	}
	if a.runs.current() != nil {
		return err // f has started a run, which holds the lock now
	}
	return errors.Join(err, a.lock.Release())
}

// takeOver ends the records of runs whose process has died, and kills the
// programs that they left. The lock is held, so no such run can be alive.
func (a *Agent) takeOver(ctx context.Context) error {
	recs, err := a.records()
	if err != nil {
		return err
	}
	for _, rec := range recs {
		if !rec.Live() {
			continue
		}
		// The lock is released when its process dies, but a child may outlive it.
		if err := a.opts.Host.KillLeftovers(ctx); err != nil {
			return fmt.Errorf("kill what run %s left running: %w", rec.Run.ID, err)
		}
		rec = resync.TakeOver(rec, a.opts.Host, time.Now())
		if err := a.journal.Put(rec); err != nil {
			return fmt.Errorf("take over run %s: %w", rec.Run.ID, err)
		}
		a.log.Warn("took over an interrupted run", "run", rec.Run.ID, "step", rec.Run.Step(), "damaged", rec.Run.Damaged)
	}
	return nil
}

// records reads the journal; garbled files are logged and left out.
func (a *Agent) records() ([]journal.Record, error) {
	recs, err := a.journal.List()
	var garbled *journal.GarbledError
	if errors.As(err, &garbled) {
		a.log.Error("journal", "err", err)
		return recs, nil
	}
	return recs, err
}

// prior is what the next run needs from the journal. The lock is held.
func (a *Agent) prior() (resync.Prior, error) {
	rec, _, err := a.journal.Newest()
	var garbled *journal.GarbledError
	if errors.As(err, &garbled) {
		return resync.Prior{Record: rec, Garbled: true}, nil
	}
	return resync.Prior{Record: rec}, err
}
