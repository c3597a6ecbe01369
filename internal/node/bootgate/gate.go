// Package bootgate holds the start of a PostgreSQL server at boot until it is safe.
//
// A host that lost its power with the primary on it comes back with a directory
// that would start as a primary, long after the pool has another. Its agent sees
// that and has it stopped, but clients may have written by then. A gate before the
// server's own start closes that gap: it lets a standby through at once, and holds
// everything else until repool has made the node a standby, or a person has said
// that the server is to start as it is. The gate decides nothing about the pool and
// asks no other process: it only looks at the directory.
package bootgate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/repool/repool/internal/core/topology"
)

// The gate's files in the node's work directory: that a start is held, and that it is
// allowed.
const (
	heldFile    = "start-held.json"
	allowedFile = "start-allowed.json"
)

// every is how often the gate looks.
const every = 250 * time.Millisecond

// ErrNotHeld: no gate waits, so there is nothing to allow.
var ErrNotHeld = errors.New("no start is held on this host")

// Gate is one start that may have to wait.
type Gate struct {
	// WorkDir is the node's; it must exist once something is held.
	WorkDir string
	// Look inspects the node.
	Look func(context.Context) (topology.Inspection, error)
	// Say is told, once for each reason, why the start is held.
	Say func(why string)
}

// held is who waits.
type held struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// allowed is who has allowed it.
type allowed struct {
	Who string    `json:"who"`
	At  time.Time `json:"at"`
}

// Wait returns when the server may be started, and why; the error is ctx's, or one
// of the work directory. What was allowed before Wait began does not count.
func (g *Gate) Wait(ctx context.Context) (why string, err error) {
	if why, ok := g.free(ctx); ok {
		return why, nil
	}
	if err := os.Remove(g.path(allowedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("hold the start: %w", err)
	}
	defer func() { _ = os.Remove(g.path(heldFile)) }() // it names a process that is gone: Allow looks
	began, told := time.Now(), ""
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		why, ok := g.free(ctx)
		if ok {
			return why, nil
		}
		if l, ok := g.allowedBy(); ok {
			return "allowed by " + l.Who, os.Remove(g.path(allowedFile))
		}
		if why != told {
			told = why
			g.Say(why)
			if err := g.write(heldFile, held{os.Getpid(), began, why}); err != nil {
				return "", fmt.Errorf("hold the start: %w", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("the start is still held, %s: %w", why, context.Cause(ctx))
		}
	}
}

// free says whether the directory may be started as it is, and why, or why not.
func (g *Gate) free(ctx context.Context) (why string, ok bool) {
	in, err := g.Look(ctx)
	switch {
	case err != nil:
		return fmt.Sprintf("the node cannot be looked at: %v", err), false
	case in.Dir == topology.DirPresent && (in.Server == topology.ServerRunning || in.Server == topology.ServerStarting):
		return "its server runs already", true // one in a directory under repair is not it
	case in.Err != "":
		return "the node cannot be judged: " + in.Err, false
	case in.Dir != topology.DirPresent:
		return fmt.Sprintf("its data directory is %s: repool may be working on it", in.Dir), false
	case in.StandbySignal:
		return "it is a standby", true
	}
	return "its data directory would start as a primary, and the pool may have another by now", false
}

func (g *Gate) path(name string) string { return filepath.Join(g.WorkDir, name) }

func (g *Gate) write(name string, value any) error { return write(g.path(name), value) }

func write(path string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(b, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(path)),
		renameio.WithStaticPermissions(0o600))
}

// allowedBy reads who has allowed the start. An unreadable file counts as none.
func (g *Gate) allowedBy() (l allowed, ok bool) {
	b, err := os.ReadFile(g.path(allowedFile))
	return l, err == nil && json.Unmarshal(b, &l) == nil && l.Who != ""
}

// Allow allows the start that is held on the host with this work directory, and says
// why it was held. ErrNotHeld: none is. Only a person may call it, who knows that
// the pool has no other primary.
func Allow(workDir, who string, alive func(pid int) bool) (why string, err error) {
	b, err := os.ReadFile(filepath.Join(workDir, heldFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNotHeld
	}
	var h held
	if err == nil {
		err = json.Unmarshal(b, &h)
	}
	if err != nil {
		return "", fmt.Errorf("look for a held start: %w", err)
	}
	if !alive(h.PID) {
		return "", ErrNotHeld
	}
	if err := write(filepath.Join(workDir, allowedFile), allowed{who, time.Now()}); err != nil {
		return "", fmt.Errorf("allow the start: %w", err)
	}
	return h.Why, nil
}
