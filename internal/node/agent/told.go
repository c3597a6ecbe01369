package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/journal"
)

// Told keeps what people have told repool about the node.
type Told interface {
	// Read gives what is kept; the zero value when nothing ever was. What cannot be read
	// is told as such: the node counts as held then.
	Read() topology.Instructions
	// Change replaces what is kept by what f makes of it, with no other process in
	// between; nothing is written where f says so. It is durable on return.
	Change(f func(topology.Instructions) (topology.Instructions, bool)) (topology.Instructions, error)
}

// toldFile keeps the instructions in the work directory.
type toldFile struct {
	path string
	lock string // not the node's: an instruction is taken during a run, too
}

func newToldFile(workDir string) *toldFile {
	return &toldFile{path: filepath.Join(workDir, "instructions.json"),
		lock: filepath.Join(workDir, "instructions.lock")}
}

func (f *toldFile) Read() topology.Instructions {
	var in topology.Instructions
	data, err := os.ReadFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return in
	case err == nil:
		err = json.Unmarshal(data, &in)
	}
	if err != nil {
		return topology.Instructions{Unreadable: fmt.Sprintf("%s: %v", f.path, err)}
	}
	return in
}

func (f *toldFile) Change(change func(topology.Instructions) (topology.Instructions, bool)) (
	in topology.Instructions, err error,
) {
	lock := &fileLock{path: f.lock} // one for each call: they come side by side
	if err := lock.Take(context.Background(), lockWait); err != nil {
		return in, fmt.Errorf("keep an instruction: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	in, changed := change(f.Read())
	if !changed {
		return in, nil
	}
	data, err := json.Marshal(in)
	if err == nil {
		err = journal.WriteFile(f.path, append(data, '\n'), 0o600)
	}
	if err != nil {
		return in, fmt.Errorf("keep an instruction: %w", err)
	}
	return in, nil
}

// Instructions are what people have told repool about the node.
func (a *Agent) Instructions(context.Context) (topology.Instructions, error) {
	return a.told.Read(), nil
}

// Instruct keeps an instruction on the node, for every controller and hook, and gives
// what is kept then. It needs no token: it changes nothing of the node, and a person
// must be heard while somebody else has the node.
func (a *Agent) Instruct(ctx context.Context, i topology.Instruction) (topology.Instructions, error) {
	switch {
	case ctx.Err() != nil:
		return topology.Instructions{}, ctx.Err()
	case a.opts.ReadOnly:
		return topology.Instructions{}, fmt.Errorf("keep an instruction: this agent answers questions only: %w",
			agentapi.ErrRefused)
	}
	if why := i.Wrong(); why != "" {
		return topology.Instructions{}, fmt.Errorf("keep an instruction: %s: %w", why, agentapi.ErrRefused)
	}
	in, err := a.told.Change(func(in topology.Instructions) (topology.Instructions, bool) { return in.With(i) })
	if err == nil {
		a.log.Info("instruction", "kind", string(i.Word), "text", i.Who+": "+i.Why)
	}
	return in, err
}

// held says why no run may start, empty: one may.
func (a *Agent) held() string {
	in := a.told.Read()
	h, held := in.Held(time.Now())
	if !held {
		return ""
	}
	return fmt.Sprintf("on hold, by %s: %s", h.Who, h.Why)
}

// useConsent notes that a run has ended well, for which a person may have given consent.
func (a *Agent) useConsent() {
	_, err := a.told.Change(func(in topology.Instructions) (topology.Instructions, bool) {
		if in.Resync.Number == 0 || in.Used {
			return in, false
		}
		in.Used = true
		return in, true
	})
	if err != nil {
		a.log.Warn("note that a consent is used up", "err", err)
	}
}
