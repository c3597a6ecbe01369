package resync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
)

// askTimeout bounds one question to the upstream. Copies have no deadline.
const askTimeout = 15 * time.Second

// takeStock kills what a dead agent left running and refuses what the places
// do not allow, before anything is changed.
func takeStock() Step {
	return Step{Name: "take-stock", Code: codes.Internal, ReadOnly: true,
		do: func(ctx context.Context, r *run) (string, error) {
			if err := r.Host.KillLeftovers(ctx); err != nil {
				return "", fmt.Errorf("kill what an earlier run left running: %w", err)
			}
			home, err := r.Host.Exists(Home)
			if err != nil {
				return "", err
			}
			repair, err := r.Host.Exists(InRepair)
			if err != nil {
				return "", err
			}
			if err := r.checkPlaces(home, repair); err != nil {
				return "", err
			}
			note, err := r.checkOwn()
			if err == nil && repair {
				note = fmt.Sprintf("a directory is in repair (%s); %s", r.state.repair(), note)
				note = strings.TrimSuffix(note, "; ")
			}
			return note, err
		}}
}

// checkOwn says what of the node's own the method keeps, and refuses one that
// would lose some of it. Of a half-done directory nothing is known.
func (r *run) checkOwn() (note string, err error) {
	p, ok, err := r.data()
	if err != nil || !ok || p == InRepair && r.state.repair() != journal.RepairWhole {
		return "", err
	}
	names, err := r.Host.Keeps(p, r.req.Method)
	if e := (*Error)(nil); errors.As(err, &e) {
		return "", err
	}
	if err != nil || len(names) == 0 {
		return "", nil // a ruined directory: what replaces it finds the same
	}
	return "kept as the node's own: " + strings.Join(names, ", "), nil
}

// checkPlaces refuses a method that cannot work with what there is.
func (r *run) checkPlaces(home, repair bool) error {
	rec := r.state.record()
	whole := r.req.Method == topology.MethodBaseBackup || r.req.Method == topology.MethodCustom
	running := r.req.Method == topology.MethodStart || r.req.Method == topology.MethodFollow ||
		r.req.Method == topology.MethodCustom
	switch {
	case home && repair && !running && !rec.Homed && rec.Repair != journal.RepairDamaged:
		return Errorf(codes.HomeOccupied,
			"an earlier run moved the node's directory to the work directory, and there is another one in its place now")
	case home || whole:
		return nil
	case !repair:
		return Errorf(codes.NoData, "there is no data directory to work on")
	case rec.Repair == journal.RepairDamaged:
		return Errorf(codes.Damaged, "the only directory of the node is half done, or its condition is unknown")
	}
	return nil
}

// confirm proves that the upstream is still what the request says (P2).
func confirm() Step {
	return Step{Name: "confirm", Code: codes.UpstreamLost, ReadOnly: true,
		do: func(_ context.Context, r *run) (string, error) { return "", r.confirmUpstream() }}
}

func (r *run) confirmUpstream() error {
	ctx, cancel := context.WithTimeout(r.ctx, askTimeout)
	defer cancel()
	err := r.Upstream.Confirm(ctx, r.req.Upstream)
	if err == nil {
		return nil
	}
	if e := (&Step{Code: codes.UpstreamLost}).failed(err); e.Code == codes.UpstreamChanged {
		return err
	}
	return &Error{Code: codes.UpstreamLost, Err: fmt.Errorf("confirm the primary: %w", err)}
}

// ensureSlot makes the slot before the standby asks for it: one that asks too
// early waits five seconds before it asks again.
func ensureSlot() Step {
	return Step{Name: "ensure-slot", Code: codes.SlotFailed,
		do: func(ctx context.Context, r *run) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			return "", r.Upstream.EnsureSlot(ctx, r.req.Upstream, r.req.Slot)
		}}
}

// checkpointUpstream makes the primary's control file show its timeline, for
// pg_rewind reads it there and else sees no divergence (hazard 2).
func checkpointUpstream() Step {
	return Step{Name: "checkpoint-upstream", Code: codes.CheckpointFailed, Breakable: true,
		do: func(ctx context.Context, r *run) (string, error) {
			return "", r.Upstream.Checkpoint(ctx, r.req.Upstream)
		}}
}

// checkSpace refuses a copy that would fill the disk. A copy that was left
// unfinished is removed first, and the trash is emptied.
func checkSpace() Step {
	return Step{Name: "check-space", Code: codes.Internal, Breakable: true,
		do: func(ctx context.Context, r *run) (string, error) {
			if err := r.dropCopy(ctx); err != nil {
				return "", fmt.Errorf("remove an unfinished copy: %w", err)
			}
			if err := r.Host.EmptyTrash(ctx, 0); err != nil {
				return "", err
			}
			free, err := r.Host.FreeBytes()
			if err != nil {
				return "", fmt.Errorf("read the free space: %w", err)
			}
			elsewhere, err := r.Host.SpaceForCopy(ctx, r.req.Upstream)
			if err != nil {
				return "", fmt.Errorf("see where the copy's WAL and tablespaces go: %w", err)
			}
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			size, err := r.Upstream.Size(ctx, r.req.Upstream)
			if err != nil {
				return "the primary's size is unknown: " + err.Error(), nil
			}
			r.size = size
			note := fmt.Sprintf("%s free for %s", humanize.IBytes(free), humanize.IBytes(size))
			for _, s := range elsewhere {
				size -= min(size, s.OfData)
				note += fmt.Sprintf(", %s for %s at %s", humanize.IBytes(s.Free), humanize.IBytes(s.Need), s.Path)
			}
			for _, s := range append(elsewhere, Space{Path: "the data directory", Free: free, Need: size}) {
				if s.Free < s.Need+r.Headroom {
					return "", Errorf(codes.NoSpace, "%s free at %s, but the copy needs %s and %s must stay free",
						humanize.IBytes(s.Free), s.Path, humanize.IBytes(s.Need), humanize.IBytes(r.Headroom))
				}
			}
			return note, nil
		}}
}

// proveOnLine reads the node's own WAL once more, when nothing can write to it
// any longer: a record of its own past the switch point forbids an adoption.
func proveOnLine() Step {
	return Step{Name: "prove-on-line", Code: codes.NotOnLine, ReadOnly: true,
		do: func(_ context.Context, r *run) (string, error) {
			p, err := r.Host.ProbeWAL(r.ctx, r.req.Upstream.History)
			switch {
			case err != nil:
				return "", fmt.Errorf("read the node's own WAL: %w", err)
			case p.Err != "":
				return "", fmt.Errorf("read the node's own WAL: %s", p.Err)
			case !p.Shared:
				return "", Errorf(codes.NotOnLine, "the node's WAL (%s) has nothing in common with the primary's (%s)",
					p.Own.Text(), r.req.Upstream.History.Text())
			case p.Beyond:
				return "", Errorf(codes.NotOnLine, "the node holds WAL of its own past %s on timeline %d, where the primary left "+
					"it", p.Limit, p.CommonTLI)
			}
			return fmt.Sprintf("its WAL ends at %s on timeline %d, no further than the primary's line", p.End, p.CommonTLI), nil
		}}
}

// requireStopped refuses to adopt a server that runs.
func requireStopped() Step {
	return Step{Name: "require-stopped", Code: codes.ServerRunning, ReadOnly: true,
		do: func(_ context.Context, r *run) (string, error) { return "", r.serverStopped() }}
}

func (r *run) serverStopped() error {
	st, err := r.Host.Server()
	if err != nil {
		return fmt.Errorf("look for the server: %w", err)
	}
	if st != topology.ServerStopped {
		return Errorf(codes.ServerRunning, "the server is %s", stateWord(st))
	}
	return nil
}

func stateWord(st topology.ServerState) string {
	if st == topology.ServerUnknown {
		return "in an unknown state"
	}
	return string(st)
}
