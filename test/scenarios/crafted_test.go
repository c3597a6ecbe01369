package scenarios

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/metrics"
)

// crafted is a controller that does not exist: repool's own exporter, fed by
// hand, and scraped by the real Prometheus under a job of its own. It is for what
// no pool can be brought to within a test: Pgpool-II 4.3 refuses no attach of a
// node that it knows; a loop that stands still while /metrics answers would be a
// bug; a notification is given up after an hour or behind a hundred others; a
// certificate lasts for months.
type crafted struct {
	address string
	metrics *metrics.Metrics

	mu     sync.Mutex // guards what follows
	passes uint64
	stuck  time.Time // when its loop stood still; zero: it goes round
	lost   uint64    // notifications
	free   uint64    // bytes on the disk of its node
	slot   topology.LSN
	held   uint64        // transactions that its slot keeps from VACUUM
	expiry time.Duration // of its certificate, from now
}

const (
	craftedWAL    topology.LSN = 64 << 30
	craftedExpiry              = 365 * 24 * time.Hour
)

func craft(t *testing.T) *crafted {
	t.Helper()
	c := &crafted{free: 100 << 30, slot: craftedWAL, expiry: craftedExpiry}
	c.metrics = metrics.New(func() []metrics.Receiver {
		c.mu.Lock()
		defer c.mu.Unlock()
		return []metrics.Receiver{{Name: "webhook", Lost: c.lost}}
	})
	c.metrics.Certificates(func() []metrics.Certificate {
		c.mu.Lock()
		defer c.mu.Unlock()
		return []metrics.Certificate{{Holder: "controller", Name: "crafted", NotAfter: time.Now().Add(c.expiry)}}
	})
	answer := c.metrics.Handler(slog.New(slog.DiscardHandler))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.metrics.Passed(c.status())
		answer.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	c.address = strings.TrimPrefix(s.URL, "http://")
	return c
}

// status is a healthy pool of one node but for what is spoilt.
func (c *crafted) status() control.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.stuck
	if at.IsZero() {
		at = time.Now()
	}
	c.passes++
	src := topology.Source{At: at}
	return control.Status{At: at, Started: at, Version: "crafted", Acting: true, Pass: c.passes,
		Snapshot: topology.Snapshot{Taken: at,
			Pools: []topology.PoolView{{Source: src, Endpoint: "crafted",
				Nodes: []topology.PoolNode{{Status: topology.PoolUp, Role: "primary"}}}},
			Nodes: []topology.Node{{Host: "crafted", Port: 5432,
				Agent: topology.Inspection{Source: src, Dir: topology.DirPresent, Server: topology.ServerRunning,
					FreeBytes: c.free},
				SQL: topology.SQLFacts{Source: src, Timeline: 1, Current: craftedWAL,
					Slots: []topology.Slot{{Name: "forgotten", Physical: true, Restart: c.slot, WALStatus: "extended",
						Horizon: true, XminAge: c.held}}}}},
		}}
}

// spoil brings about what the alerts of a crafted controller wait for; with
// disks, those of small disks too.
func (c *crafted) spoil(disks bool) {
	for range 5 {
		c.metrics.Happened(event.Event{Kind: "attach", Code: "attach-refused"})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost += 2
	c.expiry = 10 * 24 * time.Hour
	c.held = 60_000_000
	c.stuck = time.Now().Add(-3 * time.Minute)
	if disks {
		c.free, c.slot = 1<<30, craftedWAL-2<<30
	}
}

// mend ends what spoil began.
func (c *crafted) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck, c.free, c.slot, c.expiry, c.held = time.Time{}, 100<<30, craftedWAL, craftedExpiry, 0
}
