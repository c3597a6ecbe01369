package codes

// Failures of runs, as the engine on the node reports them. A node is parked under the code of its last failure. A run
// can also fail with NotStreaming or NoData.
const (
	SlotFailed       Code = "slot-failed"
	UpstreamChanged  Code = "upstream-changed"
	UpstreamLost     Code = "upstream-lost"
	CheckpointFailed Code = "checkpoint-failed"
	NoClearance      Code = "no-clearance"
	ServerRunning    Code = "server-running"
	ServerStopped    Code = "server-stopped"
	StopFailed       Code = "stop-failed"
	StartFailed      Code = "start-failed"
	ServerConfig     Code = "server-config"
	VaultFailed      Code = "vault-failed"
	SettleFailed     Code = "settle-failed"
	RewindFailed     Code = "rewind-failed"
	RewindRefused    Code = "rewind-refused"
	CopyFailed       Code = "copy-failed"
	VerifyFailed     Code = "verify-failed"
	CustomFailed     Code = "custom-failed"
	NoSpace          Code = "no-space"
	MountPoint       Code = "datadir-mountpoint"
	Tablespaces      Code = "tablespaces"
	WALLink          Code = "wal-link"
	OwnFiles         Code = "own-files"
	ConfigMissing    Code = "config-missing"
	SettingsFailed   Code = "settings-failed"
	NotOnLine        Code = "not-on-line"
	Damaged          Code = "damaged"
	HomeOccupied     Code = "home-occupied"
	Cancelled        Code = "cancelled"
	Interrupted      Code = "interrupted"
	Internal         Code = "internal"
)

var runs = []Info{
	{SlotFailed, Refused, "the replication slot on the primary could not be created or used",
		"check the role's REPLICATION attribute and max_replication_slots on the primary: repool check"},
	{UpstreamChanged, Refused, "the primary was no longer the one that the run was started for",
		"nothing to do: the next run uses the current primary"},
	{UpstreamLost, Refused, "the primary could not be reached",
		"check the network and pg_hba.conf from the node to the primary"},
	{CheckpointFailed, Refused, "the checkpoint on the primary failed",
		"GRANT pg_checkpoint TO repool (PostgreSQL 15 and later); repool check shows what older releases need"},
	{NoClearance, Refused, "the controller did not confirm the primary in time",
		"the controller's log says why it refused: journalctl -u repool"},
	{ServerRunning, Refused, "a server was running where none may be",
		"find out what starts it (service manager, cron, a person), and stop that"},
	{ServerStopped, Refused, "the server stopped where it had to run",
		"the run's error has the last lines of its log: repool history --node NODE"},
	{StopFailed, Refused, "the node's server could not be stopped",
		"a process that cannot be killed waits in the kernel; stop it by hand, then: repool release NODE"},
	{StartFailed, Refused, "the node's server did not start",
		"read the last lines of its log (repool history --node NODE), remove the cause, then: repool release NODE"},
	{ServerConfig, Refused,
		"the node's server cannot start for a reason of its own, which no copy of the data would end",
		"correct what the server's messages name; repool tries again when the configuration changes, and now and then"},
	{VaultFailed, Refused, "the node's own WAL could not be saved, so nothing was overwritten",
		"make room for the vault or set vault.directory, then: repool release NODE"},
	{SettleFailed, Refused, "the node's crash recovery in isolation failed",
		"the run's error has details: repool history --node NODE. A base backup comes next"},
	{RewindFailed, Refused, "pg_rewind failed, perhaps half-way",
		"the run's error has details: repool history --node NODE. Never start that directory by hand"},
	{RewindRefused, Refused, "pg_rewind cannot be used on this node",
		"the run's error has details: repool history --node NODE. A base backup comes next"},
	{CopyFailed, Refused, "the base backup failed",
		"check pg_hba.conf (replication), the network and the disk, then: repool release NODE"},
	{VerifyFailed, Refused, "the base backup does not match its manifest",
		"suspect disk, memory or network of either host, then: repool release NODE"},
	{CustomFailed, Refused, "the operator's resync_command failed",
		"fix the command, then: repool release NODE. The directory is as the command left it"},
	{NoSpace, Refused, "there is no room for a copy beside the old directory",
		"make room on the node's file system: repool plan says how much is needed"},
	{MountPoint, Refused, "the data directory is a mount point and cannot be moved",
		"make the data directory a subdirectory of the mount point"},
	{Tablespaces, Refused, "a tablespace's folder on the node cannot be given a second copy beside the first",
		"make the folder, empty or the node's own, and writable for the server's user, then: repool release NODE"},
	{WALLink, Refused, "the folder that pg_wal leads to cannot be given a second one beside it",
		"let pg_wal lead to a folder below the mount point, in one that the server's user may write in, " +
			"then: repool release NODE"},
	{OwnFiles, Refused, "the data directory has something of the node's own that a new copy could not keep",
		"replace links by what they point to and move files of other owners out of it, then: repool release NODE"},
	{ConfigMissing, Refused, "the node's own configuration is missing and was never saved",
		"put postgresql.conf and pg_hba.conf back, then: repool release NODE"},
	{SettingsFailed, Refused, "the standby's settings could not be written",
		"check owner and mode of the data directory and its configuration files, then: repool release NODE"},
	{NotOnLine, Refused, "the node was found to hold WAL of its own after all",
		"nothing to do: a rewind or a base backup follows"},
	{Damaged, Refused, "an interrupted run damaged the directory, and only a base backup can follow",
		"never start that directory by hand; a base backup follows"},
	{HomeOccupied, Refused, "there is another directory where the repaired one belongs",
		"two directories claim to be the node's data; move the wrong one away, then: repool release NODE"},
	{Cancelled, Refused, "the run was cancelled", ""},
	{Interrupted, Refused, "the agent died during the run",
		"if this recurs, read the agent's log: journalctl -u repool-agent"},
	{Internal, Refused, "an unexpected error in the agent",
		"read the agent's log (journalctl -u repool-agent), then: repool release NODE"},
}

// Answers to a person's request that was not granted.
const (
	NotActing  Code = "not-acting"
	Attached   Code = "attached"
	Detached   Code = "detached"
	IsPrimary  Code = "is-primary"
	Busy       Code = "busy"
	BadRequest Code = "bad-request"
	NoSuchNode Code = "no-such-node"
	NotKept    Code = "instruction-not-kept"
)

var requests = []Info{
	{NotActing, Refused, "this controller only watches", "ask the one beside the Pgpool-II that leads the watchdog"},
	{Attached, Refused, "the node is attached already", ""},
	{Detached, Refused, "the node is detached already", ""},
	{IsPrimary, Refused, "the node is the primary, or may be: detaching it would be a failover", ""},
	{Busy, Refused, "the node is being attached or detached at this moment", "try again in a few seconds"},
	{BadRequest, Refused, "the request is not valid", ""},
	{NoSuchNode, Refused, "the pool has no such node", "repool status lists the nodes"},
	{NotKept, Refused, "the node's agent could not be told, and this controller does not act or may not decide it alone",
		"bring the node's agent back, and say it again"},
}

// Records of the history that are about no node.
const (
	HistorySetAside       Code = "history-set-aside"
	HoldsCopyDamaged      Code = "holds-copy-damaged"
	HoldsUnknown          Code = "holds-unknown"
	FailoverCommandBroken Code = "failover-command-broken"
	FailoverCommandRuns   Code = "failover-command-runs"
)

var records = []Info{
	{HistorySetAside, Refused, "the history was damaged and was set aside; a new one has been started",
		"check the disk of the controller's host; the old file is beside the new one"},
	{HoldsCopyDamaged, Refused, "one of the two copies of the holds was damaged and has been written again", ""},
	{HoldsUnknown, Refused, "both copies of the holds are lost, so the whole pool is on hold",
		"make sure that no node has to be left alone, then: repool release all"},
	{FailoverCommandBroken, Refused,
		"Pgpool-II cannot run its failover_command: if the primary fails, nothing is promoted",
		"repool check says what is wrong with it; repool setup writes one that has been tried"},
	{FailoverCommandRuns, OK, "Pgpool-II can run its failover_command again", ""},
}
