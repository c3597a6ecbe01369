package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// Primary is the last primary that was proven to be one, with its line.
type Primary struct {
	Node     topology.NodeID   `json:"node"`
	SystemID topology.SystemID `json:"system_id"`
	History  topology.History  `json:"history"`
	// At is when it was seen to be the primary; zero: by an older repool.
	At time.Time `json:"at,omitzero"`
	// Position is how far its WAL was last seen to go; zero: not kept.
	Position topology.LSN `json:"position,omitzero"`
	// Synchronous is what its synchronous replication promised last; nil: not known.
	Synchronous *topology.Synchronous `json:"synchronous,omitempty"`
}

// Promotion is the record without its time.
func (p Primary) Promotion() topology.Promotion {
	return topology.Promotion{Node: p.Node, SystemID: p.SystemID, History: p.History, Position: p.Position,
		Synchronous: p.Synchronous}
}

// PrimaryOf is the record of a promotion that was seen at that time.
func PrimaryOf(p topology.Promotion, at time.Time) Primary {
	return Primary{Node: p.Node, SystemID: p.SystemID, History: p.History, Position: p.Position,
		Synchronous: p.Synchronous, At: at}
}

func (p Primary) known() bool { return p.History.Known() }

func (p Primary) equal(o Primary) bool {
	return p.Node == o.Node && p.SystemID == o.SystemID && p.History.Text() == o.History.Text() &&
		p.Position == o.Position && p.Synchronous.Equal(o.Synchronous)
}

// NotePrimary keeps p on disk for the hook of the next failover, which can then
// tell a standby of the right line from one that is not. The controller calls
// it whenever the one unambiguous primary has changed; nothing is written when
// p is what stands there already, or when what stands there was seen later: a
// controller's pass that began before a failover must not undo its record.
func NotePrimary(stateDir string, p Primary) error {
	if old, err := readPrimary(stateDir); err == nil && (old.equal(p) || old.At.After(p.At) && !old.At.After(time.Now())) {
		return nil
	}
	text, err := encode(p)
	if err == nil {
		err = writeFile(filepath.Join(stateDir, "primary.json"), text, true, os.Rename)
	}
	if err != nil {
		return fmt.Errorf("note primary: %w", err)
	}
	return nil
}

// LastPrimary gives what was noted last, by the controller or by a failover
// since; ok is false where nothing was, or it cannot be read.
func LastPrimary(stateDir string) (p Primary, ok bool) {
	p, err := readPrimary(stateDir)
	return p, err == nil && p.known()
}

// readPrimary gives what was noted last; the zero value where nothing was.
func readPrimary(stateDir string) (Primary, error) {
	p := Primary{Node: topology.NoNode}
	path := filepath.Join(stateDir, "primary.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err == nil && (p.Node < 0 || p.SystemID == 0 || !p.History.Sound()) {
		err = errors.New("no record of a primary")
	}
	if err != nil {
		return Primary{Node: topology.NoNode}, fmt.Errorf("read %s: %w", path, err)
	}
	return p, nil
}
