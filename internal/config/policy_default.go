package config

import (
	"time"

	"github.com/repool/repool/internal/plan"
)

// defaultPolicy is what holds where repool.yaml says nothing.
func defaultPolicy() plan.Policy {
	return plan.Policy{
		MaxLagBytes:    16 << 20,
		MaxFactAge:     5 * time.Second,
		FollowGrace:    5 * time.Second,
		StableFor:      5 * time.Second,
		StreamPatience: 15 * time.Second,
		MaxAttempts:    5,
		BackoffBase:    2 * time.Second,
		BackoffMax:     5 * time.Minute,
		NudgeAfter:     5 * time.Second,
		SpaceHeadroom:  1 << 30,
		Fence:          plan.Auto,
		BytesPerSecond: 100 << 20,
	}
}
