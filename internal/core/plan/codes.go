package plan

import "github.com/repool/repool/internal/codes"

// Names of package codes.
type (
	CodeInfo = codes.Info
	Code     = codes.Code
	Severity = codes.Severity
)

// Severities and functions of package codes.
const (
	OK      = codes.OK
	Work    = codes.Work
	Refused = codes.Refused
)

// Codes lists every code; Explain describes one.
var (
	Codes   = codes.All
	Explain = codes.Explain
)

// Codes of package codes.
const (
	CodeAgentCertificate      = codes.AgentCertificate
	CodeAgentForeign          = codes.AgentForeign
	CodeAgentHostKey          = codes.AgentHostKey
	CodeAgentNotAllowed       = codes.AgentNotAllowed
	CodeAgentNotRunning       = codes.AgentNotRunning
	CodeAgentUnreachable      = codes.AgentUnreachable
	CodeAgentVersionSkew      = codes.AgentVersionSkew
	CodeAgentWrongNode        = codes.AgentWrongNode
	CodeAttached              = codes.Attached
	CodeAttachedDiverged      = codes.AttachedDiverged
	CodeAttachedDown          = codes.AttachedDown
	CodeAttachedNotStreaming  = codes.AttachedNotStreaming
	CodeAttachedSecondPrimary = codes.AttachedSecondPrimary
	CodeAttaching             = codes.Attaching
	CodeBackingOff            = codes.BackingOff
	CodeBadRequest            = codes.BadRequest
	CodeBusy                  = codes.Busy
	CodeCancelled             = codes.Cancelled
	CodeCheckpointFailed      = codes.CheckpointFailed
	CodeConfigMissing         = codes.ConfigMissing
	CodeCopyFailed            = codes.CopyFailed
	CodeCustomFailed          = codes.CustomFailed
	CodeDamaged               = codes.Damaged
	CodeDetached              = codes.Detached
	CodeDiverged              = codes.Diverged
	CodeFactsStale            = codes.FactsStale
	CodeFailoverRunning       = codes.FailoverRunning
	CodeFlapping              = codes.Flapping
	CodeForeignDirectory      = codes.ForeignDirectory
	CodeForeignSystem         = codes.ForeignSystem
	CodeFrozen                = codes.Frozen
	CodeGarbledControl        = codes.GarbledControl
	CodeHalfDone              = codes.HalfDone
	CodeHealthy               = codes.Healthy
	CodeHistorySetAside       = codes.HistorySetAside
	CodeHoldsCopyDamaged      = codes.HoldsCopyDamaged
	CodeHoldsUnknown          = codes.HoldsUnknown
	CodeHomeOccupied          = codes.HomeOccupied
	CodeInternal              = codes.Internal
	CodeInterrupted           = codes.Interrupted
	CodeIsPrimary             = codes.IsPrimary
	CodeLineageUnknown        = codes.LineageUnknown
	CodeMountPoint            = codes.MountPoint
	CodeNeedsConsent          = codes.NeedsConsent
	CodeNoClearance           = codes.NoClearance
	CodeNoData                = codes.NoData
	CodeNoPrimary             = codes.NoPrimary
	CodeNoSenders             = codes.NoSenders
	CodeNoSlots               = codes.NoSlots
	CodeNoSpace               = codes.NoSpace
	CodeNoSuchNode            = codes.NoSuchNode
	CodeNotActing             = codes.NotActing
	CodeNotAllowed            = codes.NotAllowed
	CodeNotInPool             = codes.NotInPool
	CodeNotLeader             = codes.NotLeader
	CodeNotOnLine             = codes.NotOnLine
	CodeNotStreaming          = codes.NotStreaming
	CodeOldPrimaryOnLine      = codes.OldPrimaryOnLine
	CodeOnHold                = codes.OnHold
	CodeParked                = codes.Parked
	CodePoolBlind             = codes.PoolBlind
	CodePoolUnreachable       = codes.PoolUnreachable
	CodePrimary               = codes.Primary
	CodePrimaryAmbiguous      = codes.PrimaryAmbiguous
	CodePrimaryContested      = codes.PrimaryContested
	CodePrimaryDetached       = codes.PrimaryDetached
	CodePrimaryHistoryUnknown = codes.PrimaryHistoryUnknown
	CodePrimaryStale          = codes.PrimaryStale
	CodePrimaryUnreachable    = codes.PrimaryUnreachable
	CodeQuarantined           = codes.Quarantined
	CodeReady                 = codes.Ready
	CodeReplayPaused          = codes.ReplayPaused
	CodeReplayStalled         = codes.ReplayStalled
	CodeReplaying             = codes.Replaying
	CodeResyncing             = codes.Resyncing
	CodeRewindFailed          = codes.RewindFailed
	CodeRewindRefused         = codes.RewindRefused
	CodeSecondPrimary         = codes.SecondPrimary
	CodeServerRunning         = codes.ServerRunning
	CodeServerSilent          = codes.ServerSilent
	CodeServerStopped         = codes.ServerStopped
	CodeServerStopping        = codes.ServerStopping
	CodeSettingsFailed        = codes.SettingsFailed
	CodeSettingsTooLow        = codes.SettingsTooLow
	CodeSettleFailed          = codes.SettleFailed
	CodeSlotFailed            = codes.SlotFailed
	CodeStandbyDown           = codes.StandbyDown
	CodeStartFailed           = codes.StartFailed
	CodeStarting              = codes.Starting
	CodeStopFailed            = codes.StopFailed
	CodeTablespaces           = codes.Tablespaces
	CodeUnrelatedHistory      = codes.UnrelatedHistory
	CodeUpstreamChanged       = codes.UpstreamChanged
	CodeUpstreamLost          = codes.UpstreamLost
	CodeVaultFailed           = codes.VaultFailed
	CodeVerifyFailed          = codes.VerifyFailed
	CodeVersionMismatch       = codes.VersionMismatch
	CodeWALGone               = codes.WALGone
	CodeWrongUpstream         = codes.WrongUpstream
	CodePoolUnresponsive      = codes.PoolUnresponsive
)
