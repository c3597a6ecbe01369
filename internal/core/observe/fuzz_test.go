package observe

import (
	"testing"

	"github.com/repool/repool/internal/core/topology"
)

// FuzzLists reads any text for a server's senders and slots: each position is
// one that PostgreSQL could have printed.
func FuzzLists(f *testing.F) {
	f.Add(`[{"app_name":"a","state":"streaming","flush":"0/1","replay":"0/1"}]`, `[{"name":"s","restart":"0/1"}]`)
	f.Add(`[`, `{}`)
	f.Fuzz(func(t *testing.T, senders, slots string) {
		var got topology.SQLFacts
		if readLists(&got, senders, slots) != nil {
			return
		}
		for _, s := range got.Senders {
			if again, err := topology.ParseLSN(s.Flush.String()); err != nil || again != s.Flush {
				t.Errorf("flush %s is read as %s, %v", s.Flush, again, err)
			}
		}
		for _, s := range got.Slots {
			if again, err := topology.ParseLSN(s.Restart.String()); err != nil || again != s.Restart {
				t.Errorf("restart %s is read as %s, %v", s.Restart, again, err)
			}
		}
	})
}
