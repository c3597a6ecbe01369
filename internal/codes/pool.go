package codes

// The pool as a whole.
const (
	NotLeader        Code = "not-leader"
	PoolUnreachable  Code = "pool-unreachable"
	PoolBlind        Code = "pool-blind"
	PoolUnresponsive Code = "pool-unresponsive"
	OnHold           Code = "on-hold"
	Quarantined      Code = "quarantined"
	NotInPool        Code = "not-in-pool"
)

var pool = []Info{
	{NotLeader, OK, "the local Pgpool-II is not the watchdog leader with quorum: this controller only watches", ""},
	{PoolUnreachable, Refused, "the local Pgpool-II does not answer over PCP",
		"look at Pgpool-II's log, and check pcp_port and .pcppass: repool check"},
	{PoolBlind, Work, "Pgpool-II does not recognise the primary",
		"restart Pgpool-II: after losing a follow_primary child it never looks for a primary again"},
	{PoolUnresponsive, Refused, "Pgpool-II answers, accepts requests, and executes none",
		"restart Pgpool-II; if the last primary is down, start its server first: " +
			"without a primary, a restart may not help"},
	{OnHold, Refused, "an operator has put the node or the pool on hold", "repool release NODE"},
	{Quarantined, Refused, "Pgpool-II has quarantined the node because it lacks quorum",
		"bring the other Pgpool-II members of the watchdog back"},
	{NotInPool, Refused, "the running Pgpool-II does not know the node", "reload Pgpool-II: pcp_reload_config"},
}

// The primary, or its absence.
const (
	Primary               Code = "primary"
	PrimaryDetached       Code = "primary-detached"
	NoPrimary             Code = "no-primary"
	FailoverRunning       Code = "failover-running"
	PrimaryUnreachable    Code = "primary-unreachable"
	PrimaryStale          Code = "primary-stale"
	PrimaryAmbiguous      Code = "primary-ambiguous"
	PrimaryContested      Code = "primary-contested"
	PrimaryHistoryUnknown Code = "primary-history-unknown"
	SynchronousMissing    Code = "synchronous-missing"
	TooFewAnswers         Code = "too-few-answers"
	TooFarBehind          Code = "too-far-behind"
)

var primary = []Info{
	{Primary, OK, "the node is the pool's primary", ""},
	{PrimaryDetached, Work, "the one unambiguous primary is detached: nobody serves writes", ""},
	{NoPrimary, Refused, "no node accepts writes, and no failover is in progress",
		"start the last primary, or promote a standby: repool history shows what happened"},
	{FailoverRunning, Work, "Pgpool-II gave up its primary a moment ago", ""},
	{PrimaryUnreachable, Refused, "the last primary does not answer, but seems to be alive",
		"look at the primary's host; Pgpool-II decides whether to fail over"},
	{PrimaryStale, Refused, "the only node that accepts writes is on a line that the pool has left",
		"start the newer primary; if its data are lost for good, agree to overwrite it: repool resync ID --yes (ID: the " +
			"newer primary)"},
	{PrimaryAmbiguous, Refused, "several nodes may be the primary, and their lines do not settle which",
		"stop the node that is not to be the primary, or agree to overwrite it: repool resync ID --yes (ID: that node)"},
	{PrimaryContested, Refused, "a node accepts writes on a newer line while Pgpool-II routes writes to another",
		"stop the node that is not to be the primary, or agree to overwrite it: repool resync ID --yes (ID: that node)"},
	{SynchronousMissing, Refused,
		"the primary is lost, and no standby that answers is known to have every acknowledged commit",
		"start the synchronous standbys that are missing: one of them is then promoted; " +
			"or promote another by the psql line in the reason, and lose what it does not have"},
	{TooFewAnswers, Refused, "the primary is lost, and fewer standbys answer than policy.failover.min_answers wants",
		"start the standbys that are missing; or promote one by the psql line in the reason"},
	{TooFarBehind, Refused, "the primary is lost, and no standby is within policy.failover.max_lag of it",
		"start the standby that has more, or the last primary; or promote one by the psql line in the reason"},
	{PrimaryHistoryUnknown, Work, "the primary's timeline history is not known yet",
		"if this lasts, look at the agent on the primary's host"},
}
