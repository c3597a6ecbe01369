package resync

import (
	"slices"
	"sync"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
)

// How often moved bytes are shown, and written to disk.
const (
	progressShown  = 250 * time.Millisecond
	progressOnDisk = 5 * time.Second
)

// state is the record of the run in progress: changed under its lock, shown
// and journaled as copies.
type state struct {
	log Log
	see func(topology.RunState)

	mu     sync.Mutex
	rec    journal.Record
	moving bool // the current step may report bytes
	shown  time.Time
	onDisk time.Time
}

func (s *state) init(r *run) {
	s.log, s.see = r.Log, r.See
	now := time.Now()
	s.rec = journal.Record{
		Holder:  r.Holder,
		Request: r.req,
		Run: topology.RunState{
			ID: r.req.ID, Node: r.req.Node, Method: r.req.Method, Upstream: r.req.Upstream.Node,
			Outcome: topology.RunRunning, Code: r.req.Code, Token: r.req.Token,
			Started: now, Updated: now, Steps: []topology.StepRun{},
		},
	}
}

// set changes the record and shows it.
func (s *state) set(f func(*journal.Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.rec)
	s.show()
}

// show passes a copy on; the lock is held, so calls do not overlap.
func (s *state) show() {
	s.rec.Run.Updated = time.Now()
	s.shown = s.rec.Run.Updated
	if s.see != nil {
		s.see(clone(s.rec).Run)
	}
}

// put makes the record durable. The lock is held throughout, so an older state
// never overwrites a newer one.
func (s *state) put() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.putLocked()
}

func (s *state) putLocked() error {
	s.onDisk = time.Now()
	return s.log.Put(clone(s.rec))
}

// record gives a copy that does not change any more.
func (s *state) record() journal.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.rec)
}

func (s *state) repair() journal.RepairState { return s.record().Repair }

// stepBegin adds a step to the record, in memory.
func (s *state) stepBegin(st *Step) {
	s.set(func(rec *journal.Record) {
		rec.Run.Steps = append(rec.Run.Steps, topology.StepRun{Name: st.Name, Started: time.Now()})
		if s.moving = st.Moves; st.Moves {
			rec.Run.BytesDone, rec.Run.BytesTotal = 0, 0
		}
	})
}

// stepEnd closes the newest step, in memory. An empty note keeps the last one.
func (s *state) stepEnd(note string, err error) {
	s.set(func(rec *journal.Record) {
		s.moving = false
		n := len(rec.Run.Steps)
		if n == 0 {
			return
		}
		st := &rec.Run.Steps[n-1]
		st.Ended = time.Now()
		if note != "" {
			st.Note = note
		}
		if err != nil {
			st.Error = err.Error()
		}
	})
}

// progress is the Progress of a step that moves data. It may be called from
// any goroutine and as often as one likes; late calls are ignored.
func (s *state) progress(done, total uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.moving {
		return
	}
	s.rec.Run.BytesDone = done
	if total > 0 {
		s.rec.Run.BytesTotal = total
	}
	now := time.Now()
	if now.Sub(s.shown) >= progressShown {
		s.show()
	}
	if now.Sub(s.onDisk) >= progressOnDisk {
		// A lost progress mark costs nothing: the intent is on disk already.
		if err := s.putLocked(); err != nil {
			s.onDisk = now
		}
	}
}

// clone copies what later changes would touch.
func clone(rec journal.Record) journal.Record {
	rec.Run.Steps = slices.Clone(rec.Run.Steps)
	if rec.Run.Vault != nil {
		v := *rec.Run.Vault
		rec.Run.Vault = &v
	}
	return rec
}
