package dbhost

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// unfinishedPromotion leaves in the stopped node what a promotion leaves that was
// killed: the history of timeline 2, and with segment its first segment.
func (n *node) unfinishedPromotion(segment bool) {
	n.t.Helper()
	p, err := n.ProbeWAL(n.t.Context(), topology.History{TLI: 1})
	if err != nil {
		n.t.Fatal(err)
	}
	wal := filepath.Join(n.dir, "pg_wal")
	writeFile(n.t, filepath.Join(wal, "00000002.history"), fmt.Sprintf("1\t%s\tno recovery target specified\n", p.End))
	if segment {
		size := n.control(resync.Home).SegmentSize
		b := []byte(readFile(n.t, filepath.Join(wal, topology.WALFileName(1, p.End, size))))
		clear(b[uint64(p.End)%size:])
		writeFile(n.t, filepath.Join(wal, topology.WALFileName(2, p.End, size)), string(b))
	}
}

// Hazard 35: one leftover history file above the primary's timeline keeps no node from
// following, and is kept.
func TestUnfinishedPromotionIsSetAside(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ segment, started bool }{
		"the history alone":      {},
		"with its segment":       {segment: true},
		"and somebody starts it": {started: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary, standby := pair(t, setup{})
			standby.crash()
			standby.unfinishedPromotion(c.segment)
			primary.exec("CREATE TABLE t (n int)", "SELECT pg_switch_wal()", "INSERT INTO t VALUES (1)")
			if c.started {
				standby.start()
				standby.until("it does not chase timeline 2", func() bool {
					f, err := standby.Stream(t.Context())
					return err == nil && f.InRecovery && f.Receiver.Status != "streaming"
				})
				standby.standbyOf(primary)
				if err := standby.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				standby.standbyOf(primary)
				standby.start()
			}
			standby.waitStreaming(primary)
			standby.caughtUp(primary)
			if _, err := os.Stat(filepath.Join(standby.workDir, asideDir, "00000002.history")); err != nil {
				t.Error(err)
			}
		})
	}
}

// A line that really went on is no unfinished promotion.
func TestRealTimelineIsNotSetAside(t *testing.T) {
	t.Parallel()
	primary, standby := pair(t, setup{})
	up := primary.upstream()
	primary.crash()
	standby.promote(false)
	standby.exec("CREATE TABLE t (n int)")
	standby.crash()
	wantCode(t, standby.WriteStandby(resync.Home, up, "repool_node1", "repool_node1"), codes.NotOnLine, "timeline")
	if _, err := os.Stat(filepath.Join(standby.dir, "pg_wal", "00000002.history")); err != nil {
		t.Error(err)
	}
}
