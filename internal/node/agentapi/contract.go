package agentapi

import (
	"context"

	"github.com/repool/repool/internal/core/topology"
)

// Inspector is the half of the contract that changes nothing. The observer
// gets only this, so it cannot stop a server by mistake.
type Inspector interface {
	// Inspect looks at the data directory, its server and the journal.
	Inspect(ctx context.Context) (topology.Inspection, error)
	// ProbeWAL reads the node's own WAL against the primary's history.
	ProbeWAL(ctx context.Context, primary topology.History) (topology.WALProbe, error)
	// RecordEnding reads the WAL record of this node's timeline that ends at lsn.
	// ErrNoWAL means that the segment is gone.
	RecordEnding(ctx context.Context, lsn topology.LSN) (topology.WALRecord, error)
	// Run reads the journal of one run; an empty id means the newest.
	Run(ctx context.Context, id string) (topology.RunState, error)
	// Vault lists what is kept of this node's lost timelines.
	Vault(ctx context.Context) ([]topology.VaultEntry, error)
	// VaultReport returns the JSON report of one vault entry, with each lost commit.
	VaultReport(ctx context.Context, id string) ([]byte, error)
	// Instructions are what people have told repool about the node. ErrUnknownCall: the
	// agent is of a release that does not keep them.
	Instructions(ctx context.Context) (topology.Instructions, error)
}

// Operator is the half that changes the node. Every order carries the token that
// Acquire returned, but for Instruct; one lower than the newest is ErrStaleToken.
type Operator interface {
	// Acquire returns a new token for holder. ErrLocked while a run of another
	// holder is in progress.
	Acquire(ctx context.Context, holder string) (topology.Token, error)
	// StartRun begins a run and returns at once; the run belongs to the agent
	// and survives its caller. ErrLocked while another run is in progress.
	StartRun(ctx context.Context, req topology.RunRequest) error
	// Watch calls see with each change of the run's state until it has ended,
	// and then returns nil, or until ctx is done. States that follow one another
	// fast may be left out, but never the last. An empty id means the newest run.
	Watch(ctx context.Context, id string, see func(topology.RunState)) error
	// Clear lets a waiting run carry out its destructive step: the caller has just
	// confirmed the primary over fresh connections and asked Pgpool-II (P2).
	Clear(ctx context.Context, token topology.Token, id, step string) error
	// Cancel stops a run at its next safe point.
	Cancel(ctx context.Context, token topology.Token, id string) error
	// Fence stops the node's server and proves that it is gone: fast, then
	// immediate, then SIGKILL. Refused with ErrLocked during a run.
	Fence(ctx context.Context, token topology.Token) (topology.Fenced, error)
	// DropSlots drops those of the given replication slots that are idle, while the
	// node's server is a standby that streams, and returns their names. A name that
	// repool does not give is ErrRefused, a run in progress ErrLocked.
	DropSlots(ctx context.Context, token topology.Token, names []string) ([]string, error)
	// Instruct keeps an instruction on the node's disk, unless a newer one of its kind is
	// there, and returns what is kept then. While a hold is in force, StartRun is
	// ErrRefused; a fence is not, since a failover must not wait for a person. A run
	// that ends well uses up a consent. ErrUnknownCall as for Instructions.
	Instruct(ctx context.Context, i topology.Instruction) (topology.Instructions, error)
}

// Agent is the whole contract. It is reached in-process, over a unix socket, over
// TLS or over ssh; every transport passes one contract suite.
type Agent interface {
	Inspector
	Operator
}
