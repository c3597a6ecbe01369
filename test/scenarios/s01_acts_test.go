package scenarios

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/lab/demo"
	"github.com/repool/repool/test/testpool"
)

// S1: the five acts of the demo, in both layouts, with its own proof: every
// node attached, the copies equal, each acknowledged row present or in a
// vault, no second primary ever attached.
func TestS01FiveActs(t *testing.T) {
	for _, layout := range []lab.Layout{lab.LayoutPlain, lab.LayoutDebian} {
		t.Run(string(layout), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			bin := testpool.Binary(t)
			ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
			defer cancel()
			var story strings.Builder
			r, err := demo.Run(ctx, demo.Options{Repool: bin, Layout: layout, Out: &story})
			if t.Failed() || err != nil || !r.OK {
				t.Errorf("a promise was not kept: %v\n%s", err, story.String())
			}
			checkActs(t, r)
		})
	}
}

// checkActs asserts what the demo's own verdict leaves open.
func checkActs(t *testing.T, r demo.Report) {
	t.Helper()
	want := []struct {
		method topology.Method
		lost   bool
	}{{topology.MethodAdopt, false}, {topology.MethodRewind, true}, {topology.MethodStart, false},
		{topology.MethodBaseBackup, false}, {topology.MethodRewind, true}}
	if len(r.Acts) != len(want) {
		t.Fatalf("%d acts were played, want %d", len(r.Acts), len(want))
	}
	for i, w := range want {
		a := r.Acts[i]
		if a.Method != string(w.method) || !a.Healed {
			t.Errorf("act %d (%s): healed %v by %q, want %s: %s", a.Number, a.Title, a.Healed, a.Method, w.method, a.Note)
		}
		if w.lost != (a.LostCommits > 0) || w.lost != (a.VaultBytes > 0) {
			t.Errorf("act %d (%s): %d lost commits and %d bytes in the vault", a.Number, a.Title, a.LostCommits, a.VaultBytes)
		}
		if copies := w.method == topology.MethodRewind || w.method == topology.MethodBaseBackup; copies != (a.Bytes > 0) {
			t.Errorf("act %d (%s): %d bytes copied by %s", a.Number, a.Title, a.Bytes, a.Method)
		}
	}
	if r.AckedRows == 0 || r.VaultedRows == 0 || r.Samples == 0 {
		t.Errorf("the proof has looked at nothing: %+v", r)
	}
}
