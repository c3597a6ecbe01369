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
		// Progress on somebody else's stream is none.
		return false, nil
	case rc.Timeline > up.History.TLI:
		return false, Errorf(codes.UpstreamChanged, "it streams timeline %d, past the primary's %d", rc.Timeline,
			up.History.TLI)
	case rc.Timeline == up.History.TLI:
		return true, nil
	}
	if at := max(f.Replay, f.Receive); !w.answered || at > w.best {
		w.answered, w.best, w.since = true, at, time.Now()
	}
	return false, nil
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
