package plan

import (
	"slices"
	"strings"

	"github.com/repool/repool/internal/core/topology"
)

// CodeInfo documents one code. docs/runbook.md has an entry for each.
type CodeInfo struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"` // what a decision under it usually is
	Means    string   `json:"means"`
	// Do is what a person can do; empty when nobody needs to. NODE in it stands
	// for the node's id.
	Do string `json:"do,omitempty"`
}

func (c CodeInfo) hint(n topology.NodeID) string {
	return strings.ReplaceAll(c.Do, "NODE", n.String())
}

// Codes lists every code that a decision or a parked node can have, sorted.
func Codes() []CodeInfo {
	all := slices.Concat(poolCodes, primaryCodes, nodeCodes, refusalCodes, runCodes)
	slices.SortFunc(all, func(a, b CodeInfo) int { return strings.Compare(string(a.Code), string(b.Code)) })
	return all
}

// Explain documents one code; ok is false for one that is not known.
func Explain(code Code) (info CodeInfo, ok bool) {
	for _, table := range [][]CodeInfo{poolCodes, primaryCodes, nodeCodes, refusalCodes, runCodes} {
		for _, c := range table {
			if c.Code == code {
				return c, true
			}
		}
	}
	return CodeInfo{Code: code, Severity: Refused, Means: "an unknown code"}, false
}

// Codes of the pool as a whole.
const (
	CodeNotLeader       Code = "not-leader"
	CodePoolUnreachable Code = "pool-unreachable"
	CodePoolBlind       Code = "pool-blind"
	CodePoolDeaf        Code = "pool-deaf"
	CodeOnHold          Code = "on-hold"
	CodeQuarantined     Code = "quarantined"
	CodeNotInPool       Code = "not-in-pool"
)

var poolCodes = []CodeInfo{
	{CodeNotLeader, OK, "the local Pgpool-II is not the watchdog leader with quorum: this controller only shows", ""},
	{CodePoolUnreachable, Refused, "the local Pgpool-II does not answer over PCP", "look at Pgpool-II's log and at pcp_port and .pcppass: repool check"},
	{CodePoolBlind, Work, "Pgpool-II does not hold the primary for the primary", "restart Pgpool-II: a lost follow_primary child keeps it from ever looking again"},
	{CodePoolDeaf, Refused, "Pgpool-II answers, takes requests, and carries out none", "restart Pgpool-II; if the last primary is down, start its server first: while no node is the primary, a restart may leave it as it is"},
	{CodeOnHold, Refused, "an operator holds the node or the pool", "repool release NODE"},
	{CodeQuarantined, Refused, "Pgpool-II holds the node in quarantine, for want of quorum", "bring the other Pgpool-II members of the watchdog back"},
	{CodeNotInPool, Refused, "the running Pgpool-II does not know the node", "reload Pgpool-II: pcp_reload_config"},
}

// Codes of the primary, or of its absence.
const (
	CodePrimary               Code = "primary"
	CodePrimaryDetached       Code = "primary-detached"
	CodeNoPrimary             Code = "no-primary"
	CodeFailoverRunning       Code = "failover-running"
	CodePrimaryUnreachable    Code = "primary-unreachable"
	CodePrimaryStale          Code = "primary-stale"
	CodePrimaryAmbiguous      Code = "primary-ambiguous"
	CodePrimaryContested      Code = "primary-contested"
	CodePrimaryHistoryUnknown Code = "primary-history-unknown"
)

var primaryCodes = []CodeInfo{
	{CodePrimary, OK, "the node is the pool's primary", ""},
	{CodePrimaryDetached, Work, "the unambiguous primary is detached: nobody serves writes", ""},
	{CodeNoPrimary, Refused, "no node accepts writes, and no failover is under way", "start the last primary, or promote a standby: repool history shows what happened"},
	{CodeFailoverRunning, Work, "Pgpool-II gave up its primary a moment ago", ""},
	{CodePrimaryUnreachable, Refused, "the last primary does not answer, but seems to be alive", "look at the primary's host; Pgpool-II decides on a failover"},
	{CodePrimaryStale, Refused, "only a node on a line that the pool has left accepts writes", "start the newer primary; if its data are lost for good, agree to overwrite that node: repool resync NEWER-NODE --yes"},
	{CodePrimaryAmbiguous, Refused, "several nodes may be the primary, and their lines do not settle which", "stop the node that is not to be the primary, or agree to overwrite it: repool resync THAT-NODE --yes"},
	{CodePrimaryContested, Refused, "a node accepts writes on a newer line, while Pgpool-II routes writes to another", "stop the one that is not to be the primary, or agree to overwrite it: repool resync THAT-NODE --yes"},
	{CodePrimaryHistoryUnknown, Work, "the primary's timeline history is not known yet", "if it lasts, look at the agent on the primary's host"},
}

// Codes of a node that is well, on its way, or has something that repool ends.
const (
	CodeHealthy               Code = "healthy"
	CodeReady                 Code = "ready"
	CodeAttaching             Code = "attaching"
	CodeReplaying             Code = "replaying"
	CodeStarting              Code = "starting"
	CodeServerStopping        Code = "server-stopping"
	CodeResyncing             Code = "resyncing"
	CodeBackingOff            Code = "backing-off"
	CodeAttachedSecondPrimary Code = "attached-second-primary"
	CodeAttachedDiverged      Code = "attached-diverged"
	CodeAttachedDown          Code = "attached-down"
	CodeAttachedNotStreaming  Code = "attached-not-streaming"
	CodeSecondPrimary         Code = "second-primary"
	CodeStandbyDown           Code = "standby-down"
	CodeOldPrimaryOnLine      Code = "old-primary-on-line"
	CodeWrongUpstream         Code = "wrong-upstream"
	CodeNotStreaming          Code = "not-streaming"
	CodeDiverged              Code = "diverged"
	CodeWALGone               Code = "wal-gone"
	CodeNoData                Code = "no-data"
	CodeHalfDone              Code = "half-done"
	CodeGarbledControl        Code = "garbled-control"
)

var nodeCodes = []CodeInfo{
	{CodeHealthy, OK, "attached, streams from the primary", ""},
	{CodeReady, Work, "proven by every check of the gate: it is attached", ""},
	{CodeAttaching, Work, "its attach was asked for, and Pgpool-II does not show it yet", ""},
	{CodeReplaying, Work, "streams, and has yet to replay up to the gate", ""},
	{CodeStarting, Work, "its server starts and takes no connections yet", ""},
	{CodeServerStopping, Work, "its server is shutting down", ""},
	{CodeResyncing, Work, "a run is in progress on it", ""},
	{CodeBackingOff, Work, "its last run failed: the next waits a little", ""},
	{CodeAttachedSecondPrimary, Work, "attached, and accepts writes beside the primary: it is detached", ""},
	{CodeAttachedDiverged, Work, "attached, and holds WAL that the primary does not have: it is detached", ""},
	{CodeAttachedDown, Work, "attached, and its data directory is not there or must be overwritten: it is detached", ""},
	{CodeAttachedNotStreaming, Work, "attached, and without a stream from the primary for too long: it is detached", ""},
	{CodeSecondPrimary, Work, "accepts writes, or is about to, beside the primary: its server is stopped", "stop its server by hand"},
	{CodeStandbyDown, Work, "a standby on the primary's line whose server is down: it is started", ""},
	{CodeOldPrimaryOnLine, Work, "a stopped former primary that has lost nothing: it is adopted as a standby", ""},
	{CodeWrongUpstream, Work, "a running standby on the primary's line that follows another node: it is pointed to the primary", ""},
	{CodeNotStreaming, Work, "a running standby that is set to follow the primary and does not stream", "look at its server's log: pg_hba.conf, password and network towards the primary"},
	{CodeDiverged, Work, "holds WAL that the primary does not have: saved to the vault, then rewound or copied anew", "repool plan shows why each method is not possible"},
	{CodeWALGone, Work, "the primary no longer has the WAL that it needs: it is copied anew", ""},
	{CodeNoData, Work, "its data directory is missing or empty: it is copied anew", ""},
	{CodeHalfDone, Work, "an earlier run was broken off half-way through the data: it is copied anew", ""},
	{CodeGarbledControl, Work, "its control file cannot be read: it is copied anew, unless its server runs", "look at the directory; stop the server if it is to be copied anew"},
}

// Codes of what repool refuses or cannot judge.
const (
	CodeParked           Code = "parked"
	CodeFlapping         Code = "flapping"
	CodeForeignSystem    Code = "foreign-system"
	CodeForeignDirectory Code = "foreign-directory"
	CodeVersionMismatch  Code = "version-mismatch"
	CodeSettingsTooLow   Code = "settings-too-low"
	CodeNoSlots          Code = "no-slots"
	CodeNoSenders        Code = "no-senders"
	CodeLineageUnknown   Code = "lineage-unknown"
	CodeUnrelatedHistory Code = "unrelated-history"
	CodeFactsStale       Code = "facts-stale"
	CodeAgentUnreachable Code = "agent-unreachable"
	CodeAgentVersionSkew Code = "agent-version-skew"
	CodeAgentWrongNode   Code = "agent-wrong-node"
	CodeAgentForeign     Code = "agent-foreign-system"
	CodeAgentNotAllowed  Code = "agent-not-allowed"
	CodeAgentCertificate Code = "agent-certificate"
	CodeAgentHostKey     Code = "agent-host-key"
	CodeAgentNotRunning  Code = "agent-not-running"
	CodeServerSilent     Code = "server-silent"
	CodeFrozen           Code = "frozen"
	CodeReplayPaused     Code = "replay-paused"
	CodeReplayStalled    Code = "replay-stalled"
	CodeNeedsConsent     Code = "needs-consent"
	CodeNotAllowed       Code = "not-allowed"
)

var refusalCodes = []CodeInfo{
	{CodeParked, Refused, "repool has given up on the node", "end the cause, then: repool release NODE"},
	{CodeFlapping, Refused, "attached again and again, and it never stays attached: parked", "look at Pgpool-II's health check of the node, then: repool release NODE"},
	{CodeForeignSystem, Refused, "the node holds another cluster's data (system identifier)", "if its data are not needed, stop it and move its data directory away: it is then copied anew"},
	{CodeForeignDirectory, Refused, "the data directory is not empty and no PostgreSQL data", "move what is in it away"},
	{CodeVersionMismatch, Refused, "the node's data are of another major version than the primary's", "upgrade the node, or move its data directory away"},
	{CodeSettingsTooLow, Refused, "a setting is lower than the primary's, and a standby would refuse to start", "raise it in the node's postgresql.conf"},
	{CodeNoSlots, Refused, "the primary has no replication slot left", "drop unused slots or raise max_replication_slots on the primary"},
	{CodeNoSenders, Refused, "the primary has no WAL sender left", "raise max_wal_senders on the primary"},
	{CodeLineageUnknown, Refused, "it cannot be told whether the node's WAL is the primary's", "look at the agents on the node and on the primary; if the node's data are not needed, move its data directory away, or aside in its workshop where an interrupted run has left it"},
	{CodeUnrelatedHistory, Refused, "the node's history shares no timeline with the primary's", "if its data are not needed: repool resync NODE --yes"},
	{CodeFactsStale, Refused, "what is known of the node is old, incomplete or contradicts itself", "if it lasts, look at the agent on the node's host"},
	{CodeAgentUnreachable, Refused, "the node's agent does not answer", "start repool agent on the node's host"},
	{CodeAgentVersionSkew, Refused, "the node's agent and this controller are more than one release apart", "upgrade the older of the two"},
	{CodeAgentWrongNode, Refused, "another node's agent answers at the address of this node's", "correct the node's agent in repool.yaml, or agent.node on that host"},
	{CodeAgentForeign, Refused, "the agent at the node's address has another cluster's data", "correct the node's agent in repool.yaml; if its data are not needed, stop its server and move the data directory away"},
	{CodeAgentNotAllowed, Refused, "the node's agent, or its ssh server, does not let this controller in", "name the controller in agent.controllers on that host, or put the line of repool setup into authorized_keys there"},
	{CodeAgentCertificate, Refused, "a certificate between this controller and the node's agent is not accepted", "repool certs show; repool certs renew makes one anew"},
	{CodeAgentHostKey, Refused, "the host's ssh key is not the known one", "find out why; only then correct known_hosts: ssh-keygen -R HOST"},
	{CodeAgentNotRunning, Refused, "the node's host answers over ssh, and no agent runs there", "start repool agent on the node's host"},
	{CodeServerSilent, Refused, "the node's server runs and does not answer to SQL", "log in by hand as repool's role: pg_hba.conf, password, connection limit"},
	{CodeFrozen, Refused, "the node's server is frozen by SIGSTOP", "kill -CONT its processes, or stop it"},
	{CodeReplayPaused, Refused, "the node streams, and its replay is paused", "SELECT pg_wal_replay_resume() on it"},
	{CodeReplayStalled, Refused, "the node streams, and its replay does not move", "look for conflicts, recovery_min_apply_delay and slow disks on it"},
	{CodeNeedsConsent, Refused, "policy wants a person's word first", "repool resync NODE --yes"},
	{CodeNotAllowed, Refused, "policy forbids every method that would help", "change policy.methods in repool.yaml"},
}

// Codes of failed runs, as the agent's engine gives them. A node is parked
// under the code of its last failure.
const (
	CodeSlotFailed       Code = "slot-failed"
	CodeUpstreamChanged  Code = "upstream-changed"
	CodeUpstreamLost     Code = "upstream-lost"
	CodeCheckpointFailed Code = "checkpoint-failed"
	CodeNoClearance      Code = "no-clearance"
	CodeServerRunning    Code = "server-running"
	CodeServerStopped    Code = "server-stopped"
	CodeStopFailed       Code = "stop-failed"
	CodeStartFailed      Code = "start-failed"
	CodeVaultFailed      Code = "vault-failed"
	CodeSettleFailed     Code = "settle-failed"
	CodeRewindFailed     Code = "rewind-failed"
	CodeRewindRefused    Code = "rewind-refused"
	CodeCopyFailed       Code = "copy-failed"
	CodeVerifyFailed     Code = "verify-failed"
	CodeCustomFailed     Code = "custom-failed"
	CodeNoSpace          Code = "no-space"
	CodeMountPoint       Code = "datadir-mountpoint"
	CodeTablespaces      Code = "tablespaces"
	CodeConfigMissing    Code = "config-missing"
	CodeSettingsFailed   Code = "settings-failed"
	CodeNotOnLine        Code = "not-on-line"
	CodeDamaged          Code = "damaged"
	CodeHomeOccupied     Code = "home-occupied"
	CodeCancelled        Code = "cancelled"
	CodeInterrupted      Code = "interrupted"
	CodeInternal         Code = "internal"
)

var runCodes = []CodeInfo{
	{CodeSlotFailed, Refused, "the replication slot on the primary could not be made", "look at max_replication_slots and the role's grants: repool check"},
	{CodeUpstreamChanged, Refused, "the primary was not what the run was started for", ""},
	{CodeUpstreamLost, Refused, "the primary could not be reached", "look at the network and pg_hba.conf towards the primary"},
	{CodeCheckpointFailed, Refused, "the checkpoint on the primary failed", "grant pg_checkpoint, or EXECUTE as repool check says"},
	{CodeNoClearance, Refused, "the controller did not confirm the primary in time", ""},
	{CodeServerRunning, Refused, "a server was running where none may be", "find who started it (service manager, cron), and stop it"},
	{CodeServerStopped, Refused, "the server was stopped where it must run", ""},
	{CodeStopFailed, Refused, "the node's server could not be stopped", "stop it by hand, then: repool release NODE"},
	{CodeStartFailed, Refused, "the node's server did not start", "read its log, end the cause, then: repool release NODE"},
	{CodeVaultFailed, Refused, "the node's own WAL could not be saved, so nothing was overwritten", "make room at the vault, then: repool release NODE"},
	{CodeSettleFailed, Refused, "the node's crash recovery in isolation failed", "read the run's log: repool history --node NODE"},
	{CodeRewindFailed, Refused, "pg_rewind failed", "read the run's log: repool history --node NODE"},
	{CodeRewindRefused, Refused, "pg_rewind cannot be used on this node", "read the run's log: repool history --node NODE"},
	{CodeCopyFailed, Refused, "the base backup failed", "look at pg_hba.conf (replication), the network and the disk, then: repool release NODE"},
	{CodeVerifyFailed, Refused, "the base backup does not match its manifest", "suspect the disk or the network, then: repool release NODE"},
	{CodeCustomFailed, Refused, "the operator's resync_command failed", "mend the program, then: repool release NODE"},
	{CodeNoSpace, Refused, "there is no space for a copy beside the old directory", "make room on the node's file system"},
	{CodeMountPoint, Refused, "the data directory is a mount point and cannot be moved", "make the data directory a subdirectory of the mount point"},
	{CodeTablespaces, Refused, "the primary's tablespaces stand against a base backup", "make the base backup by hand"},
	{CodeConfigMissing, Refused, "the node's own configuration is not there and was never saved", "put postgresql.conf and pg_hba.conf back, then: repool release NODE"},
	{CodeSettingsFailed, Refused, "the standby's settings could not be written", "look at owner and mode of the data directory, then: repool release NODE"},
	{CodeNotOnLine, Refused, "the node was found to hold WAL of its own after all", ""},
	{CodeDamaged, Refused, "the directory was damaged by a broken-off run, and only a base backup may follow", ""},
	{CodeHomeOccupied, Refused, "something stands where the repaired directory belongs", "move it away, then: repool release NODE"},
	{CodeCancelled, Refused, "the run was cancelled", ""},
	{CodeInterrupted, Refused, "the agent died during the run", ""},
	{CodeInternal, Refused, "something unforeseen happened in the agent", "read the agent's log, then: repool release NODE"},
}
