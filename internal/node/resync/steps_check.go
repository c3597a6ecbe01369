package resync

import (
	"context"
	"fmt"
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
			if err := r.checkMount(); err != nil {
				return "", err
			}
			if repair {
				return fmt.Sprintf("a directory is in repair (%s)", r.state.repair()), nil
			}
			return "", nil
		}}
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

// checkMount refuses methods that must move a directory which cannot be moved.
func (r *run) checkMount() error {
	if r.req.Method != topology.MethodRewind && r.req.Method != topology.MethodBaseBackup {
		return nil
	}
	mount, err := r.Host.MountPoint()
	if err != nil {
		return fmt.Errorf("see whether the data directory is a mount point: %w", err)
	}
	if mount {
		return Errorf(codes.MountPoint,
			"the data directory is a mount point, so it cannot be moved to the work directory for the repair")
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
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			size, err := r.Upstream.Size(ctx, r.req.Upstream)
			if err != nil {
				return "the primary's size is unknown: " + err.Error(), nil
			}
			if free < size+r.Headroom {
				return "", Errorf(codes.NoSpace, "%s free, but the copy needs %s and %s must stay free",
					humanize.IBytes(free), humanize.IBytes(size), humanize.IBytes(r.Headroom))
			}
			r.size = size
			return fmt.Sprintf("%s free for %s", humanize.IBytes(free), humanize.IBytes(size)), nil
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
