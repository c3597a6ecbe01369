package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/proof"
)

// Options say how to break the pool. Repool must be given.
type Options struct {
	// Repool is the binary under test.
	Repool string
	// Seed of the faults; 0 is a seed as well.
	Seed uint64
	// Time for faults; zero: a minute. Healing and counting come on top.
	Time time.Duration
	// Sync: synchronous replication, to any one standby. Then a round has one
	// fault, since two can lose what one standby alone had acknowledged.
	Sync bool
	// Network puts every node and Pgpool-II on a host of its own, in network
	// namespaces, and breaks what is between them too. Root only.
	Network bool
	// Only draws these kinds of faults; empty: all.
	Only []string
	// Keep leaves the pool's directory; so does a violation.
	Keep bool
	// Out gets a line for each fault and each quiet moment; nil: none.
	Out io.Writer
}

// healLimit bounds one healing: convergence in bounded time (P9).
const healLimit = 3 * time.Minute

// diskMB is each node's own file system, where the machine allows it.
const diskMB = 700

// run is one run in progress.
type run struct {
	o       Options
	lab     *lab.Lab
	ctl     *control.Client
	rnd     *rand.Rand
	faults  []fault
	writer  *lab.Writer
	readers *readers
	guard   *proof.Guard
	begun   time.Time

	byHand  []lab.Row // committed directly on a node, to be lost there
	undo    []undo    // of faults that last
	missing []lab.Row // at the last quiet moment
	told    int64     // the newest event of the history that was counted
	acted   time.Time // when a person did something last: repool looks again first
	report  Report
}

// undo ends a fault that lasts.
type undo struct {
	kind string
	do   func(context.Context) error
}

// Run breaks the pool for a time. The error is for what kept it from being
// done; a promise that was not kept is Report.OK false.
func Run(ctx context.Context, o Options) (Report, error) {
	r := newRun(o)
	if err := r.choose(); err != nil {
		return r.report, err
	}
	if err := r.build(ctx); err != nil {
		return r.report, fmt.Errorf("build the pool: %w", err)
	}
	err := r.all(ctx)
	r.report.Seconds = time.Since(r.begun).Seconds()
	r.report.OK = err == nil && len(r.report.Violations) == 0
	if !r.report.OK && ctx.Err() == nil {
		r.evidence(ctx)
	}
	down := r.down(context.WithoutCancel(ctx))
	return r.report, errors.Join(err, down)
}

func newRun(o Options) *run {
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Time == 0 {
		o.Time = time.Minute
	}
	return &run{o: o, rnd: rand.New(rand.NewPCG(o.Seed, 0)), begun: time.Now(),
		report: Report{Seed: o.Seed, Sync: o.Sync, Faults: map[string]int{}, Healings: map[string]int{},
			Parked: map[string]int{}, Asked: map[string]int{}}}
}

// choose keeps the faults that are asked for and possible here.
func (r *run) choose() error {
	for _, f := range faults {
		switch {
		case len(r.o.Only) > 0 && !slices.Contains(r.o.Only, f.kind):
		case f.network && !r.o.Network:
			if len(r.o.Only) > 0 {
				return fmt.Errorf("%s needs a host of its own for each node: --network", f.kind)
			}
		case f.root && os.Geteuid() != 0:
			r.report.LeftOut = append(r.report.LeftOut, f.kind+": needs a file system of its own for each node, and so root")
		case f.rare:
			r.faults = append(r.faults, f)
		default:
			r.faults = append(r.faults, f, f)
		}
	}
	for _, kind := range r.o.Only {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.kind == kind }) {
			return fmt.Errorf("there is no kind of fault %q", kind)
		}
	}
	if len(r.faults) == 0 {
		return errors.New("no kind of fault is left to draw")
	}
	return nil
}

func (r *run) build(ctx context.Context) error {
	o := lab.Options{Repool: r.o.Repool, Hooks: true, Controller: true, Keep: true,
		WALKeepSize: "32MB", MaxSlotWALKeepSize: "64MB",
		Settings: map[string]string{"max_wal_size": "64MB", "min_wal_size": "32MB",
			"hot_standby_feedback": "on", "wal_receiver_status_interval": "1s"},
		RepoolConfig: "policy: {headroom: 32MB, backoff_max: 10s}\n"}
	if r.o.Sync {
		o.SyncStandbys = "ANY 1 (*)"
	}
	if os.Geteuid() == 0 {
		o.DiskMB = diskMB
	}
	if o.Agents = lab.AgentsInProcess; r.rnd.IntN(2) == 1 {
		o.Agents = lab.AgentsSeparate
	}
	if r.o.Network {
		o.Hosts, o.Agents = true, lab.AgentsTLS
	}
	r.report.Agents = string(o.Agents)
	l, err := lab.Up(ctx, o)
	if err != nil {
		return err
	}
	r.lab, r.ctl = l, control.NewClient(l.ControllerSocket(0))
	r.say("seed %d: pool with agents %s in %s", r.o.Seed, o.Agents, l.Dir)
	return nil
}

// down takes the pool down. Its directory stays on demand, and as evidence.
func (r *run) down(ctx context.Context) error {
	err := r.lab.Down(ctx)
	if r.o.Keep || !r.report.OK {
		r.report.Dir = r.lab.Dir
		return err
	}
	return errors.Join(err, r.lab.Remove())
}

// watch starts clients, readers and guard; stop ends them.
func (r *run) watch() (stop func()) {
	r.readers = startReaders(r.lab)
	r.guard = proof.Watch(r.lab, proof.GuardOptions{See: r.readers.see})
	r.writer = r.lab.StartWriter(lab.WriterOptions{Clients: 3})
	return func() { r.writer.Stop(); r.guard.Stop(); r.readers.stop() }
}

// all is the run on the pool that was built.
func (r *run) all(ctx context.Context) error {
	defer r.watch()()
	if err := r.writer.WaitAcked(ctx, 20); err != nil {
		return fmt.Errorf("the writers: %w", err)
	}
	defer func() { _ = r.endFaults(context.WithoutCancel(ctx)) }() // frozen processes would outlive the pool
	for deadline := time.Now().Add(r.o.Time); time.Now().Before(deadline) && !r.broken(); {
		if err := r.round(ctx); err != nil {
			return err
		}
	}
	r.judge()
	return nil
}

// broken says whether a promise has been seen not to be kept.
func (r *run) broken() bool {
	_, problems := r.readers.result()
	return len(r.report.Violations)+len(problems)+r.guard.Result().Bad > 0 || len(r.readers.stale(r.missing)) > 0
}

// judge puts into the report what was seen between the quiet moments.
func (r *run) judge() {
	g := r.guard.Stop()
	r.readers.stop()
	rep := &r.report
	rep.Samples = g.Samples
	for _, v := range g.Violations {
		rep.violate("%s", v)
	}
	reads, problems := r.readers.result()
	rep.Reads = reads
	for _, p := range problems {
		rep.violate("%s", p)
	}
	stale := r.readers.stale(r.missing)
	if rep.Stale = len(stale); len(stale) > 0 {
		rep.violate("%d stale reads, the first: %s", len(stale), stale[0])
	}
}

func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.o.Out, "%7.1fs  %s\n", time.Since(r.begun).Seconds(), fmt.Sprintf(format, args...))
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
