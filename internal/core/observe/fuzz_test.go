package observe

import (
	"testing"

	"github.com/repool/repool/internal/core/topology"
)

// FuzzFactsRow reads any row for a server's answer: what cannot be read is an
// error, and never a fact of zero.
func FuzzFactsRow(f *testing.F) {
	f.Add("7189234567890123456", "0/5000060", "00000002", int64(5433), `[{"app_name":"a","state":"streaming","flush":"0/1","replay":"0/1"}]`, `[{"name":"s","restart":"0/1"}]`)
	f.Add("x", "0/5000060", "g", int64(-1), `[`, `{}`)
	f.Fuzz(func(t *testing.T, sysid, lsn, tli string, port int64, senders, slots string) {
		r := factsRow{mayRead: true, sysid: sysid, current: &lsn, replay: &lsn, walTLI: &tli, port: &port, senders: senders, slots: slots}
		var got topology.SQLFacts
		if err := r.into(&got); err != nil {
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
