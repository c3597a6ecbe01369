package plan

import (
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// TestHoldNamesTheCommandThatEndsIt: releasing one node does not end a hold of
// the pool.
func TestHoldNamesTheCommandThatEndsIt(t *testing.T) {
	t.Parallel()
	for want, holds := range map[string][]Hold{
		"repool release 1":   {{Node: 1, Who: "ann"}},
		"repool release all": {{Node: topology.NoNode, Who: "ann"}},
	} {
		s := newScene(t).learn()
		s.mem.Holds = holds
		if d := s.step()[1]; d.Code != codes.OnHold || d.Hint != want {
			t.Errorf("%s, %q, want the hint %q", d.Code, d.Hint, want)
		}
	}
}
