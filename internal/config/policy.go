package config

import (
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
)

// policy is the planner's default policy with what repool.yaml sets.
func (l *Loaded) policy(p *Pool) plan.Policy {
	c, pol := l.Config.Policy, plan.DefaultPolicy()
	if pol.Methods == nil {
		pol.Methods = map[topology.Method]plan.Mode{}
	}
	for name, mode := range c.Methods {
		if name == "fence" {
			pol.Fence = plan.Mode(mode)
			continue
		}
		pol.Methods[topology.Method(name)] = plan.Mode(mode)
	}
	setBytes(&pol.MaxLagBytes, c.MaxLag, l.sizes.maxLag)
	setBytes(&pol.SpaceHeadroom, c.Headroom, l.sizes.headroom)
	if c.MaxAttempts > 0 {
		pol.MaxAttempts = c.MaxAttempts
	}
	setTime(&pol.BackoffBase, c.BackoffBase)
	setTime(&pol.BackoffMax, c.BackoffMax)
	pol.BackoffMax = max(pol.BackoffMax, pol.BackoffBase)
	setTime(&pol.FollowGrace, c.FollowGrace)
	setTime(&pol.StreamPatience, c.StreamPatience)
	setTime(&pol.NudgeAfter, c.NudgeAfter)
	pol.Custom = p.ResyncCommand != ""
	return pol
}

// setBytes overrides *n if text was given, even with zero.
func setBytes(n *uint64, text string, bytes uint64) {
	if text != "" {
		*n = bytes
	}
}

// setTime overrides *d if a time was given.
func setTime(d *time.Duration, given time.Duration) {
	if given > 0 {
		*d = given
	}
}
