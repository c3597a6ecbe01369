// Package event is what the controller tells of itself for later: one Event for
// each thing that happened, and the Filter by which people look for them.
//
// It is apart from history, which keeps events on disk, so that whoever makes
// or reads them needs no database.
package event

import (
	"encoding/json"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// Event is one thing that happened, as people read it later.
type Event struct {
	ID   int64           `json:"id"`
	At   time.Time       `json:"at"`
	Node topology.NodeID `json:"node"`          // NoNode: the pool as a whole
	Kind string          `json:"kind"`          // decision, run, attach, …: repool history --help
	Run  string          `json:"run,omitempty"` // the run it belongs to, where there is one
	Code string          `json:"code"`
	Text string          `json:"text"`
	// Data is a JSON value with the facts: a run's journal, a decision's evidence.
	Data json.RawMessage `json:"data,omitempty"`
}

// Filter narrows a list of events. Zero values do not.
type Filter struct {
	Node  *topology.NodeID
	Kind  string
	Code  string
	Run   string
	Since time.Time
	Until time.Time // exclusive
	Limit int       // newest so many; zero: 100; at most MaxLimit
}

// MaxLimit is the most events that one list gives.
const MaxLimit = 10000
