package controller

import (
	"testing"
	"time"
)

// TestABrokenFailoverCommandIsRecorded holds that it is recorded once when it breaks,
// once when it runs again, and shown as long as it lasts.
func TestABrokenFailoverCommandIsRecorded(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		c, stop := w.run()
		defer stop()
		w.pass(5 * time.Second)
		w.change(func() { w.failoverTrouble = "it is missing" })
		w.pass(time.Minute)
		if got := c.Status().Snapshot.FailoverTrouble; got != "it is missing" {
			t.Errorf("the status has %q", got)
		}
		w.change(func() { w.failoverTrouble = "" })
		w.pass(5 * time.Second)
		if got, want := codesOf(w.events("hook")), "failover-command-broken failover-command-runs"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
