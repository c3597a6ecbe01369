package agent

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/core/topology"
)

// controllerContact is when a controller last called. It is measured by a clock
// that nobody sets and that goes on while the host is suspended: a virtual
// machine that wakes up counts as cut off at once.
type controllerContact struct {
	// limit is the age at which a primary is stopped; zero: never.
	limit time.Duration
	now   func() time.Duration
	last  atomic.Int64
}

// sinceBoot is the real clock.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Since(processBegan) // there is no such clock
	}
	return time.Duration(ts.Nano())
}

var processBegan = time.Now()

func (c *controllerContact) touch() { c.last.Store(int64(c.now())) }

func (c *controllerContact) age() time.Duration { return c.now() - time.Duration(c.last.Load()) }

// lost says whether the last call is too long ago.
func (c *controllerContact) lost() bool { return c.limit > 0 && c.age() >= c.limit }

// ControllerCalled notes that a controller has just called.
func (a *Agent) ControllerCalled() { a.contact.touch() }

// watchContact stops a server that is a primary while no controller calls, and
// again whenever somebody else starts it. It returns when ctx ends.
func (a *Agent) watchContact(ctx context.Context) {
	if a.contact.limit <= 0 {
		return
	}
	tick := time.NewTicker(min(max(a.contact.limit/10, 20*time.Millisecond), time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.stopIfCutOff(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("stop the primary of a host that is cut off", "err", err)
		}
	}
}

// stopIfCutOff stops a primary if the contact is lost now.
func (a *Agent) stopIfCutOff(ctx context.Context) error {
	if !a.contact.lost() {
		return nil
	}
	primary, err := a.runsPrimary(ctx)
	if err != nil || !primary {
		return err
	}
	return a.withNode(ctx, func() error {
		// A controller may have called while this waited for the node.
		if !a.contact.lost() || a.runs.current() != nil {
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
		a.log.Warn("primary stopped: no controller has called", "took", a.contact.age().Round(time.Second).String(),
			"limit", a.contact.limit.String(), "mode", how.Mode)
		return nil
	})
}

// runsPrimary says whether the node's server runs, or starts, and is not a standby.
func (a *Agent) runsPrimary(ctx context.Context) (bool, error) {
	in, err := a.opts.Host.Inspect(ctx)
	if err != nil {
		return false, err
	}
	up := in.Server == topology.ServerRunning || in.Server == topology.ServerStarting
	return in.Err == "" && up && in.Dir == topology.DirPresent && !in.StandbySignal && !in.RecoverySignal, nil
}
