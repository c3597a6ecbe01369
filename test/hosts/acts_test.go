package hosts

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/demo"
	"github.com/repool/repool/test/testpool"
)

// The acts of the main job, with every node on a host of its own, and one more in
// which the primary's host is cut off: over ssh and over TLS.
func TestActs(t *testing.T) {
	for _, over := range []lab.AgentMode{lab.AgentsSSH, lab.AgentsTLS} {
		t.Run(string(over), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			bin := testpool.Binary(t)
			ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
			defer cancel()
			var story strings.Builder
			r, err := demo.Run(ctx, demo.Options{Repool: bin, Over: over, Out: &story})
			if err != nil || !r.OK || len(r.Acts) != 6 {
				t.Errorf("%d acts, a promise was not kept: %v\n%s", len(r.Acts), err, story.String())
			}
		})
	}
}
