package resync

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// watch looks at a started standby until it streams.
type watch struct {
	r        *run
	since    time.Time // of the last progress
	answered bool
	best     topology.LSN
	facts    topology.SQLFacts
	last     string // what was seen last, for people
	// looks and replaying count the looks since the last progress, and those of
	// them that saw the standby replay, or wait for something else than WAL.
	looks, replaying int
}

// look asks once. An error means that waiting longer is useless.
func (w *watch) look(ctx context.Context) (streams bool, err error) {
	f, err := w.r.stream(ctx)
	if err != nil {
		w.last = "it does not answer: " + err.Error()
		if st, e := w.r.Host.Server(); e == nil && st == topology.ServerStopped {
			return false, Errorf(codes.NotStreaming, "the server has ended")
		}
		return false, nil
	}
	w.facts = f
	if !f.InRecovery {
		return false, Errorf(codes.ServerRunning, "the server runs as a primary")
	}
	up, rc := w.r.req.Upstream, f.Receiver
	right := rc.SenderPort == up.Port && sameHost(rc.SenderHost, up.Host)
	w.last = describe(f)
	switch {
	case rc.Status != "streaming":
	case !right:
		// Progress on another upstream's stream does not count.
		return false, nil
	case rc.Timeline > up.History.TLI:
		return false, Errorf(codes.UpstreamChanged, "it streams timeline %d, past the primary's %d", rc.Timeline,
			up.History.TLI)
	case rc.Timeline == up.History.TLI:
		return true, nil
	}
	if at := max(f.Replay, f.Receive); !w.answered || at > w.best {
		w.answered, w.best, w.since = true, at, time.Now()
		w.looks, w.replaying = 0, 0
	}
	w.looks++
	if f.Replaying() {
		w.replaying++
	}
	return false, nil
}

// late is the error of a standby that has made no progress for too long. One
// that has WAL to replay is slow, not broken: it asks for its stream later.
func (w *watch) late(ctx context.Context) error {
	f := &w.facts
	switch {
	case w.answered && f.ReplayPaused:
		return w.evidence(Errorf(codes.ReplayPaused, "its replay is paused at %s, so it does not stream yet", f.Replay))
	case w.looks > 0 && 2*w.replaying > w.looks:
		return w.evidence(Errorf(codes.ReplayStalled, "it still replays the WAL that it has (%s), with no progress "+
			"for %s at %s, so it does not stream yet", f.Startup, w.r.Patience, f.Replay))
	}
	if err := w.r.slotHeld(ctx); err != nil {
		return err
	}
	return w.evidence(Errorf(codes.NotStreaming, "no progress for %s: %s", w.r.Patience, w.last))
}

// slotHeld is the error of a node whose slot another session uses; nil where none
// does, or where the upstream does not say.
func (r *run) slotHeld(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	holder, err := r.Upstream.SlotHolder(ctx, r.req.Upstream, r.req.Slot)
	if err != nil || holder == "" {
		return nil
	}
	return Errorf(codes.SlotHeld, "slot %s on node %s is in use by another session: %s", r.req.Slot,
		r.req.Upstream.Node, holder)
}

// note says what was reached.
func (w *watch) note() string {
	return fmt.Sprintf("%s, replayed to %s", describe(w.facts), w.facts.Replay)
}

// evidence adds the end of the server's log, where the host can give it.
func (w *watch) evidence(err error) error {
	t, ok := w.r.Host.(LogTailer)
	if !ok {
		return err
	}
	if tail := strings.TrimSpace(t.LogTail()); tail != "" {
		return fmt.Errorf("%w\nlast lines of its log:\n%s", err, tail)
	}
	return err
}

// describe says in one line what the WAL receiver does.
func describe(f topology.SQLFacts) string {
	rc := f.Receiver
	if rc.Status == "" {
		return fmt.Sprintf("no WAL receiver, replayed to %s", f.Replay)
	}
	return fmt.Sprintf("%s from %s:%d on timeline %d", rc.Status, rc.SenderHost, rc.SenderPort, rc.Timeline)
}

// sameHost compares a sender's host with the one configured. An empty one
// means libpq's own socket directory, which the receiver reports as a path.
func sameHost(got, want string) bool {
	return got == want || want == "" && strings.HasPrefix(got, "/")
}

// slotLook is how often a slot that is in use is looked at.
const slotLook = 200 * time.Millisecond

// awaitSlot waits until no session uses the node's slot: that of a server which
// was stopped just now ends at once, that of a host which has vanished does not.
func (r *run) awaitSlot(ctx context.Context) error {
	tick := time.NewTicker(slotLook)
	defer tick.Stop()
	begin := time.Now()
	for {
		held := r.slotHeld(ctx)
		if held == nil || time.Since(begin) >= r.Patience {
			return held
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
