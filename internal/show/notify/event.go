package notify

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// Kind names what has happened.
type Kind string

// The kinds. They are part of the contract with receivers.
const (
	// RedundancyLost: the pool is short of a node, or of one more.
	RedundancyLost Kind = "redundancy-lost"
	// RedundancyRestored: it is short of none again.
	RedundancyRestored Kind = "redundancy-restored"
	// NodeParked: repool has given up on a node until a person releases it.
	NodeParked Kind = "node-parked"
	// PgpoolDeaf: Pgpool-II carries out no requests, and needs a restart.
	PgpoolDeaf Kind = "pgpool-deaf"
	// LostCommitsVaulted: transactions were committed that the pool no longer
	// has; the vault keeps them, or what could be told of them.
	LostCommitsVaulted Kind = "lost-commits-vaulted"
	// Test: somebody wants to know whether receivers hear.
	Test Kind = "test"
)

// Event is one notification, as receivers get it in JSON.
type Event struct {
	// ID is the same for every attempt to tell the event.
	ID   string    `json:"id"`
	Kind Kind      `json:"event"`
	At   time.Time `json:"at"`
	// Controller is the host that tells it.
	Controller string `json:"controller"`
	// Nodes are those that it is about.
	Nodes []topology.NodeID `json:"nodes"`
	// Code is the runbook's: of the node's decision, or of its parking.
	Code string `json:"code,omitempty"`
	// Run is the run that made the vault entry.
	Run string `json:"run,omitempty"`
	// Text is one sentence for a person; Hint says what that person can do.
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
	// Vault is what was kept, for LostCommitsVaulted.
	Vault *topology.VaultEntry `json:"vault,omitempty"`
}

// TestEvent is what a person sends to see whether receivers hear.
func TestEvent(controller string) Event {
	return Event{ID: newID(), Kind: Test, At: time.Now(), Controller: controller, Nodes: []topology.NodeID{},
		Text: "This is a test of repool's notifications; nothing has happened to the pool."}
}

func newID() string { return "evt_" + strings.ToLower(rand.Text()) }
