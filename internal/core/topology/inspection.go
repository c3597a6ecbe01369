package topology

import "github.com/repool/repool/internal/codes"

// DirState says what is in the place of a node's data directory.
type DirState string

// The states of a data directory. DirInRepair means that a resync has moved it
// into its work directory: nothing can start it until it is back.
const (
	DirUnknown  DirState = ""
	DirMissing  DirState = "missing"
	DirEmpty    DirState = "empty"
	DirForeign  DirState = "foreign" // not empty, and no PostgreSQL data directory
	DirPresent  DirState = "present"
	DirInRepair DirState = "in-repair"
)

// ServerState says what the postmaster of a data directory does.
type ServerState string

// The states of a server process, by its postmaster.pid and /proc.
const (
	ServerUnknown  ServerState = ""
	ServerStopped  ServerState = "stopped"
	ServerStarting ServerState = "starting"
	ServerRunning  ServerState = "running" // accepts connections
	ServerStopping ServerState = "stopping"
	ServerFrozen   ServerState = "frozen" // stopped by SIGSTOP
)

// Control is what a data directory's control file says.
type Control struct {
	SystemID          SystemID   `json:"system_id"`
	State             string     `json:"state"` // PostgreSQL's words, such as "in production"
	CheckpointLSN     LSN        `json:"checkpoint"`
	RedoLSN           LSN        `json:"redo"`
	Timeline          TimelineID `json:"timeline"`
	MinRecoveryPoint  LSN        `json:"min_recovery_point"`
	MinRecoveryTLI    TimelineID `json:"min_recovery_tli"`
	WALLogHints       bool       `json:"wal_log_hints"`
	Checksums         bool       `json:"checksums"`
	SegmentSize       uint64     `json:"segment_size"`
	WasCleanShutdown  bool       `json:"clean_shutdown"`
	ShutDownInRecover bool       `json:"shut_down_in_recovery"`
}

// Inspection is what the agent on a node's host found in its data directory.
type Inspection struct {
	Source
	// ErrCode names why the agent did not answer, where that is known: a certificate,
	// a host key, another cluster's agent. Empty: no answer at all.
	ErrCode      codes.Code  `json:"err_code,omitempty"`
	AgentVersion string      `json:"agent_version,omitempty"`
	Dir          DirState    `json:"dir"`
	Version      int         `json:"version"` // major, from PG_VERSION
	Control      *Control    `json:"control,omitempty"`
	Server       ServerState `json:"server"`
	PID          int         `json:"pid,omitempty"`
	// Port, SocketDir and ListenAddr are where the running server says that it
	// listens: its port, its first socket directory and its first TCP address. Port
	// zero: unknown; the others empty: none.
	Port       int    `json:"port,omitempty"`
	SocketDir  string `json:"socket_dir,omitempty"`
	ListenAddr string `json:"listen_addr,omitempty"`
	// StandbySignal, RecoverySignal and BackupLabel say whether those files exist.
	StandbySignal  bool `json:"standby_signal"`
	RecoverySignal bool `json:"recovery_signal,omitempty"`
	BackupLabel    bool `json:"backup_label,omitempty"`
	// DataID identifies the content of the data directory: a base backup and a
	// rewind change it, whoever runs them; a start, a promotion and a move do not.
	// Empty: unknown, which equals nothing.
	DataID string `json:"data_id,omitempty"`
	// History is that of the newest timeline of which the directory has WAL.
	History History `json:"history"`
	// UpstreamHost, UpstreamPort and UpstreamSlot are those of primary_conninfo and
	// primary_slot_name, as configured in the directory.
	UpstreamHost string `json:"upstream_host,omitempty"`
	UpstreamPort int    `json:"upstream_port,omitempty"`
	UpstreamSlot string `json:"upstream_slot,omitempty"`
	// DataBytes is without pg_wal; both may be minutes old.
	DataBytes uint64 `json:"data_bytes"`
	WALBytes  uint64 `json:"wal_bytes"`
	FreeBytes uint64 `json:"free_bytes"`
	// Kept is what repool keeps beside the data directory; it may be minutes old.
	Kept Kept `json:"kept,omitzero"`
	// MountPoint: the data directory is a mount point and cannot be renamed.
	MountPoint  bool `json:"mount_point,omitempty"`
	Tablespaces int  `json:"tablespaces,omitempty"`
	// InPlace counts the tablespaces inside the data directory; Tablespaces those outside.
	InPlace int `json:"in_place,omitempty"`
	// HotStandby are the settings that must not be lower than the primary's,
	// as the server would read them from its configuration at the next start.
	HotStandby map[string]int `json:"hot_standby,omitempty"`
	// ConfigID changes with the content of the server's configuration, and with what
	// else of the files beside it can keep a server from starting. Empty: unknown.
	ConfigID string `json:"config_id,omitempty"`
	// Odd lists unexpected files that would stop a rewind or copy, with the reason.
	Odd []string `json:"odd,omitempty"`
	// Own lists what lies at the top of the directory and is the node's own, such as
	// logs, links and what people put there: every method keeps it.
	Own []string `json:"own,omitempty"`
	// Run is the run in progress, or the last one when it did not end well.
	Run *RunState `json:"run,omitempty"`
	// Lock is which controller has the node locked; empty when none has.
	Lock string `json:"lock,omitempty"`
	// Instructions are what people have told repool about the node; nil: the agent is of a
	// release that does not keep them.
	Instructions *Instructions `json:"instructions,omitempty"`
}

// Kept is how much repool keeps of a node beside its data directory, in bytes. Zero is
// both nothing and unknown; WorkDir is empty while nothing has been measured.
type Kept struct {
	// WorkDir is the work directory, on the node's host.
	WorkDir string `json:"work_dir,omitempty"`
	// Old is the directory that a base backup has replaced. OldUnsaved: not all that
	// only it held is in the vault, or that is unknown, so repool never removes it.
	Old        uint64 `json:"old,omitempty"`
	OldUnsaved bool   `json:"old_unsaved,omitempty"`
	// InRepair is a directory in repair; Trash is what is being deleted.
	InRepair uint64 `json:"in_repair,omitempty"`
	Trash    uint64 `json:"trash,omitempty"`
	Vault    uint64 `json:"vault,omitempty"`
	Journal  uint64 `json:"journal,omitempty"`
}
