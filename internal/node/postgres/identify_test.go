package postgres

import (
	"testing"

	"github.com/repool/repool/internal/core/topology"
)

// TestTimelineOfAnAnswer: what is being written or received counts before the
// checkpoint's timeline, which lags behind a switch.
func TestTimelineOfAnAnswer(t *testing.T) {
	t.Parallel()
	three, four := int64(3), int64(4)
	for name, c := range map[string]struct {
		row  row
		want topology.TimelineID
	}{
		"a primary that was promoted a moment ago": {row{checkpointTLI: 2, walTLI: &three}, 3},
		"a standby that streams a newer timeline":  {row{inRecovery: true, checkpointTLI: 2, receivedTLI: &four}, 4},
		"a standby without a WAL receiver":         {row{inRecovery: true, checkpointTLI: 2}, 2},
	} {
		c.row.sysid = "7"
		f, err := c.row.facts()
		if err != nil || f.Timeline != c.want {
			t.Errorf("%s: timeline %s, %v; want %s", name, f.Timeline, err, c.want)
		}
	}
}

// FuzzRow reads any row for a server's answer: what cannot be read is an error,
// never a fact of zero.
func FuzzRow(f *testing.F) {
	f.Add("7189234567890123456", "0/5000060", int64(5433))
	f.Add("x", "0/5000060", int64(-1))
	f.Add("", "0", int64(0))
	f.Add("\xe4\xe4\xcb\xe0", "0", int64(0))
	f.Fuzz(func(t *testing.T, sysid, lsn string, port int64) {
		r := row{sysid: sysid, written: &lsn, replayed: &lsn, port: &port}
		got, err := r.facts()
		if err != nil {
			return
		}
		if want, err := topology.ParseLSN(lsn); err != nil || got.Current != want || got.Replay != want {
			t.Errorf("%q is read as %s", lsn, got.Current)
		}
		if got.Receiver.SenderPort != int(port) {
			t.Errorf("port %d is read as %d", port, got.Receiver.SenderPort)
		}
	})
}
