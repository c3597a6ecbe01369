package plan

import (
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// DefaultPolicy is what holds where repool.yaml says nothing: everything that
// is safe is done without asking.
func DefaultPolicy() Policy {
	return Policy{
		MaxLagBytes:    16 << 20,
		MaxFactAge:     10 * time.Second,
		FollowGrace:    10 * time.Second,
		StableFor:      10 * time.Second,
		StreamPatience: 15 * time.Second,
		MaxAttempts:    5,
		BackoffBase:    2 * time.Second,
		BackoffMax:     5 * time.Minute,
		NudgeAfter:     5 * time.Second,
		SpaceHeadroom:  1 << 30,
		Fence:          Auto,
		BytesPerSecond: 200 << 20,
	}
}

// Intervals that policy does not set: they keep the planner from repeating a request
// before its effect can show.
const (
	// askAgain is how long a request that leaves no trace in the snapshot may take
	// before it is repeated.
	askAgain = 3 * time.Second
	// runAgain is the same for a run: its journal shows at the agent at once.
	runAgain = 2 * time.Second
	// dropSlotsAgain is the pause between two requests to drop a node's idle slots: it
	// is well, and nothing is urgent.
	dropSlotsAgain = time.Minute
	// aheadFor is longer than any question to a server may take: an answer that
	// comes so long after another one was asked for after it.
	aheadFor = 5 * time.Second
	// failoverPatience is how long after Pgpool-II gave up a primary a missing
	// one counts as a failover under way.
	failoverPatience = 30 * time.Second
	// softBackoff follows a run that ended because the world changed.
	softBackoff = time.Second
	// frozenPatience is how long, after FollowGrace, Pgpool-II may take to carry
	// out the detach of a frozen node before that node's server is killed.
	frozenPatience = 15 * time.Second
	// maxNudges before only a restart of Pgpool-II can help; nudgeMax is the
	// longest pause between two.
	maxNudges = 6
	nudgeMax  = time.Minute
	// maxIgnoredNudges is how many nudges must have left no trace at all, before it is
	// said that Pgpool-II carries out no requests.
	maxIgnoredNudges = 3
	// maxIgnoredRequests and ignoredPatience are how many attaches or detaches, and how long,
	// must have led to nothing at all before the same is said; maxIgnoredChecks is how
	// many of Pgpool-II's health checks of a node must have failed meanwhile
	// without a failover. A failover command and a search for the primary end
	// within failoverPatience.
	maxIgnoredRequests = 4
	maxIgnoredChecks   = 3
	ignoredPatience    = failoverPatience
	// maxAttaches without the node staying attached, before it is parked.
	maxAttaches = 8
)

// modeOf is the policy for one method; a missing one is Auto.
func (p Policy) modeOf(m topology.Method) Mode {
	if mode, ok := p.Methods[m]; ok && mode != "" {
		return mode
	}
	return Auto
}

// fenceMode is the policy for stopping a second primary; empty is Auto.
func (p Policy) fenceMode() Mode {
	if p.Fence == "" {
		return Auto
	}
	return p.Fence
}

// backoff is the pause after the n-th failure: base doubled each time, up to
// most, with ±20 % drawn from node and n, so that nodes that failed together do
// not try again together. The same arguments always give the same pause.
func backoff(base, most time.Duration, node topology.NodeID, n int) time.Duration {
	if n < 1 || base <= 0 {
		return 0
	}
	d := base
	for i := 1; i < n && d < most; i++ {
		d *= 2
	}
	d = min(d, most)
	return d + time.Duration(float64(d)*(0.4*jitter(node, n)-0.2))
}

// jitter is a number in [0, 1) drawn from its arguments (splitmix64's mixing).
func jitter(node topology.NodeID, n int) float64 {
	x := uint64(node+1)<<32 | uint64(uint32(n))
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}
