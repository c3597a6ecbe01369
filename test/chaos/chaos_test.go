package chaos

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/lab/chaos"
	"github.com/repool/repool/test/testpool"
)

var (
	length = flag.Duration("time", 5*time.Minute, "how long to break the asynchronous pool, and twice as long as the synchronous one; healing and counting come on top")
	// Both have found something: 7 a Pgpool-II that made no failover and of which
	// repool said nothing, 32 one that carried out no detach.
	seeds = flag.String("seeds", "7,32", "two seeds: of the asynchronous and of the synchronous pool")
)

// healing is how much longer than its faults a run may take: the last faults
// are healed within three minutes, and counting has a minute.
const healing = 5 * time.Minute

func TestChaos(t *testing.T) {
	both, err := parseSeeds(*seeds)
	if err != nil {
		t.Fatal(err)
	}
	bin := testpool.Binary(t)
	for i, name := range []string{"asynchronous", "synchronous"} {
		o := chaos.Options{Repool: bin, Seed: both[i], Time: *length, Sync: name == "synchronous"}
		if o.Sync {
			o.Time /= 2
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), o.Time+healing)
			defer cancel()
			o.Out = t.Output()
			r, err := chaos.Run(ctx, o)
			if e := r.Write(t.Output()); e != nil {
				t.Error(e)
			}
			sync := ""
			if o.Sync {
				sync = " --sync"
			}
			switch {
			case err != nil:
				t.Errorf("seed %d could not be run to its end; what there is of the pool is in %s: %v", o.Seed, r.Dir, err)
			case !r.OK:
				t.Errorf("seed %d: a promise was not kept; the pool's logs are in %s; again: repool-lab chaos --seed %d --time %s%s", o.Seed, r.Dir, o.Seed, o.Time, sync)
			case r.Rounds == 0 || r.Acked == 0 || len(r.Faults) == 0:
				t.Errorf("seed %d: nothing was tried", o.Seed)
			}
		})
	}
}

// parseSeeds reads "7,32".
func parseSeeds(text string) (both [2]uint64, err error) {
	words := strings.Split(text, ",")
	if len(words) != len(both) {
		return both, fmt.Errorf("-seeds %q: want two numbers with a comma between", text)
	}
	for i, w := range words {
		if both[i], err = strconv.ParseUint(strings.TrimSpace(w), 10, 64); err != nil {
			return both, fmt.Errorf("-seeds %q: %w", text, err)
		}
	}
	return both, nil
}
