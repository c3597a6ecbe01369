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
	// RedundancyLost: the pool has lost a node, or one more.
	RedundancyLost Kind = "redundancy-lost"
	// RedundancyRestored: no node is missing any more.
	RedundancyRestored Kind = "redundancy-restored"
	// NodeParked: repool has given up on a node until a person releases it.
	NodeParked Kind = "node-parked"
	// PgpoolUnresponsive: Pgpool-II ignores requests, and needs a restart.
	PgpoolUnresponsive Kind = "pgpool-unresponsive"
	// LostCommitsVaulted: the pool no longer has transactions that were committed;
	// the vault keeps them, or what could be read of them.
	LostCommitsVaulted Kind = "lost-commits-vaulted"
	// Test: sent by a person, to see whether receivers get events.
	Test Kind = "test"
)

// Event is one notification, as receivers get it in JSON.
type Event struct {
	// ID is the same for every attempt to deliver the event.
	ID   string    `json:"id"`
	Kind Kind      `json:"event"`
	At   time.Time `json:"at"`
	// Controller is the host that sends it.
	Controller string `json:"controller"`
	// Nodes are the ones concerned.
	Nodes []topology.NodeID `json:"nodes"`
	// Code is the runbook's: the node's decision, or why it was parked.
	Code string `json:"code,omitempty"`
	// Run is the run that made the vault entry.
	Run string `json:"run,omitempty"`
	// Text is one sentence for a person; Hint says what that person can do.
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
	// Vault is what was kept, for LostCommitsVaulted.
	Vault *topology.VaultEntry `json:"vault,omitempty"`
}

// TestEvent is what a person sends to see whether receivers get events.
func TestEvent(controller string) Event {
	return Event{ID: newID(), Kind: Test, At: time.Now(), Controller: controller, Nodes: []topology.NodeID{},
		Text: "This is a test of repool's notifications. Nothing has happened to the pool."}
}

func newID() string { return "evt_" + strings.ToLower(rand.Text()) }
