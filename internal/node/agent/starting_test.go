package agent

import (
	"testing"
	"testing/synctest"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/test/fakes/fakehost"
)

// TestStartingStandbyFollows: a standby that is short of a consistent point answers
// nobody, and waits for ever for WAL of an upstream that is gone. It is pointed to
// the primary all the same, without a restart.
func TestStartingStandbyFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, fakehost.NewSolo(fakehost.StoppedStandby()))
		r.w.OutsideStart()
		r.w.SetStarting()
		if st := r.run(topology.MethodFollow); st.Outcome != topology.RunDone {
			t.Errorf("%s %s: %s", st.Outcome, st.Code, st.Error)
		}
		r.healed()
	})
}
