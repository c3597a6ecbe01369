package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/node/bootgate"
	"github.com/repool/repool/internal/node/dbhost"
	"github.com/repool/repool/internal/node/process"
)

// HoldStart returns, with the reason, when the server of a node on this host may be
// started. Until then, say is called with each reason for holding it. It only looks at
// the node's directory, and must run as its owner.
func HoldStart(ctx context.Context, p *config.Pool, id topology.NodeID, log *slog.Logger,
	say func(why string)) (why string, err error) {
	h, err := ownDirectory(p, id, log)
	if err != nil {
		return "", err
	}
	defer h.Close()
	if err := os.MkdirAll(h.WorkDir(), 0o700); err != nil {
		return "", exit.With(exit.Usage, err)
	}
	gate := &bootgate.Gate{WorkDir: h.WorkDir(), Look: h.Inspect, Say: say}
	return gate.Wait(ctx)
}

// AllowStart allows a held start, and returns why it was held. exit.Refused: none
// is held.
func AllowStart(p *config.Pool, id topology.NodeID, log *slog.Logger, who string) (why string, err error) {
	h, err := ownDirectory(p, id, log)
	if err != nil {
		return "", err
	}
	defer h.Close()
	why, err = bootgate.Allow(h.WorkDir(), who, holdsStart)
	if errors.Is(err, bootgate.ErrNotHeld) {
		err = exit.With(exit.Refused, err,
			`"repool agent hold-start" before the server's own start holds it: see docs/operations.md`)
	}
	return why, err
}

// holdsStart says whether a process is one of repool's.
func holdsStart(pid int) bool {
	p, err := process.Read(pid)
	own, oerr := os.Executable()
	return err == nil && oerr == nil && p.Program() == filepath.Base(own)
}

// ownDirectory gives read access to the node's directory, to its owner only.
func ownDirectory(p *config.Pool, id topology.NodeID, log *slog.Logger) (*dbhost.Host, error) {
	n := p.Node(id)
	if err := mayWorkOn(n); err != nil {
		return nil, err
	}
	_, h, err := newLocal(p, n, log, readOnly, 0)
	return h, err
}
