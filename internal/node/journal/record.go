package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/repool/repool/internal/core/topology"
)

// RepairState says what the directory in repair is, if there is one.
type RepairState string

// The conditions of the directory in repair. RepairNone is the zero value: no run
// has put one there. Only RepairWhole may be moved back as it is; RepairRewound is
// whole too, but may still lack standby.signal and its own configuration;
// RepairDamaged is half rewound and must never be started.
const (
	RepairNone    RepairState = ""
	RepairWhole   RepairState = "whole"
	RepairDamaged RepairState = "damaged"
	RepairRewound RepairState = "rewound"
)

// Saved says how much of what only the replaced directory held is in the vault.
type Saved string

// The answers. SavedUnknown is the zero value: not checked yet. SavedNothing:
// proven that there is nothing to save. SavedPart: incomplete or unreadable,
// so the replaced directory itself must be kept.
const (
	SavedUnknown Saved = ""
	SavedNothing Saved = "nothing"
	SavedAll     Saved = "all"
	SavedPart    Saved = "part"
)

// Enough says that the replaced directory holds nothing that is not elsewhere.
func (s Saved) Enough() bool { return s == SavedNothing || s == SavedAll }

// Record is one run as the journal keeps it.
type Record struct {
	// Format is 1. A higher one was written by a newer repool.
	Format int `json:"format"`
	// Seq orders the runs of one node; clocks go backwards. The first is 1.
	Seq     uint64              `json:"seq"`
	Holder  string              `json:"holder,omitempty"`
	Request topology.RunRequest `json:"request"`
	Run     topology.RunState   `json:"run"`
	Repair  RepairState         `json:"repair,omitempty"`
	// Saved is of the directory in repair, Old of the replaced one in "old".
	Saved Saved `json:"saved,omitempty"`
	Old   Saved `json:"old,omitempty"`
	// Homed: this run meant to put a whole new directory at Home, so a
	// directory both in place and in repair is expected.
	Homed bool `json:"homed,omitempty"`
	// Unproven: the directory at Home was put there as a new copy, and no run
	// has seen it stream yet. It says nothing while there is none at Home.
	Unproven bool `json:"unproven,omitempty"`
}

// format is what this code writes.
const format = 1

// maxID is the longest run id. It is no part of the pattern: a counted
// repetition makes the pattern's compilation the dearest thing at start-up.
const maxID = 100

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// ValidID says whether id can name a run: letters, digits, ".", "_", "-", at
// most 100 of them, starting with a letter or digit.
func ValidID(id string) bool { return len(id) <= maxID && idPattern.MatchString(id) }

// Live says whether the run would still go on by itself.
func (r Record) Live() bool { return !r.Run.Outcome.Ended() }

// decode reads one file's content; name is the run's id by its file name.
func decode(name string, data []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, err
	}
	switch {
	case r.Format > format:
		return Record{}, fmt.Errorf("format %d is newer than this repool reads (%d): use the newer one", r.Format, format)
	case r.Format < 1 || r.Seq == 0 || r.Run.Outcome == "":
		return Record{}, errors.New("not a record of a run")
	case r.Run.ID != name:
		return Record{}, fmt.Errorf("records run %q, not the one its name says", r.Run.ID)
	}
	return r, nil
}
