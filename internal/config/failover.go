package config

import "time"

// Failover is policy.failover: when the failover hook may promote a standby.
type Failover struct {
	// MaxLag is how much of the lost primary's last known WAL the new one may lack;
	// empty: as much as it lacks.
	MaxLag string `yaml:"max_lag"` // bytes, such as 16MB
	// RequireSynchronous is promised, always or never; see the constants.
	RequireSynchronous string `yaml:"require_synchronous"`
	// MinAnswers is how many standbys of the primary's line must have answered; default 1.
	MinAnswers int `yaml:"min_answers"`
	// Wait is how long the hook waits for the standbys that are missing; default 10s.
	Wait time.Duration `yaml:"wait"`
}

// The values of policy.failover.require_synchronous.
const (
	// SyncPromised keeps acknowledged commits wherever PostgreSQL promised them: with
	// synchronous_standby_names set, only a standby is promoted that was synchronous and
	// holds them all. The default.
	SyncPromised = "promised"
	// SyncAlways promotes nothing where no such standby is on record.
	SyncAlways = "always"
	// SyncNever promotes whichever standby has the most WAL.
	SyncNever = "never"
)

// FailoverRules is Failover as the hook uses it. The zero value is the default, without waiting.
type FailoverRules struct {
	// MaxLag is in bytes; nil: no limit.
	MaxLag *uint64
	// Synchronous is one of the constants above; empty: SyncPromised.
	Synchronous string
	// MinAnswers of zero is one.
	MinAnswers int
	Wait       time.Duration
}

// failoverWait is the default of policy.failover.wait.
const failoverWait = 10 * time.Second

// failover is what the hook goes by.
func (l *Loaded) failover() FailoverRules {
	f := l.Config.Policy.Failover
	r := FailoverRules{Synchronous: f.RequireSynchronous, MinAnswers: f.MinAnswers, Wait: failoverWait}
	if f.MaxLag != "" {
		r.MaxLag = &l.sizes.failoverLag
	}
	setTime(&r.Wait, f.Wait)
	return r
}

func (f Failover) validate(ps *problems) (maxLag uint64) {
	if f.RequireSynchronous != "" {
		oneOf(ps, "policy.failover.require_synchronous", f.RequireSynchronous,
			[]string{SyncPromised, SyncAlways, SyncNever})
	}
	if f.MinAnswers < 0 {
		ps.addAt("policy.failover.min_answers", "must be ≥ 0, got %d", f.MinAnswers)
	}
	notNegative(ps, "policy.failover.wait", f.Wait)
	return size(ps, "policy.failover.max_lag", f.MaxLag)
}
