package agentapi

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/repool/repool/internal/core/topology"
)

// NewHandler serves an agent; path is where to mount it. self says who the
// agent is and whom it serves; nil serves everybody who can reach it.
func NewHandler(a Agent, self *Self) (path string, h http.Handler) {
	mux := http.NewServeMux()
	callInspect.handle(mux, func(ctx context.Context, _ empty) (topology.Inspection, error) {
		return a.Inspect(ctx)
	})
	callProbeWAL.handle(mux, func(ctx context.Context, r probeRequest) (topology.WALProbe, error) {
		return a.ProbeWAL(ctx, r.Primary)
	})
	callRecordEnding.handle(mux, func(ctx context.Context, r recordRequest) (topology.WALRecord, error) {
		return a.RecordEnding(ctx, r.LSN)
	})
	callRun.handle(mux, func(ctx context.Context, r idRequest) (topology.RunState, error) {
		return a.Run(ctx, r.ID)
	})
	callVault.handle(mux, func(ctx context.Context, _ empty) (vaultResponse, error) {
		entries, err := a.Vault(ctx)
		return vaultResponse{entries}, err
	})
	callVaultReport.handle(mux, func(ctx context.Context, r idRequest) (reportResponse, error) {
		report, err := a.VaultReport(ctx, r.ID)
		return reportResponse{report}, err
	})
	callAcquire.handle(mux, func(ctx context.Context, r acquireRequest) (acquireResponse, error) {
		token, err := a.Acquire(ctx, r.Holder)
		return acquireResponse{token}, err
	})
	callStartRun.handle(mux, func(ctx context.Context, r topology.RunRequest) (empty, error) {
		return empty{}, a.StartRun(ctx, r)
	})
	callWatch.stream(mux, func(ctx context.Context, r idRequest, send func(topology.RunState) error) error {
		return watch(ctx, a, r.ID, send)
	})
	callClear.handle(mux, func(ctx context.Context, r clearRequest) (empty, error) {
		return empty{}, a.Clear(ctx, r.Token, r.ID, r.Step)
	})
	callCancel.handle(mux, func(ctx context.Context, r cancelRequest) (empty, error) {
		return empty{}, a.Cancel(ctx, r.Token, r.ID)
	})
	callFence.handle(mux, func(ctx context.Context, r fenceRequest) (topology.Fenced, error) {
		return a.Fence(ctx, r.Token)
	})
	callDropSlots.handle(mux, func(ctx context.Context, r slotsRequest) (slotsResponse, error) {
		dropped, err := a.DropSlots(ctx, r.Token, r.Names)
		return slotsResponse{dropped}, err
	})
	callInstructions.handle(mux, func(ctx context.Context, _ empty) (topology.Instructions, error) {
		return a.Instructions(ctx)
	})
	callInstruct.handle(mux, func(ctx context.Context, i topology.Instruction) (topology.Instructions, error) {
		return a.Instruct(ctx, i)
	})
	return servicePath, self.guard(mux)
}

// watch sends each state of a run; the first that cannot be sent ends it.
func watch(ctx context.Context, a Agent, id string, send func(topology.RunState) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var lost error
	err := a.Watch(ctx, id, func(st topology.RunState) {
		if lost != nil {
			return
		}
		if lost = send(st); lost != nil {
			stop()
		}
	})
	if lost != nil {
		return lost
	}
	return err
}

// errorKinds are the contract's errors with their names on the wire: errors.Is
// must hold on the far side for each of them that an error wraps.
var errorKinds = []struct {
	name string
	err  error
}{
	{"locked", ErrLocked}, {"stale-token", ErrStaleToken}, {"no-wal", ErrNoWAL}, {"no-run", ErrNoRun},
	{"refused", ErrRefused}, {"version-skew", ErrVersionSkew}, {"wrong-node", ErrWrongNode},
	{"foreign-system", ErrForeignSystem}, {"not-allowed", ErrNotAllowed},
}

// errorHeader names the kinds in the error's metadata.
const errorHeader = "Repool-Error"

func wireError(err error) error {
	if err == nil {
		return nil
	}
	code := connect.CodeInternal
	switch {
	case errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		code = connect.CodeDeadlineExceeded
	}
	var names []string
	for _, k := range errorKinds {
		if errors.Is(err, k.err) {
			names = append(names, k.name)
			code = connect.CodeFailedPrecondition
		}
	}
	ce := connect.NewError(code, err)
	for _, name := range names {
		ce.Meta().Add(errorHeader, name)
	}
	return ce
}
