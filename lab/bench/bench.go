package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/process"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/lab"
)

// Options of a run.
type Options struct {
	Repool string
	Log    io.Writer // progress; nil: none
	// Scale of pgbench, WALKeep of the servers, Rounds of each measure; zero:
	// 20, 600MB and 3.
	Scale   int
	WALKeep string
	Rounds  int
	// Only some steps, by their names; empty: all.
	Only []string
	// Keep leaves the pool running, to be looked at after a failure.
	Keep bool
}

// bench is one run on one pool.
type bench struct {
	o   Options
	l   *lab.Lab
	ctl *control.Client
	rep Report
}

// Run builds a pool with data and kept WAL, and measures.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Scale == 0 {
		o.Scale = 20
	}
	if o.WALKeep == "" {
		o.WALKeep = "600MB"
	}
	if o.Rounds == 0 {
		o.Rounds = 3
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	begun := time.Now()
	l, err := lab.Up(ctx, lab.Options{Repool: o.Repool, Hooks: true, Controller: true, WALKeepSize: o.WALKeep,
		Durable: true, Keep: o.Keep,
		Settings: map[string]string{"max_wal_size": "2GB", "checkpoint_timeout": "15min", "shared_buffers": "128MB"}})
	if err != nil {
		return Report{}, fmt.Errorf("build the pool: %w", err)
	}
	b := &bench{o: o, l: l, ctl: control.NewClient(l.ControllerSocket(0))}
	err = b.all(ctx)
	b.rep.Seconds = time.Since(begun).Seconds()
	if o.Keep {
		fmt.Fprintf(o.Log, "the pool is kept in %s\n", l.Dir)
		return b.rep, err
	}
	return b.rep, errors.Join(err, l.Down(context.WithoutCancel(ctx)))
}

func (b *bench) all(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"fill", b.fill},
		{"idle", b.idle},
		{"adopt", b.adopt},
		{"follow", b.follow},
		{"rewind", b.rewind},
		{"promotion", b.promotion},
	} {
		if len(b.o.Only) > 0 && step.name != "fill" && !slices.Contains(b.o.Only, step.name) {
			continue
		}
		fmt.Fprintf(b.o.Log, "%s …\n", step.name)
		sctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
		err := step.do(sctx)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// fill loads pgbench's tables and writes until WALKeep is reached.
func (b *bench) fill(ctx context.Context) error {
	p, err := b.l.WaitPrimary(ctx)
	if err != nil {
		return err
	}
	pgbench := func(args ...string) error {
		base := []string{"-h", b.l.Sockets, "-p", strconv.Itoa(b.l.Nodes[p].Port), "-U", "postgres"}
		out, err := b.l.Command(ctx, "pgbench", append(base, append(args, "app")...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("pgbench: %w\n%s", err, out)
		}
		return nil
	}
	if err := pgbench("-i", "-q", "-s", strconv.Itoa(b.o.Scale)); err != nil {
		return err
	}
	keep, err := humanize.ParseBytes(b.o.WALKeep)
	if err != nil {
		return fmt.Errorf("--wal-keep: %w", err)
	}
	for range 60 {
		b.rep.WALBytes = 0
		if n, err := pgdata.WALSize(b.l.Nodes[p].DataDir); err == nil {
			b.rep.WALBytes = n
		}
		if b.rep.WALBytes >= keep {
			break
		}
		if err := b.l.With(ctx, p, "app", rewriteAccounts(ctx)); err != nil {
			return err
		}
	}
	size, err := b.l.Value(ctx, p, "SELECT sum(pg_database_size(oid)) FROM pg_database")
	if err != nil {
		return err
	}
	if b.rep.DataBytes, err = strconv.ParseUint(size, 10, 64); err != nil {
		return err
	}
	if _, err := b.l.WaitReplayed(ctx, p); err != nil {
		return err
	}
	return b.whole(ctx)
}

// whole waits until the controller and the lab see every node healthy, and
// stay so for as long as Pgpool-II may still be searching for the primary.
func (b *bench) whole(ctx context.Context) error {
	since := time.Time{}
	return lab.WaitFor(ctx, "a whole pool", func(ctx context.Context) error {
		if err := lab.Healthy(b.l.Status(ctx)); err != nil {
			since = time.Time{}
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < 2*time.Second {
			return errors.New("whole, but only just")
		}
		return nil
	})
}

// idle measures the controller of three healthy nodes for some passes.
func (b *bench) idle(ctx context.Context) error {
	st, err := b.ctl.Status(ctx)
	if err != nil {
		return err
	}
	const passes = 20
	before, err := process.Read(st.PID)
	if err != nil {
		return err
	}
	from := time.Now()
	for now := st; now.Pass < st.Pass+passes; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d passes: %w", passes, ctx.Err())
		case <-time.After(5 * time.Second): // each look costs the controller something
		}
		if now, err = b.ctl.Status(ctx); err != nil {
			return err
		}
	}
	after, err := process.Read(st.PID)
	if err != nil {
		return err
	}
	share := (after.CPU - before.CPU).Seconds() / time.Since(from).Seconds() * 100
	rss := float64(after.Resident) / (1 << 20)
	b.rep.Measures = append(b.rep.Measures,
		Measure{Name: "idle controller, 3 nodes, a pass a second: CPU", Repool: share, Unit: "%",
			Aim: "under 1 % of a core", Met: share < 1, Rounds: passes},
		Measure{Name: "idle controller: memory", Repool: rss, Unit: "MiB", Aim: "under 40 MB", Met: rss*1.048576 < 40,
			Rounds: 1})
	return nil
}
