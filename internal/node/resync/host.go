package resync

import (
	"context"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// Place names one of the directories a node's data can be in during a run.
type Place string

// Home is the node's data directory, the only place a server is ever started
// from by a service manager or a person. InRepair, New and Old are in the node's
// work directory on the same file system: InRepair holds the data directory while it
// is worked on, New a base backup being made, Old the copy that was replaced.
const (
	Home     Place = "home"
	InRepair Place = "repair"
	New      Place = "new"
	Old      Place = "old"
)

// Progress is called with what has been moved so far; total 0 is unknown.
type Progress func(done, total uint64)

// Space is the room on one file system that a copy needs, in bytes.
type Space struct {
	Path       string // a folder on it
	Free, Need uint64
	// OfData is the part of Need that Size counts as well.
	OfData uint64
}

// HostInspector is what the engine may look at on its own node.
type HostInspector interface {
	// Exists says whether that place holds anything.
	Exists(p Place) (bool, error)
	// Control reads the control file in that place.
	Control(p Place) (topology.Control, error)
	// Server looks for a postmaster of the node, wherever it was started.
	Server() (topology.ServerState, error)
	// ProbeWAL reads the node's own WAL (Home or InRepair) against a history.
	ProbeWAL(ctx context.Context, primary topology.History) (topology.WALProbe, error)
	// Keeps lists what p has of the node's own at its top, as method m keeps it;
	// an error of code own-files when m could not.
	Keeps(p Place, m topology.Method) ([]string, error)
	// SpaceForCopy says what a base backup of up needs on file systems other than
	// the data directory's, and refuses WAL and tablespaces that cannot be swapped.
	SpaceForCopy(ctx context.Context, up topology.Upstream) ([]Space, error)
	// FreeBytes is the space left on the data directory's file system.
	FreeBytes() (uint64, error)
	// Stream asks the running server over a local connection.
	Stream(ctx context.Context) (topology.SQLFacts, error)
}

// HostOperator is what the engine may do to its own node. Each call is safe to
// repeat after a crash at any line of it. It moves only between the four
// places; it never takes a path.
type HostOperator interface {
	// StopServer stops the node's server and proves it gone. wal says that no
	// checkpoint may recycle WAL on the way (immediate at once).
	StopServer(ctx context.Context, keepWAL bool) (topology.Fenced, error)
	// StartServer starts the server at Home and returns when it accepts
	// connections; an error carries the last lines of its log.
	StartServer(ctx context.Context) error
	// Reload makes the running server read its configuration again.
	Reload(ctx context.Context) error

	// Move renames one place to another and makes it durable. The target must
	// not exist. Moving Home away proves first, and again afterwards, that no
	// postmaster lives in it, and moves it back where one does.
	Move(from, to Place) error
	// Remove takes away a place of the work directory, at once; never Home. Its files
	// are in the trash then, where they need their space until EmptyTrash.
	Remove(p Place) error
	// EmptyTrash deletes what was removed at least that long ago, which may take
	// minutes. When ctx ends it stops, and the rest is for the next call.
	EmptyTrash(ctx context.Context, rested time.Duration) error

	// SaveConfig keeps a copy of the node's own configuration files;
	// RestoreConfig writes it into p.
	SaveConfig(from Place) error
	RestoreConfig(p Place) error
	// WriteStandby makes p a standby of up: standby.signal, primary_conninfo,
	// primary_slot_name, recovery_target_timeline; clears recovery_target*; durable.
	WriteStandby(p Place, up topology.Upstream, slot, appName string) error

	// Vault copies WAL that only this node holds, and lists its lost commits (P3).
	Vault(ctx context.Context, req topology.RunRequest, from Place, see Progress) (topology.VaultEntry, error)
	// RefillWAL puts vaulted segments that a rewind needs back into p's pg_wal.
	RefillWAL(p Place, entry topology.VaultEntry) error
	// Settle finishes crash recovery of InRepair in isolation without adding WAL.
	Settle(ctx context.Context) error
	// Rewind runs pg_rewind on InRepair; needed is false where pg_rewind saw no
	// divergence and changed nothing. An error that came before any change says
	// so: Error.Untouched, or a method Untouched of the Host's own error type.
	Rewind(ctx context.Context, up topology.Upstream, see Progress) (needed bool, err error)
	// BaseBackup copies up into New, which must not exist; VerifyBackup checks
	// it against its manifest.
	BaseBackup(ctx context.Context, up topology.Upstream, slot string, see Progress) error
	VerifyBackup(ctx context.Context) error
	// Custom runs the operator's own resync_command from the agent's configuration.
	Custom(ctx context.Context, req topology.RunRequest) error
	// KillLeftovers kills programs that an earlier, dead agent left running on this node.
	KillLeftovers(ctx context.Context) error
}

// Host is one node's data directory, server and programs on this machine.
type Host interface {
	HostInspector
	HostOperator
}

// UpstreamLink is what the engine needs of the primary, over fresh connections.
type UpstreamLink interface {
	// Confirm proves that up is still what the request says: system identifier,
	// timeline, not in recovery (P2).
	Confirm(ctx context.Context, up topology.Upstream) error
	// EnsureSlot creates and reserves the physical slot, or proves it usable;
	// a slot whose WAL is lost is recreated.
	EnsureSlot(ctx context.Context, up topology.Upstream, slot string) error
	// SlotHolder names the session that uses the slot, for people; empty: none does.
	SlotHolder(ctx context.Context, up topology.Upstream, slot string) (string, error)
	// Checkpoint makes the primary's control file show its timeline (hazard 2).
	Checkpoint(ctx context.Context, up topology.Upstream) error
	// Size is how many bytes a base backup of the primary would copy.
	Size(ctx context.Context, up topology.Upstream) (uint64, error)
	// Position is the primary's current WAL position.
	Position(ctx context.Context, up topology.Upstream) (topology.LSN, error)
}

// LogTailer is an optional part of a Host: the last lines of the server's log,
// as evidence when a started standby does not stream.
type LogTailer interface {
	LogTail() string
}
