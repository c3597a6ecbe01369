package agent

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/core/topology"
)

// solitude is how long no controller has been heard of. It is measured by the
// clock that nobody sets and that goes on while the host is suspended: a virtual
// machine that wakes up is alone at once.
type solitude struct {
	// limit is the time after which a primary is stopped; zero: never.
	limit time.Duration
	now   func() time.Duration
	heard atomic.Int64
}

// sinceBoot is the real clock.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Since(processBegan) // no such clock: the process's own
	}
	return time.Duration(ts.Nano())
}

var processBegan = time.Now()

func (s *solitude) hear() { s.heard.Store(int64(s.now())) }

func (s *solitude) lasted() time.Duration { return s.now() - time.Duration(s.heard.Load()) }

// over says whether it has lasted too long.
func (s *solitude) over() bool { return s.limit > 0 && s.lasted() >= s.limit }

// Heard notes that a controller has just asked something.
func (a *Agent) Heard() { a.alone.hear() }

// watchAlone stops a server that is a primary while no controller is heard of,
// and again whenever somebody else starts it, until one is. It returns when ctx
// ends.
func (a *Agent) watchAlone(ctx context.Context) {
	if a.alone.limit <= 0 {
		return
	}
	tick := time.NewTicker(min(max(a.alone.limit/10, 20*time.Millisecond), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.stopIfAlone(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("stop the primary of a host that is cut off", "err", err)
		}
	}
}

// stopIfAlone is one look at that.
func (a *Agent) stopIfAlone(ctx context.Context) error {
	if !a.alone.over() {
		return nil
	}
	primary, err := a.runsPrimary(ctx)
	if err != nil || !primary {
		return err
	}
	return a.withNode(ctx, func() error {
		// A controller may have come while the node was somebody else's.
		if !a.alone.over() || a.runs.current() != nil {
			return nil
		}
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), fenceLimit)
		defer cancel()
		sending, err := a.opts.Host.Sending()
		if err != nil {
			return fmt.Errorf("look for WAL senders: %w", err)
		}
		how, err := a.opts.Host.StopServer(limited, !sending)
		if err != nil {
			return err
		}
		a.log.Warn("primary stopped: no controller has been heard of", "took", a.alone.lasted().Round(time.Second).String(),
			"limit", a.alone.limit.String(), "mode", how.Mode)
		return nil
	})
}

// runsPrimary says whether the node's server is up, or about to be, and no standby.
func (a *Agent) runsPrimary(ctx context.Context) (bool, error) {
	in, err := a.opts.Host.Inspect(ctx)
	if err != nil {
		return false, err
	}
	up := in.Server == topology.ServerRunning || in.Server == topology.ServerStarting
	return in.Err == "" && up && in.Dir == topology.DirPresent && !in.StandbySignal && !in.RecoverySignal, nil
}
