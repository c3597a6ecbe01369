package codes

// A node that is well, on its way, or in a state that repool repairs.
const (
	Healthy               Code = "healthy"
	IdleSlots             Code = "idle-slots"
	Ready                 Code = "ready"
	Attaching             Code = "attaching"
	Replaying             Code = "replaying"
	Starting              Code = "starting"
	ServerStopping        Code = "server-stopping"
	Resyncing             Code = "resyncing"
	BackingOff            Code = "backing-off"
	AttachedSecondPrimary Code = "attached-second-primary"
	AttachedDiverged      Code = "attached-diverged"
	AttachedDown          Code = "attached-down"
	AttachedNotStreaming  Code = "attached-not-streaming"
	SecondPrimary         Code = "second-primary"
	StandbyDown           Code = "standby-down"
	OldPrimaryOnLine      Code = "old-primary-on-line"
	WrongUpstream         Code = "wrong-upstream"
	NotStreaming          Code = "not-streaming"
	Diverged              Code = "diverged"
	WALGone               Code = "wal-gone"
	NoData                Code = "no-data"
	HalfDone              Code = "half-done"
	GarbledControl        Code = "garbled-control"
)

var node = []Info{
	{Healthy, OK, "attached, and streams from the primary", ""},
	{IdleSlots, Work, "well, and has replication slots of repool's that nobody uses on a standby: they are dropped, " +
		"since they keep WAL and hold back VACUUM on the primary",
		"if they stay, drop them by hand on that node: repool check prints the commands"},
	{Ready, Work, "passes every check of the gate: it is attached", ""},
	{Attaching, Work, "its attach was requested, and Pgpool-II does not show it yet", ""},
	{Replaying, Work, "has WAL to replay before it can stream, or before it passes the gate", ""},
	{Starting, Work, "its server is starting and accepts no connections yet", ""},
	{ServerStopping, Work, "its server is shutting down", ""},
	{Resyncing, Work, "a run is in progress on it", ""},
	{BackingOff, Work, "its last run failed; the next one waits a little", ""},
	{AttachedSecondPrimary, Work, "attached, and accepts writes beside the primary: it is detached", ""},
	{AttachedDiverged, Work, "attached, and holds WAL that the primary does not have: it is detached", ""},
	{AttachedDown, Work, "attached, and its data directory is missing or must be overwritten: it is detached", ""},
	{AttachedNotStreaming, Work, "attached, and too long without a stream from the primary: it is detached", ""},
	{SecondPrimary, Work, "accepts writes beside the primary, or is about to: its server is stopped",
		"stop its server by hand"},
	{StandbyDown, Work, "a standby on the primary's line whose server is down: it is started", ""},
	{OldPrimaryOnLine, Work, "a stopped former primary that has lost nothing: it is adopted as a standby", ""},
	{WrongUpstream, Work, "a running standby on the primary's line that follows another node: " +
		"it is pointed to the primary", ""},
	{NotStreaming, Work, "a running standby that is set to follow the primary and does not stream",
		"read its server's log, and check pg_hba.conf, the password file and the network towards the primary: repool check"},
	{Diverged, Work, "holds WAL that the primary does not have: that WAL is saved, then the node is rewound or copied",
		"repool plan shows why each method is not possible"},
	{WALGone, Work, "the primary no longer has the WAL that it needs: it is copied again", ""},
	{NoData, Work, "its data directory is missing or empty: it is copied",
		"if its file system is merely not mounted: repool hold NODE, and mount it"},
	{HalfDone, Work, "an earlier run was interrupted while it changed the data: the node is copied again", ""},
	{GarbledControl, Work, "its control file cannot be read: it is copied again, unless its server runs",
		"look at the directory; stop the server if the node may be copied again"},
}

// What repool refuses, or cannot judge.
const (
	Parked           Code = "parked"
	Flapping         Code = "flapping"
	ForeignSystem    Code = "foreign-system"
	ForeignDirectory Code = "foreign-directory"
	VersionMismatch  Code = "version-mismatch"
	SettingsTooLow   Code = "settings-too-low"
	NoSlots          Code = "no-slots"
	NoSenders        Code = "no-senders"
	LineageUnknown   Code = "lineage-unknown"
	UnrelatedHistory Code = "unrelated-history"
	FactsStale       Code = "facts-stale"
	AgentUnreachable Code = "agent-unreachable"
	AgentVersionSkew Code = "agent-version-skew"
	AgentWrongNode   Code = "agent-wrong-node"
	AgentForeign     Code = "agent-foreign-system"
	AgentNotAllowed  Code = "agent-not-allowed"
	AgentCertificate Code = "agent-certificate"
	AgentHostKey     Code = "agent-host-key"
	AgentNotRunning  Code = "agent-not-running"
	ServerSilent     Code = "server-silent"
	ServerElsewhere  Code = "server-elsewhere"
	Frozen           Code = "frozen"
	ReplayPaused     Code = "replay-paused"
	ReplayStalled    Code = "replay-stalled"
	SlotHeld         Code = "slot-held"
	NeedsConsent     Code = "needs-consent"
	NotAllowed       Code = "not-allowed"
)

var refusals = []Info{
	{Parked, Refused, "repool has given up on the node", "remove the cause, then: repool release NODE"},
	{Flapping, Refused, "attached again and again, and it never stays attached: parked",
		"look at Pgpool-II's health check of the node, then: repool release NODE"},
	{ForeignSystem, Refused, "the node holds another cluster's data (system identifier)",
		"if its data are not needed, stop its server and move its data directory away: the node is then copied again"},
	{ForeignDirectory, Refused, "the data directory is not empty and holds no PostgreSQL data",
		"move its contents away"},
	{VersionMismatch, Refused, "the node's data are of another major version than the primary's",
		"upgrade the node, or move its data directory away"},
	{SettingsTooLow, Refused, "a setting is lower than the primary's, and a standby would refuse to start",
		"raise it in the node's postgresql.conf"},
	{NoSlots, Refused, "the primary has no replication slot left",
		"drop unused slots, or raise max_replication_slots on the primary"},
	{NoSenders, Refused, "the primary has no WAL sender left", "raise max_wal_senders on the primary"},
	{LineageUnknown, Refused, "it cannot be determined whether the node's WAL is the primary's",
		"look at the agents on the node and on the primary; if the node's data are not needed, move its data " +
			"directory away, at its place or in the work directory where an interrupted run has left it"},
	{UnrelatedHistory, Refused, "the node's history shares no timeline with the primary's",
		"if its data are not needed: repool resync NODE --yes"},
	{FactsStale, Refused, "what is known about the node is outdated, incomplete or contradictory",
		"if this lasts, look at the agent on the node's host"},
	{AgentUnreachable, Refused, "the node's agent does not answer",
		"start it on the node's host: systemctl start repool-agent"},
	{AgentVersionSkew, Refused, "the node's agent and this controller are more than one release apart",
		"upgrade the older of the two"},
	{AgentWrongNode, Refused, "another node's agent answers at the address of this node's",
		"correct the node's agent in repool.yaml, or agent.node on that host"},
	{AgentForeign, Refused, "the agent at the node's address has another cluster's data",
		"correct the node's agent in repool.yaml; " +
			"if its data are not needed, stop its server and move its data directory away"},
	{AgentNotAllowed, Refused, "the node's agent, or its ssh server, does not accept this controller",
		"add the controller to agent.controllers on that host, " +
			"or add the line that repool setup prints to authorized_keys there"},
	{AgentCertificate, Refused, "a certificate between this controller and the node's agent is not accepted",
		"repool certs show lists them; repool certs renew FILE renews one"},
	{AgentHostKey, Refused, "the host's ssh key is not the known one",
		"find out why; only then correct known_hosts: ssh-keygen -R HOST"},
	{AgentNotRunning, Refused, "the node's host answers over ssh, but no agent is running there",
		"start it on the node's host: systemctl start repool-agent"},
	{ServerSilent, Refused, "the node's server runs and does not answer to SQL",
		"log in by hand as repool's role: pg_hba.conf, password, connection limit"},
	{ServerElsewhere, Refused, "the node's server runs, and does not listen where pgpool.conf expects it",
		"correct port, listen_addresses or unix_socket_directories of the server and restart it, or correct " +
			"backend_hostnameNODE and backend_portNODE in pgpool.conf"},
	{Frozen, Refused, "the node's server is frozen by SIGSTOP", "continue its processes (kill -CONT), or stop it"},
	{ReplayPaused, Refused, "the node's replay is paused",
		"run on it: SELECT pg_wal_replay_resume()"},
	{ReplayStalled, Refused, "the node's replay does not move, or is slow by design; it is waited for",
		"look for conflicting queries, recovery_min_apply_delay, restore_command and slow disks on it"},
	{SlotHeld, Refused, "another session uses the node's replication slot on the primary, so the node cannot stream",
		"the session of a host that has vanished ends after wal_sender_timeout; the reason says how to end it by hand"},
	{NeedsConsent, Refused, "the policy asks for a person's consent first", "repool resync NODE --yes"},
	{NotAllowed, Refused, "the policy forbids every method that would help",
		"change policy.methods in repool.yaml"},
}
