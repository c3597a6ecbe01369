package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// promotion compares the failover hook with a bare pg_promote. Pgpool-II and
// the controller stand still, so that nothing else promotes.
func (b *bench) promotion(ctx context.Context) error {
	var hand, hook []time.Duration
	for range b.o.Rounds {
		for _, byHook := range []bool{false, true} {
			took, err := b.promoteOnce(ctx, byHook)
			if err != nil {
				return err
			}
			if byHook {
				hook = append(hook, took)
			} else {
				hand = append(hand, took)
			}
		}
	}
	m := versus("promotion hook, beyond a bare pg_promote", hand, hook, 1, 300*time.Millisecond)
	b.rep.Measures = append(b.rep.Measures, m)
	return nil
}

// promoteOnce kills the primary with everything else stopped, promotes one way
// or the other, and lets repool make the pool whole again.
func (b *bench) promoteOnce(ctx context.Context, byHook bool) (time.Duration, error) {
	old, err := b.l.WaitPrimary(ctx)
	if err != nil {
		return 0, err
	}
	next := (old + 1) % len(b.l.Nodes)
	if err := b.level(ctx, old); err != nil {
		return 0, err
	}
	if err := b.l.StopController(ctx, 0); err != nil {
		return 0, err
	}
	if err := b.l.StopPgpool(ctx, 0); err != nil {
		return 0, err
	}
	if err := b.l.KillNode(ctx, old); err != nil {
		return 0, err
	}
	begun := time.Now()
	if byHook {
		o, n := b.l.Nodes[old], b.l.Nodes[next]
		// As Pgpool-II runs it: the flags stand before its arguments.
		cmd := b.l.Command(ctx, b.l.RepoolBin(), "hook", "failover", "--config", b.l.RepoolConf(), strconv.Itoa(o.ID),
			o.Host, strconv.Itoa(o.Port), o.DataDir, strconv.Itoa(n.ID), n.Host,
			strconv.Itoa(o.ID), strconv.Itoa(o.ID), strconv.Itoa(n.Port), n.DataDir, o.Host, strconv.Itoa(o.Port))
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	} else {
		err = b.l.Exec(ctx, next, "SELECT pg_promote(true, 60)")
	}
	took := time.Since(begun)
	if err != nil {
		return 0, fmt.Errorf("promote: %w", err)
	}
	// Pgpool-II remembers every node as up: without its status file it looks again.
	if err := b.l.RemovePgpoolStatus(0); err != nil {
		return 0, err
	}
	if err := b.l.StartPgpool(ctx, 0); err != nil {
		return 0, err
	}
	if err := b.l.StartController(ctx, 0); err != nil {
		return 0, err
	}
	return took, b.whole(ctx)
}
