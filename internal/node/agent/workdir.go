package agent

import (
	"context"
	"time"

	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/resync"
)

// Journal is the durable record of the node's runs, as journal.Journal keeps it.
type Journal interface {
	resync.Log
	Get(id string) (journal.Record, error)
	List() ([]journal.Record, error)
	Newest() (rec journal.Record, ok bool, err error)
	Prune() error
}

// Grants keeps the newest token given out. What Write has been given is durable
// when it returns nil.
type Grants interface {
	// Read gives the zero value when none was ever given.
	Read() (Grant, error)
	Write(g Grant) error
}

// Lock excludes the node's other agent processes, and falls by itself when the
// process that holds it dies.
type Lock interface {
	// Take waits that long; agentapi.ErrLocked names who has it. The caller must
	// not hold it already.
	Take(ctx context.Context, patience time.Duration) error
	Release() error
	// Busy says whether some process holds it now, Owner which.
	Busy() bool
	Owner() string
}

// WorkDir is what agents keep of their own beside the node's data: all of it
// together, in one place that every agent process of the node shares.
type WorkDir struct {
	Journal Journal
	Grants  Grants
	Lock    Lock
	Told    Told
}

// workDirIn is the real one: files in that directory.
func workDirIn(dir string, readOnly bool) (WorkDir, error) {
	j := journal.OpenReadOnly(dir)
	if !readOnly {
		var err error
		if j, err = journal.Open(dir); err != nil {
			return WorkDir{}, err
		}
	}
	return WorkDir{Journal: j, Grants: newGrantFile(dir), Lock: newFileLock(dir), Told: newToldFile(dir)}, nil
}
